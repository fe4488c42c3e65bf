//! Text to ids to text: streaming equals decoding at once, whatever the ids; bos comes once.

mod common;

use openelm::Checkpoint;
use openelm::text::{StreamDecoder, Tokenizer};
use proptest::prelude::*;

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

/// The prompt's text and what each further id adds to it.
fn streamed(tokenizer: &Tokenizer, prompt: &[u32], ids: &[u32]) -> String {
    let mut text = tokenizer.decode(prompt).unwrap();
    let mut decoder = StreamDecoder::after(tokenizer, prompt).unwrap();
    for id in ids {
        text += &decoder.push(*id).unwrap();
    }
    text + &decoder.finish().unwrap()
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
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
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
            // What a prompt that ends within a character looks like cannot be taken back: then only the end is compared.
            let prompt_text = tokenizer.decode(&prompt).unwrap();
            if expected.starts_with(&prompt_text) {
                prop_assert_eq!(streamed(tokenizer, &prompt, &ids), expected);
            } else {
                streamed(tokenizer, &prompt, &ids);
            }
            Ok(())
        })?;
    }

    #[test]
    fn text_survives_the_way_to_ids_and_back(text in "[ -~\n]{0,60}|\\PC{0,20}") {
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

#[test]
fn an_emoji_split_over_tokens_comes_whole_and_nothing_comes_early() {
    let tokenizer = tokenizer();
    let ids = tokenizer.encode("a 😀!").unwrap();
    let mut decoder = StreamDecoder::after(&tokenizer, &[]).unwrap();
    let pieces: Vec<String> = ids.iter().map(|id| decoder.push(*id).unwrap()).collect();
    assert!(pieces.iter().all(|piece| !piece.contains('\u{FFFD}')));
    assert!(pieces.contains(&"😀!".to_owned()), "{pieces:?}");
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
