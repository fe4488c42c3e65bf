//! Sessions on disk: what follows is the same as without the file, to the bit, and a file that is damaged, foreign or full of lies is
//! refused by what is wrong with it, with nothing lost.
#![allow(
    clippy::field_reassign_with_default,
    reason = "options are filled as users of the library fill them"
)]

mod common;

use std::path::Path;

use openelm::{
    ComputePath, Dtype, Error, GenerateOptions, LoadOptions, Model, Origin, SampleOn, SavedSession,
    Session,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use twox_hash::XxHash3_128;

const PROMPT: &str = "There was once upon a time a king who had three sons, and the eldest of them said to his father that he would";

fn savable(path: Option<ComputePath>, exact: bool) -> LoadOptions {
    let mut options = common::options(path, exact);
    options.can_save = true;
    options
}

fn load(options: &LoadOptions) -> Model {
    Model::load("demo", options).unwrap()
}

/// Ids and log-probabilities of a text, and how many tokens of its prompt were computed.
fn text(session: &mut Session, prompt: &[u32], sample_on: SampleOn) -> (Vec<(u32, u32)>, usize) {
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(10);
    options.sample_on = Some(sample_on);
    let mut generation = session.generate(prompt, &options).unwrap();
    let tokens = generation.by_ref().map(Result::unwrap);
    let tokens = tokens.map(|token| (token.id, token.logprob.to_bits()));
    (tokens.collect(), generation.timing().prefill_tokens)
}

#[test]
fn what_follows_is_the_same_to_the_bit() {
    what_follows(ComputePath::Gpu);
}

#[test]
fn what_follows_is_the_same_to_the_bit_from_textures_too() {
    what_follows(ComputePath::Software);
}

fn what_follows(path: ComputePath) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session");
    for exact in [false, true] {
        let options = savable(Some(path), exact);
        let model = load(&options);
        let prompt = model.encode(PROMPT).unwrap();
        let n = prompt.len();
        let other: Vec<u32> = [&prompt[..n / 2], &[77, 78, 79, 80]].concat();
        let sample_on = [SampleOn::Host, SampleOn::Device];
        let expected: Vec<_> = sample_on
            .iter()
            .map(|on| {
                let new = || model.session().unwrap();
                (
                    text(&mut new(), &prompt, *on).0,
                    text(&mut new(), &other, *on).0,
                )
            })
            .collect();
        let mut session = model.session().unwrap();
        text(&mut session, &prompt, SampleOn::Host);
        assert!(session.tokens().len() > n);
        assert_eq!(session.prompt_tokens(), prompt);
        assert_eq!(session.save(&file).unwrap(), n);
        // Saving changes nothing.
        assert_eq!(text(&mut session, &prompt, SampleOn::Host).0, expected[0].0);

        let model = load(&options);
        let saved = SavedSession::open(&file).unwrap();
        assert_eq!(saved.tokens(), prompt);
        assert_eq!(saved.matching(&other), n / 2);
        for (on, (of_prompt, of_other)) in sample_on.into_iter().zip(&expected) {
            let mut session = model.session().unwrap();
            assert_eq!(session.restore(&saved, usize::MAX).unwrap(), n);
            assert_eq!(session.tokens(), prompt);
            let mut fork = session.fork().unwrap();
            assert_eq!(text(&mut session, &prompt, on), (of_prompt.clone(), 1));
            assert_eq!(text(&mut fork, &other, on), (of_other.clone(), 4));
            // What it held before is gone, and a part is enough.
            assert_eq!(session.restore(&saved, n / 2).unwrap(), n / 2);
            assert_eq!(text(&mut session, &other, on), (of_other.clone(), 4));
            assert_eq!(session.restore(&saved, 0).unwrap(), 0);
            assert!(session.tokens().is_empty());
        }
        // Forks keep what they share and what is their own.
        let mut session = model.session().unwrap();
        session.restore(&saved, n - 3).unwrap();
        let mut fork = session.fork().unwrap();
        fork.prefill(&prompt, |_, _| true).unwrap();
        drop(session);
        let again = folder.path().join("again");
        assert_eq!(fork.save(&again).unwrap(), n);
        assert_eq!(
            std::fs::read(&again).unwrap(),
            std::fs::read(&file).unwrap()
        );
    }
}

