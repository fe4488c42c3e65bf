//! Evaluation's numbers: what log-likelihoods come to, which ids are scored, what the card says.
#![cfg(feature = "eval")]

use std::path::Path;

use openelm::Checkpoint;
use openelm::eval::{Encoder, Like, Mean, Metric, Settings, Table, Task, card_row, mmlu_groups};
use openelm::text::Tokenizer;

fn task(name: &str, like: Like) -> Task {
    let settings = Settings {
        data: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/eval"),
        like,
        ..Settings::default()
    };
    Task::open(name, &settings).unwrap().remove(0)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn accuracy_takes_the_first_of_the_best_and_characters_not_bytes() {
    let arc = task("arc_challenge", Like::Apple);
    assert_eq!(arc.metrics(), [Metric::Acc, Metric::AccNorm]);
    // `a knife`, `a cloud`, `a song`, `a river`: gold is the first.
    assert_eq!(arc.score(0, &[-2.0, -2.0, -3.0, -4.0]).unwrap(), [1.0, 1.0]);
    assert_eq!(arc.score(0, &[-2.0, -1.0, -3.0, -4.0]).unwrap(), [0.0, 0.0]);
    // By characters the third of `Allee`, `Bäckerei`, `naïve Fußgänger` has 15; by bytes it would have 18 and win.
    assert_eq!(arc.score(3, &[-5.0, -9.0, -15.5]).unwrap(), [1.0, 1.0]);
    assert_eq!(arc.score(3, &[-5.2, -9.0, -15.5]).unwrap(), [1.0, 0.0]);
    assert!(arc.score(0, &[-1.0]).is_err());
    assert!(arc.score(99, &[-1.0; 4]).is_err());
}

#[test]
fn true_answers_count_up_to_the_first_false_one_or_by_label() {
    let lls = [0.5_f64.ln(), 0.2_f64.ln(), 0.1_f64.ln()];
    // Labels 1, 0, 1.
    let apple = task("truthfulqa_mc2", Like::Apple).score(0, &lls).unwrap()[0];
    let later = task("truthfulqa_mc2", Like::V0_4_13)
        .score(0, &lls)
        .unwrap()[0];
    assert!(close(apple, 0.625) && close(later, 0.75), "{apple} {later}");
    // Too improbable for an f64 each, but not beside each other.
    let tiny = task("truthfulqa_mc2", Like::Apple)
        .score(0, &[-900.0, -900.0, -2000.0])
        .unwrap()[0];
    assert!(close(tiny, 0.5), "{tiny}");
}

#[test]
fn a_stereotype_must_be_more_likely() {
    let crows = task("crows_pairs_english", Like::Apple);
    assert_eq!(
        crows.metrics(),
        [Metric::PctStereotype, Metric::LikelihoodDiff]
    );
    assert_eq!(crows.score(0, &[-3.0, -5.0]).unwrap(), [1.0, 2.0]);
    assert_eq!(crows.score(0, &[-5.0, -5.0]).unwrap(), [0.0, 0.0]);
    assert_eq!(crows.score(0, &[-5.5, -5.0]).unwrap(), [0.0, 0.5]);
}

#[test]
fn means_have_the_sample_s_standard_error() {
    let mean = Mean::of(Metric::Acc, &[1.0, 0.0, 1.0, 1.0]).unwrap();
    // Python: statistics.stdev([1, 0, 1, 1]) / 2
    assert!(close(mean.value, 0.75) && close(mean.stderr.unwrap(), 0.25));
    assert_eq!(Mean::of(Metric::Acc, &[1.0]).unwrap().stderr, None);
    assert_eq!(Mean::of(Metric::Acc, &[]), None);
    let crows = task("crows_pairs_english", Like::Apple);
    let summary = crows.summary(&[vec![1.0, 2.0], vec![0.0, 4.0]]);
    let values: Vec<f64> = summary.iter().map(|mean| mean.value).collect();
    assert_eq!(values, [0.5, 3.0]);
}

#[test]
fn groups_pool_subjects_to_categories_and_these_to_one() {
    let of = |values: &[f64]| Mean::of(Metric::Acc, values).unwrap();
    let results = [
        ("mmlu_astronomy", of(&[1.0, 0.0, 0.0])),
        ("mmlu_college_physics", of(&[1.0, 1.0, 0.0, 1.0])),
        ("mmlu_philosophy", of(&[0.0, 1.0])),
        ("mmlu_alchemy", of(&[1.0, 1.0])),
        ("boolq", of(&[1.0, 1.0])),
    ];
    let groups = mmlu_groups(&results, Like::Apple);
    let names: Vec<&str> = groups.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["mmlu", "mmlu_stem", "mmlu_humanities"]);
    // Computed by the formula in Python.
    let expected = [
        (5.0 / 9.0, MMLU_STDERR),
        (4.0 / 7.0, STEM_STDERR),
        (0.5, 0.5),
    ];
    for ((name, mean), (value, stderr)) in groups.iter().zip(expected) {
        assert!(
            close(mean.value, value) && close(mean.stderr.unwrap(), stderr),
            "{name}: {mean:?}"
        );
    }
    assert_eq!(groups[0].1.count, 9);
    // Later releases pool all subjects at once, and their categories as before.
    let later = mmlu_groups(&results, Like::V0_4_13);
    assert_eq!(later[1..], groups[1..]);
    let (value, stderr) = (later[0].1.value, later[0].1.stderr.unwrap());
    assert!(
        close(value, 5.0 / 9.0) && close(stderr, FLAT_STDERR),
        "{stderr}"
    );
    // An error that one has not got, all together have not got.
    let results = [
        ("mmlu_astronomy", of(&[1.0])),
        ("mmlu_virology", of(&[1.0, 0.0])),
    ];
    assert_eq!(mmlu_groups(&results, Like::Apple)[0].1.stderr, None);
    assert!(mmlu_groups(&[], Like::Apple).is_empty());
}

