//! Text to ids to text: streaming equals decoding at once, whatever the ids; bos comes once.

mod common;

use openelm::Checkpoint;
use openelm::text::{StreamDecoder, Tokenizer};
use proptest::prelude::*;

/// The special tokens of the demo model, by id.
const SPECIAL: [&str; 3] = ["<unk>", "<s>", "</s>"];

/// What its pieces have in place of a space.
const SPACE: char = '\u{2581}';

fn tokenizer() -> Tokenizer {
    let checkpoint = Checkpoint::open("demo").unwrap();
    let bytes = checkpoint.tokenizer.unwrap();
    Tokenizer::from_bytes(
        &bytes,
        "tokenizer.json".as_ref(),
        1,
        checkpoint.config.vocab_size,
    )
    .unwrap()
}

/// The prompt's text as far as it is whole.
fn shown(tokenizer: &Tokenizer, prompt: &[u32]) -> String {
    StreamDecoder::with_text(tokenizer, prompt).unwrap().1
}

/// What each further id adds to the prompt's text.
fn pieces(tokenizer: &Tokenizer, prompt: &[u32], ids: &[u32]) -> Vec<String> {
    let mut decoder = StreamDecoder::after(tokenizer, prompt).unwrap();
    let mut pieces: Vec<String> = ids.iter().map(|id| decoder.push(*id).unwrap()).collect();
    pieces.push(decoder.finish().unwrap());
    pieces
}

/// The prompt's text and what each further id adds to it.
fn streamed(tokenizer: &Tokenizer, prompt: &[u32], ids: &[u32]) -> String {
    shown(tokenizer, prompt) + &pieces(tokenizer, prompt, ids).concat()
}

/// A prompt without the run of byte tokens that it ends with, and those bytes; ids without text do not count.
fn last_bytes(prompt: &[u32]) -> (&[u32], Vec<u8>) {
    let (mut length, mut bytes) = (prompt.len(), Vec::new());
    for (i, id) in prompt.iter().enumerate().rev() {
        match id {
            3..259 => (length, _) = (i, bytes.insert(0, (id - 3) as u8)),
            0..3 | 4096.. => {}
            _ => break,
        }
    }
    (&prompt[..length], bytes)
}