/// A context may be shorter than the file is long.
#[test]
fn a_short_context_takes_what_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session");
    let mut options = savable(None, false);
    let mut session = load(&options).session().unwrap();
    session.prefill(&[5; 40], |_, _| true).unwrap();
    session.save(&file).unwrap();
    options.context_size = Some(24);
    let mut session = load(&options).session().unwrap();
    let saved = SavedSession::open(&file).unwrap();
    assert_eq!(session.restore(&saved, usize::MAX).unwrap(), 24);
}

/// A session of the demo with so many tokens, saved.
fn saved(folder: &Path, tokens: usize) -> (Model, Vec<u8>) {
    let file = folder.join("session");
    let model = load(&savable(Some(ComputePath::Software), false));
    let mut session = model.session().unwrap();
    let ids: Vec<u32> = (1..=tokens as u32).collect();
    session.prefill(&ids, |_, _| true).unwrap();
    assert_eq!(session.save(&file).unwrap(), tokens);
    let bytes = std::fs::read(file).unwrap();
    (model, bytes)
}

/// What opening and restoring a file with these bytes says; its text is checked where it is accepted.
fn refused(session: &mut Session, file: &Path, bytes: &[u8]) -> Error {
    std::fs::write(file, bytes).unwrap();
    let restored = SavedSession::open(file).and_then(|saved| session.restore(&saved, usize::MAX));
    match restored {
        Ok(count) => panic!("{count} tokens were accepted"),
        Err(error) => error,
    }
}

#[test]
fn spoiled_bytes_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let (model, whole) = saved(folder.path(), 9);
    let file = folder.path().join("spoiled");
    let cases = ProptestConfig {
        cases: 300,
        failure_persistence: None,
        rng_seed: common::seed(13),
        ..ProptestConfig::default()
    };
    let n = whole.len();
    // As often at the beginning, where everything means something, as anywhere.
    let at = move || prop_oneof![0..900usize, 0..n];
    proptest!(cases, |(what in 0..5u8, at in at(), to in at(), byte in 1..=255u8)| {
        let mut bytes = whole.clone();
        match what {
            0 => bytes[at] ^= byte,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, byte),
            3 => drop(bytes.remove(at)),
            _ => bytes.swap(at, to),
        }
        if bytes != whole {
            let mut session = model.session().unwrap();
            let error = refused(&mut session, &file, &bytes);
            prop_assert!(matches!(error, Error::SavedSession { .. }), "{}", error);
        }
    });
    let mut session = model.session().unwrap();
    for bytes in [
        vec![],
        b"{}".to_vec(),
        vec![0; 1 << 16],
        whole[..whole.len() - 1].to_vec(),
    ] {
        refused(&mut session, &file, &bytes);
    }
    std::fs::write(&file, &whole).unwrap();
    let saved = SavedSession::open(&file).unwrap();
    assert_eq!(session.restore(&saved, 9).unwrap(), 9);
    // What changes after it was opened is found too, and leaves nothing of it.
    let mut bytes = whole.clone();
    bytes[n - 40] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let error = session.restore(&saved, 9).unwrap_err();
    assert!(matches!(error, Error::SavedSession { .. }), "{error}");
    assert!(session.tokens().is_empty());
    std::fs::write(&file, &whole[..n - 40]).unwrap();
    assert!(session.restore(&saved, 9).is_err());
}