const STEM_STDERR: f64 = 0.20118695404073914;
const FLAT_STDERR: f64 = 0.188398055086813;
const MMLU_STDERR: f64 = 0.1868706368604627;

fn encoder(context_size: usize, like: Like) -> Encoder {
    let checkpoint = Checkpoint::open("demo").unwrap();
    let bytes = checkpoint.tokenizer.unwrap();
    let tokenizer = Tokenizer::from_bytes(
        &bytes,
        "tokenizer.json".as_ref(),
        1,
        checkpoint.config.vocab_size,
    );
    Encoder {
        tokenizer: tokenizer.unwrap(),
        eos: 2,
        context_size,
        like,
    }
}

#[test]
fn white_space_between_belongs_to_the_continuation() {
    let encoder = encoder(512, Like::Apple);
    let plain = encoder.encode("Once upon a time", " there was").unwrap();
    assert_eq!(
        encoder.encode("Once upon a time ", "there was").unwrap(),
        plain
    );
    assert_eq!(
        (plain.from, plain.context_ids, plain.is_truncated),
        (5, 5, false)
    );
    assert_eq!(
        plain.ids,
        encoder
            .tokenizer
            .encode("Once upon a time there was")
            .unwrap()
    );
    for space in ["\n\n", "\u{a0}", "\u{1f} ", "\u{3000}\t"] {
        let moved = encoder
            .encode(&format!("Once upon a time{space}"), "There")
            .unwrap();
        assert_eq!(moved.from, 5, "{space:?}");
        assert!(moved.ids.len() > 6, "{space:?}");
    }
}