/// Ids that make trouble: byte tokens, of which most runs are no UTF-8, specials, pieces with and without leading space, and ids
/// that no token has.
fn id() -> impl Strategy<Value = u32> {
    prop_oneof![
        3 => 3u32..259,
        // The bytes of U+1F600, in order more often than chance would have it.
        2 => prop::sample::select(vec![3 + 0xF0, 3 + 0x9F, 3 + 0x98, 3 + 0x80]),
        1 => 0u32..3,
        4 => 259u32..4096,
        1 => Just(3 + u32::from(b'\n')),
        1 => Just(5000u32),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        rng_seed: common::seed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn streaming_equals_decoding_at_once(
        prompt in prop::collection::vec(id(), 0..6), ids in prop::collection::vec(id(), 0..40),
    ) {
        thread_local!(static TOKENIZER: Tokenizer = tokenizer());
        TOKENIZER.with(|tokenizer| {
            let whole = [prompt.clone(), ids.clone()].concat();
            let expected = tokenizer.decode(&whole).unwrap();
            let shown = shown(tokenizer, &prompt);
            let pieces = pieces(tokenizer, &prompt, &ids).concat();
            if expected.starts_with(&shown) {
                prop_assert_eq!(shown + &pieces, expected);
            } else {
                // The prompt ends in bytes that were characters until wrong ones followed, and each became U+FFFD. They were
                // shown already; all that comes after them must be there.
                let (head, bytes) = last_bytes(&prompt);
                let whole = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
                let before = tokenizer.decode(head).unwrap() + &"\u{FFFD}".repeat(whole);
                prop_assert_eq!(Some(&*pieces), expected.strip_prefix(&before));
            }
            Ok(())
        })?;
    }

    /// Wherever a text is split, also within a character, what was shown and what follows make it whole; and going on twice is as
    /// good as going on once.
    #[test]
    fn a_split_anywhere_loses_nothing(text in "[a\u{e9}\u{20ac}\u{1f600} \n]{1,8}") {
        thread_local!(static TOKENIZER: Tokenizer = tokenizer());
        TOKENIZER.with(|tokenizer| {
            let ids = tokenizer.encode(&text).unwrap();
            for at in 0..=ids.len() {
                let (prompt, rest) = ids.split_at(at);
                let shown = shown(tokenizer, prompt);
                let pieces = pieces(tokenizer, prompt, rest);
                prop_assert!(!pieces.concat().contains('\u{FFFD}'), "{:?}", pieces);
                prop_assert_eq!(shown.clone() + &pieces.concat(), text.as_str());
                for further in at..=ids.len() {
                    let mut decoder = StreamDecoder::after(tokenizer, prompt).unwrap();
                    let mut so_far = shown.clone();
                    for id in &ids[at..further] {
                        so_far += &decoder.push(*id).unwrap();
                    }
                    so_far += &decoder.pause().unwrap();
                    let (given, rest) = ids.split_at(further);
                    so_far += &crate::pieces(tokenizer, given, rest).concat();
                    prop_assert_eq!(so_far, text.as_str(), "split at {} and {}", at, further);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn text_survives_the_way_to_ids_and_back(text in "[ -~\n]{0,60}|\\PC{0,20}") {
        // What spells a special token is one, and a letter of the vocabulary stands for the space: see below.
        prop_assume!(!SPECIAL.iter().any(|special| text.contains(special)) && !text.contains(SPACE));
        thread_local!(static TOKENIZER: Tokenizer = tokenizer());
        TOKENIZER.with(|tokenizer| {
            let ids = tokenizer.encode(&text).unwrap();
            prop_assert_eq!(ids[0], 1);
            prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text.as_str());
            prop_assert_eq!(streamed(tokenizer, &[], &ids), text);
            Ok(())
        })?;
    }
}

/// As with Hugging Face's tokenizers: a special token that is spelt in a text becomes that token, and decoding leaves it out.
#[test]
fn a_special_token_spelt_in_a_text_is_one() {
    let tokenizer = tokenizer();
    for (id, special) in (0..).zip(SPECIAL) {
        let ids = tokenizer.encode(&format!("king{special}")).unwrap();
        assert_eq!(ids.last(), Some(&id), "{special}");
        assert_eq!(tokenizer.decode(&ids).unwrap(), "king", "{special}");
        assert_eq!(streamed(&tokenizer, &[], &ids), "king", "{special}");
    }
}

/// As with Hugging Face's tokenizers: vocabularies of SentencePiece write a space as this letter, so a text that has it comes back with spaces.
#[test]
fn the_letter_that_stands_for_a_space_is_one() {
    let tokenizer = tokenizer();
    let ids = tokenizer.encode("a king").unwrap();
    assert_eq!(tokenizer.encode(&format!("a{SPACE}king")).unwrap(), ids);
    assert_eq!(tokenizer.decode(&ids).unwrap(), "a king");
}

#[test]
fn an_emoji_split_over_tokens_comes_whole_and_nothing_comes_early() {
    let tokenizer = tokenizer();
    let ids = tokenizer.encode("a 😀!").unwrap();
    let mut decoder = StreamDecoder::after(&tokenizer, &[]).unwrap();
    let pieces: Vec<String> = ids.iter().map(|id| decoder.push(*id).unwrap()).collect();
    assert!(pieces.iter().all(|piece| !piece.contains('\u{FFFD}')));
    assert!(pieces.contains(&"😀!".to_owned()), "{pieces:?}");
}

/// A prompt that ends within a character: the first text that comes is all of the character, or says that it is none.
#[test]
fn a_character_begun_by_the_prompt_comes_whole() {
    let tokenizer = tokenizer();
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| 3 + u32::from(*byte)).collect();
    let emoji: Vec<u32> = bytes("😀".as_bytes());
    let word = tokenizer.encode("king").unwrap()[1];
    for at in 1..4 {
        let (prompt, rest) = emoji.split_at(at);
        let prompt = [&[1, word], prompt].concat();
        assert_eq!(shown(&tokenizer, &prompt), "king");
        let more = [rest, &[word]].concat();
        let all = pieces(&tokenizer, &prompt, &more).concat();
        assert_eq!(all, "😀 king");
        // Never finished.
        let all = pieces(&tokenizer, &prompt, &[word]).concat();
        assert_eq!(all, "\u{FFFD}".repeat(at) + " king");
    }
    // Whole characters are shown, and so is what can become none.
    for run in ["\n".as_bytes(), "é\n".as_bytes(), &[0xFF], &[b'a', 0x80]] {
        let prompt: Vec<u32> = bytes(run);
        assert_eq!(
            shown(&tokenizer, &prompt),
            tokenizer.decode(&prompt).unwrap()
        );
    }
}

#[test]
fn lone_bytes_newlines_and_leading_spaces() {
    let tokenizer = tokenizer();
    let newline = 3 + u32::from(b'\n');
    for ids in [
        vec![newline, newline],
        vec![3 + 0xFF],
        vec![1, 3 + 0xF0, 3 + 0x9F],
        tokenizer.encode("  two").unwrap(),
    ] {
        let expected = tokenizer.decode(&ids).unwrap();
        assert_eq!(streamed(&tokenizer, &[], &ids), expected, "{ids:?}");
    }
}

#[test]
fn bos_comes_once() {
    let tokenizer = tokenizer();
    let plain = tokenizer.encode("Once").unwrap();
    assert_eq!(plain.iter().filter(|id| **id == 1).count(), 1);
    let spelled = tokenizer.encode("<s>Once").unwrap();
    assert_eq!(spelled.iter().filter(|id| **id == 1).count(), 1);
    assert_eq!(tokenizer.encode("").unwrap()[0], 1);
}

/// The ids of a prompt are those that the goldens were computed from.
#[test]
fn known_text_has_the_golden_ids() {
    let ids = tokenizer().encode("Once upon a time").unwrap();
    let goldens = common::goldens();
    let (_, demo) = goldens.iter().find(|(name, _)| name == "demo").unwrap();
    assert_eq!(ids, common::ids(&demo["cases"][0]["ids"]));
}