/// A file with another header, or other ids, and a checksum that fits.
fn forged(whole: &[u8], change: impl FnOnce(&mut Value, &mut Vec<u8>)) -> Vec<u8> {
    let size = u32::from_le_bytes(whole[12..16].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&whole[16..16 + size]).unwrap();
    let mut rest = whole[16 + size..whole.len() - 16].to_vec();
    change(&mut header, &mut rest);
    let header = serde_json::to_vec(&header).unwrap();
    let mut bytes = whole[..12].to_vec();
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header);
    bytes.extend(rest);
    let checksum = XxHash3_128::oneshot(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

#[test]
fn lies_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let (model, whole) = saved(folder.path(), 9);
    let file = folder.path().join("forged");
    let mut session = model.session().unwrap();
    // The same, with the header's keys in another order: the test knows the format.
    std::fs::write(&file, forged(&whole, |_, _| {})).unwrap();
    let saved = SavedSession::open(&file).unwrap();
    assert_eq!(session.restore(&saved, 9).unwrap(), 9);
    let header = |key: &str, value: Value| forged(&whole, |header, _| header[key] = value.clone());
    let mut lies = vec![
        header("positions", json!(u64::MAX)),
        header("positions", json!(1u64 << 62)),
        header("positions", json!(-1)),
        header("positions", json!("9")),
        header("position_bytes", json!(u64::MAX)),
        header("position_bytes", json!(0)),
        header("more", json!(1)),
        header("origin", json!(null)),
        // As many bytes, differently shared out.
        forged(&whole, |header, _| {
            let bytes = header["position_bytes"].as_u64().unwrap();
            header["positions"] = json!(3);
            header["position_bytes"] = json!((bytes + 4) * 3 - 4);
        }),
        // No bytes a position, and as many as a context has.
        forged(&whole, |header, rest| {
            header["positions"] = json!(1 << 20);
            header["position_bytes"] = json!(0);
            rest.resize(4 << 20, 0);
        }),
        forged(&whole, |_, rest| {
            rest[..4].copy_from_slice(&u32::MAX.to_le_bytes())
        }),
        forged(&whole, |_, rest| {
            rest[32..36].copy_from_slice(&4096u32.to_le_bytes())
        }),
        forged(&whole, |_, rest| rest.extend([0; 16])),
    ];
    // A size of the header beyond the file, and beyond anything.
    for size in [whole.len() as u32, u32::MAX, 0] {
        let mut bytes = whole.clone();
        bytes[12..16].copy_from_slice(&size.to_le_bytes());
        lies.push(bytes);
    }
    for (i, bytes) in lies.iter().enumerate() {
        let error = refused(&mut session, &file, bytes);
        assert!(matches!(error, Error::SavedSession { .. }), "{i}: {error}");
    }
    let mut newer = whole.clone();
    newer[8] = 7;
    let error = refused(&mut session, &file, &newer).to_string();
    assert!(error.contains("format 7"), "{error}");
    // Numbers alone are believed: who forges a checksum forges a text, and nothing else.
    let bytes = forged(&whole, |_, rest| rest[36..].fill(0xff));
    std::fs::write(&file, bytes).unwrap();
    let saved = SavedSession::open(&file).unwrap();
    assert_eq!(session.restore(&saved, 9).unwrap(), 9);
}