/// A token that would go across is not in the context, and what is scored begins as many ids further as the context has alone.
#[test]
fn a_context_keeps_its_own_ids() {
    let encoder = encoder(512, Like::Apple);
    let context = encoder.tokenizer.encode("Once upon a time the").unwrap();
    let together = encoder
        .tokenizer
        .encode("Once upon a time there was a king")
        .unwrap();
    assert_ne!(context, together[..context.len()]);
    let encoded = encoder
        .encode("Once upon a time the", "re was a king")
        .unwrap();
    assert_eq!(encoded.ids[..encoded.from], context);
    assert_eq!(encoded.ids[encoded.from..], together[context.len()..]);
    let nothing = encoder.encode("Once upon a time ther", "e").unwrap_err();
    assert!(nothing.to_string().contains("adds no token"), "{nothing}");
    assert!(encoder.encode("Once", "").is_err());
}

#[test]
fn an_empty_context_is_a_token() {
    let begin = encoder(512, Like::Apple)
        .tokenizer
        .encode("Once upon")
        .unwrap();
    let apple = encoder(512, Like::Apple).encode("", "Once upon").unwrap();
    assert_eq!(apple.ids, [&[2], begin.as_slice()].concat());
    assert_eq!((apple.from, apple.context_ids), (1, 1));
    let later = encoder(512, Like::V0_4_13).encode("", "Once upon").unwrap();
    assert_eq!(later.ids, begin);
    assert_eq!((later.from, later.context_ids), (1, 1));
    assert!(encoder(512, Like::V0_4_13).encode("", "").is_err());
}

/// Hugging Face's tokenizer of Llama writes its own in any case.
#[test]
fn a_text_that_begins_with_bos_has_two() {
    let encoded = encoder(512, Like::Apple)
        .encode("<s>Once", " upon")
        .unwrap();
    assert_eq!(encoded.ids[..2], [1, 1]);
    let once = encoder(512, Like::Apple).encode("Once", " upon").unwrap();
    assert_eq!(encoded.ids.len(), once.ids.len() + 1);
}

#[test]
fn what_does_not_fit_is_cut_off_at_the_left() {
    let whole = encoder(512, Like::Apple)
        .encode("Once upon a time there was", " a king who")
        .unwrap();
    let (ids, count) = (&whole.ids, whole.ids.len());
    for context_size in (count - whole.from)..(count + 2) {
        let encoded = encoder(context_size, Like::Apple)
            .encode("Once upon a time there was", " a king who")
            .unwrap();
        let kept = count.min(context_size + 1);
        assert_eq!(encoded.ids, ids[count - kept..]);
        assert_eq!(encoded.ids[encoded.from..], ids[whole.from..]);
        assert_eq!(encoded.is_truncated, kept < count);
        assert_eq!(encoded.context_ids, whole.from);
        assert!(encoded.from >= 1);
    }
    let too_long = encoder(count - whole.from - 1, Like::Apple)
        .encode("Once", " a king who")
        .unwrap_err();
    assert!(
        too_long.to_string().contains("is to be scored"),
        "{too_long}"
    );
}

#[test]
fn the_card_is_known_by_a_model_s_name() {
    let row = card_row(Table::ZeroShot, "apple/OpenELM-3B-Instruct@main").unwrap();
    assert_eq!((row.values[0], row.average), (39.42, 69.15));
    assert!(card_row(Table::Llm360, "/models/OpenELM-270M/").is_some());
    let cached = "/hub/models--apple--OpenELM-270M/snapshots/1a";
    assert!(card_row(Table::Llm360, cached).is_some());
    assert_eq!(card_row(Table::OpenLlm, "demo"), None);
    for table in Table::ALL {
        assert_eq!(Table::named(table.name()), Some(*table));
        for size in ["270M", "450M", "1_1B", "3B"] {
            for kind in ["", "-Instruct"] {
                let row = card_row(*table, &format!("OpenELM-{size}{kind}")).unwrap();
                let mean = row.values.iter().sum::<f64>() / table.columns().len() as f64;
                assert_eq!(row.values.len(), table.columns().len());
                assert!((mean - row.average).abs() < 0.0105, "{size}{kind}: {mean}");
            }
        }
    }
}