/// Whatever changes bits is told apart, by name; what does not is not.
#[test]
fn keys_and_values_of_others_are_refused() {
    const CONFIG: &str = r#"{"model_type":"openelm","num_transformer_layers":2,"model_dim":64,"vocab_size":128,"head_dim":16,
        "num_query_heads":[4,4],"num_kv_heads":[2,2],"ffn_dim_divisor":8,"ffn_multipliers":[1.0,2.0],
        "normalize_qk_projections":true,"share_input_output_layers":true,"max_context_length":96}"#;
    let model = common::synthetic(CONFIG, &[Dtype::F32]);
    let name = |folder: &tempfile::TempDir| folder.path().to_string_lossy().into_owned();
    let usual = savable(Some(ComputePath::Software), false);
    let file = model.path().join("session");
    let mut session = Model::load(&name(&model), &usual)
        .unwrap()
        .session()
        .unwrap();
    session.prefill(&[1, 2, 3], |_, _| true).unwrap();
    session.save(&file).unwrap();
    let saved = SavedSession::open(&file).unwrap();
    let restore = |model: &str, options: &LoadOptions| {
        let mut session = Model::load(model, options).unwrap().session().unwrap();
        session.prefill(&[9, 8], |_, _| true).unwrap();
        let restored = session.restore(&saved, 3);
        let held = if restored.is_ok() {
            vec![1, 2, 3]
        } else {
            vec![9, 8]
        };
        assert_eq!(session.tokens(), held);
        restored
    };
    let origin = |model: &str, options: &LoadOptions| match restore(model, options) {
        Err(Error::OtherOrigin {
            origin,
            saved,
            here,
            ..
        }) => {
            assert_ne!(saved, here);
            origin
        }
        other => panic!("{other:?}"),
    };
    let with = |change: fn(&mut LoadOptions)| {
        let mut options = usual.clone();
        change(&mut options);
        options
    };
    let wide = with(|options| options.exact_kv = true);
    assert_eq!(origin(&name(&model), &wide), Origin::KvDtype);
    let bf16 = with(|options| options.dtype = Some(Dtype::Bf16));
    assert_eq!(origin(&name(&model), &bf16), Origin::Weights);
    let gpu = with(|options| options.compute_path = Some(ComputePath::Gpu));
    assert_eq!(origin(&name(&model), &gpu), Origin::ComputePath);
    assert_eq!(origin("demo", &usual), Origin::Model);
    // One number of one weight, anywhere.
    let tensors = common::synthetic_tensors(CONFIG, &[Dtype::F32]);
    for (name_of, at) in [
        ("transformer.token_embeddings.weight", 127 * 64 * 4),
        ("transformer.layers.1.attn.k_norm.weight", 0),
    ] {
        let tuned = common::synthetic(CONFIG, &[Dtype::F32]);
        let mut tensors = tensors.clone();
        let (_, _, bytes) = tensors.get_mut(name_of).unwrap();
        bytes[at + 1] ^= 1;
        let weights = common::safetensors(&tensors);
        std::fs::write(tuned.path().join("model.safetensors"), weights).unwrap();
        assert_eq!(origin(&name(&tuned), &usual), Origin::Model, "{name_of}");
    }
    // The same numbers, and another angle.
    let turned = common::synthetic(CONFIG, &[Dtype::F32]);
    let config = CONFIG.replace(
        "\"vocab_size\"",
        "\"rope_freq_constant\":5000,\"vocab_size\"",
    );
    std::fs::write(turned.path().join("config.json"), config).unwrap();
    assert_eq!(origin(&name(&turned), &usual), Origin::Model);
    // The same model elsewhere, with another context and other kernel sizes.
    let copy = common::synthetic(CONFIG, &[Dtype::F32]);
    let mut options = with(|options| options.context_size = Some(50));
    let mut tuning = common::other_tuning(ComputePath::Software);
    let has_subgroups = std::mem::take(&mut tuning.subgroups);
    options.tune = openelm::Tune::Fixed(tuning);
    assert_eq!(restore(&name(&copy), &options).unwrap(), 3);
    if has_subgroups {
        options.tune = openelm::Tune::Fixed(common::other_tuning(ComputePath::Software));
        assert_eq!(origin(&name(&copy), &options), Origin::ComputePath);
    }
}

/// A file is replaced when the new one is whole; what cannot be written is said, and nothing is left lying around.
#[test]
fn files_are_whole_or_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let (model, whole) = saved(folder.path(), 9);
    let file = folder.path().join("session");
    let mut session = model.session().unwrap();
    assert_eq!(
        session.save(&file).unwrap(),
        0,
        "an empty one writes nothing"
    );
    assert_eq!(std::fs::read(&file).unwrap(), whole);
    session.prefill(&[1, 2, 3], |_, _| true).unwrap();
    let missing = folder.path().join("missing/session");
    for path in [
        missing.as_path(),
        folder.path(),
        Path::new("/"),
        Path::new(""),
    ] {
        let error = session.save(path).unwrap_err();
        assert!(matches!(error, Error::Write { .. }), "{error}");
    }
    for path in [missing.as_path(), folder.path(), Path::new("/dev/null")] {
        assert!(SavedSession::open(path).is_err());
    }
    assert_eq!(session.save(&file).unwrap(), 3);
    assert_eq!(SavedSession::open(&file).unwrap().tokens(), [1, 2, 3]);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[cfg(feature = "cli")]
mod command_line {
    use super::*;
    use std::process::{Command, Output};

    fn run(arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_openelm"))
            // Measurements of the person who runs the tests are none of their business.
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .args(["generate", "--no-tune", "-n", "8"])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// The ids of the text, how many tokens of the prompt were computed, and what was said on stderr.
    fn text(prompt: &str, arguments: &[&str]) -> (Vec<u32>, u64, String) {
        let output = run(&[
            &["--token-ids", prompt, "--json", "--temperature", "0"],
            arguments,
        ]
        .concat());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        let object: Value = serde_json::from_slice(&output.stdout).unwrap();
        let computed = object["timing"]["prefill_tokens"].as_u64().unwrap();
        (common::ids(&object["ids"]), computed, errors)
    }

    #[test]
    fn the_second_run_computes_what_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache");
        let cache = file.to_str().unwrap();
        let (short, long) = ("1,306,300,301,302,303", "1,306,300,301,302,303,310,311");
        let (without, _, _) = text(short, &[]);
        let (ids, computed, errors) = text(short, &["--prompt-cache", cache]);
        assert_eq!((&ids, computed), (&without, 6));
        assert!(errors.contains("6 prompt tokens are kept in"), "{errors}");
        let before = std::fs::read(&file).unwrap();
        let (ids, computed, errors) = text(short, &["--prompt-cache", cache]);
        assert_eq!((&ids, computed), (&without, 1));
        assert!(
            errors.contains("5 of 6 prompt tokens come from"),
            "{errors}"
        );
        // Reading alone, and sampling of several texts, use it and leave it.
        let (without, _, _) = text(long, &[]);
        let arguments = ["--prompt-cache", cache, "--prompt-cache-ro"];
        assert_eq!(text(long, &arguments).0, without);
        assert_eq!(std::fs::read(&file).unwrap(), before);
        let (ids, computed, _) = text(long, &["--prompt-cache", cache]);
        assert_eq!((ids, computed), (without, 2));
        let longer = std::fs::read(&file).unwrap();
        assert!(longer.len() > before.len());
        // What has more of the prompt stays.
        assert_eq!(text(short, &["--prompt-cache", cache]).1, 1);
        assert_eq!(std::fs::read(&file).unwrap(), longer);
        let several = [
            "--temperature",
            "1",
            "--seed",
            "3",
            "--num-return-sequences",
            "2",
        ];
        let output = |more: &[&str]| {
            let output = run(&[&["--token-ids", long, "--no-echo"], &several[..], more].concat());
            assert!(output.status.success());
            output.stdout
        };
        assert_eq!(output(&["--prompt-cache", cache]), output(&[]));
        // Another prompt takes its place.
        text("1,400,401,402", &["--prompt-cache", cache]);
        assert_eq!(
            SavedSession::open(&file).unwrap().tokens(),
            [1, 400, 401, 402]
        );
    }

    #[test]
    fn what_is_no_cache_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache");
        let cache = file.to_str().unwrap();
        let refused = |arguments: &[&str], part: &str| {
            let before = std::fs::read(&file).ok();
            let prompt = ["--token-ids", "1,306,300", "--prompt-cache"];
            let output = run(&[&prompt, arguments].concat());
            let errors = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{errors}");
            assert!(
                output.stdout.is_empty() && errors.contains(part),
                "{errors}"
            );
            assert!(
                !errors.contains("panicked") && errors.contains("tip:"),
                "{errors}"
            );
            assert_eq!(std::fs::read(&file).ok(), before);
        };
        std::fs::write(&file, "My letters, which I would not like to lose.").unwrap();
        refused(&[cache], "no saved session");
        std::fs::remove_file(&file).unwrap();
        text("1,306,300", &["--prompt-cache", cache]);
        refused(&[cache, "--kv-dtype", "f32"], "--kv-dtype f16");
        refused(&[cache, "--dtype", "q8"], "--dtype f16");
        refused(&[cache, "--compute-path", "gpu"], "--compute-path software");
        let other = common::fixture("openelm-f16");
        refused(&[cache, "-m", &other.to_string_lossy()], "of the model");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.pop();
        std::fs::write(&file, bytes).unwrap();
        refused(&[cache], "damaged");
        let folder = folder.path().join("missing/cache");
        let output = run(&["--prompt-cache", folder.to_str().unwrap()]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.stdout.is_empty() && errors.contains("cannot write"),
            "{errors}"
        );
        let output = run(&["--prompt-cache-ro"]);
        assert_eq!(output.status.code(), Some(2));
    }
}

/// Telling models apart takes another reading of all weights, which nobody pays for who saves nothing.
#[test]
fn a_model_that_was_not_loaded_for_it_saves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session");
    let model = load(&common::options(None, false));
    let mut session = model.session().unwrap();
    session.prefill(&[1, 2, 3], |_, _| true).unwrap();
    assert!(matches!(session.save(&file), Err(Error::Misuse(_))));
    assert!(!file.exists());
}
