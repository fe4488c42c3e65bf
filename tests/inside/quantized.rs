//! What quantising costs: perplexity and Kullback-Leibler divergence on stories that the demo model was not trained on; and that
//! quantised files say what quantising at load says.

use std::path::Path;

use super::common::{self, fixture, message};
use super::steps;
use openelm::Tune;
use openelm::kernels::BatchClass;
use openelm::{Checkpoint, ComputePath, Dtype, Model, log_sum_exp};

fn load(path: &str, dtype: Option<Dtype>) -> Model {
    let mut options = common::options(None, true);
    options.dtype = dtype;
    Model::load(path, &options).unwrap()
}

/// Three stories, public domain (assets/demo/SOURCES.md), held out of the demo model's training.
fn stories(model: &Model) -> Vec<Vec<u32>> {
    let text = std::fs::read_to_string(fixture("valid.txt")).unwrap();
    text.trim_end()
        .split("\n\n\n")
        .map(|story| {
            let mut ids = model.encode(story).unwrap();
            ids.truncate(model.context_size());
            ids
        })
        .collect()
}

/// Logits after every token of a prompt.
fn logits(model: &Model, ids: &[u32]) -> Vec<Vec<f32>> {
    logits_of(model, ids, BatchClass::Prompt)
}

fn logits_of(model: &Model, ids: &[u32], class: BatchClass) -> Vec<Vec<f32>> {
    steps::logits(model, ids, &[usize::MAX], class)
}

/// Mean negative log-likelihood of the stories, and mean divergence from `reference`, tokens computed as of a class.
fn measure(model: &Model, reference: &[Vec<Vec<f32>>], class: BatchClass) -> (f64, f64) {
    let (mut loss, mut divergence, mut tokens, mut rows) = (0.0, 0.0, 0, 0);
    for (ids, reference) in stories(model).iter().zip(reference) {
        let ours = logits_of(model, ids, class);
        for (i, (p, q)) in reference.iter().zip(&ours).enumerate() {
            let (p_sum, q_sum) = (log_sum_exp(p), log_sum_exp(q));
            divergence += p
                .iter()
                .zip(q)
                .map(|(p, q)| {
                    let (p, q) = (f64::from(*p) - p_sum, f64::from(*q) - q_sum);
                    p.exp() * (p - q)
                })
                .sum::<f64>();
            rows += 1;
            if let Some(id) = ids.get(i + 1) {
                loss += q_sum - f64::from(q[*id as usize]);
                tokens += 1;
            }
        }
    }
    (loss / f64::from(tokens), divergence / f64::from(rows))
}

#[test]
fn perplexity_and_divergence_stay_within_bounds() {
    let exact = load("demo", Some(Dtype::F32));
    let reference: Vec<Vec<Vec<f32>>> = stories(&exact)
        .iter()
        .map(|ids| logits(&exact, ids))
        .collect();
    let (exact_loss, zero) = measure(&exact, &reference, BatchClass::Prompt);
    assert_eq!(zero, 0.0);
    assert!((3.0..4.0).contains(&exact_loss), "{exact_loss}");
    // ARCHITECTURE.md has what was measured on more text, with the runtime and with PyTorch.
    let check = |name: &str, (loss, divergence): (f64, f64), most_percent, most_divergence| {
        let percent = 100.0 * ((loss - exact_loss).exp() - 1.0);
        eprintln!("{name}: perplexity {percent:+.3} %, divergence {divergence:.6} nats");
        assert!(percent.abs() < most_percent, "{name}: {percent} %");
        assert!(divergence < most_divergence, "{name}: {divergence}");
        assert!(divergence > 1e-6, "{name}: nothing was quantised");
    };
    for (dtype, most_percent, most_divergence) in [(Dtype::Q8, 0.1, 3e-4), (Dtype::Q4, 3.0, 0.04)] {
        let measured = measure(&load("demo", Some(dtype)), &reference, BatchClass::Prompt);
        check(dtype.name(), measured, most_percent, most_divergence);
    }
    // Activations too, which prompts leave alone.
    for source in ComputePath::ALL {
        let mut options = common::options(Some(source), true);
        options.dtype = Some(Dtype::Q8);
        let Some(tuning) = common::int8_tuning(source) else {
            continue;
        };
        options.tune = Tune::Fixed(tuning);
        let model = Model::load("demo", &options).unwrap();
        let measured = measure(&model, &reference, BatchClass::Generated);
        let name = format!("q8 and activations, {} kernels", source.name());
        check(&name, measured, 0.1, 6e-4);
    }
}

#[test]
fn a_quantised_file_gives_the_same_bits_as_quantising_at_load() {
    let parent = tempfile::tempdir().unwrap();
    for dtype in [Dtype::Q8, Dtype::Q4] {
        let folder = parent.path().join(dtype.name());
        Checkpoint::open("demo")
            .unwrap()
            .write_quantized(&folder, dtype, |_, _| {})
            .unwrap();
        let path = folder.to_string_lossy().into_owned();
        let (file, at_load) = (load(&path, None), load("demo", Some(dtype)));
        assert_eq!(file.dtype(), dtype);
        let ids = at_load.encode("There was once a king").unwrap();
        assert_eq!(file.encode("There was once a king").unwrap(), ids);
        assert_eq!(logits(&file, &ids), logits(&at_load, &ids));
        // What is quantised can still be widened.
        let widened = load(&path, Some(Dtype::F32));
        for (a, b) in logits(&widened, &ids).iter().zip(logits(&file, &ids)) {
            for (a, b) in a.iter().zip(b) {
                assert!((a - b).abs() < 1e-3);
            }
        }
        let text = message(Checkpoint::open("demo").unwrap().write_quantized(
            &folder,
            dtype,
            |_, _| {},
        ));
        assert!(text.contains("exists"), "nothing is overwritten: {text}");
    }
    let unquantised = Checkpoint::open("demo").unwrap();
    let text =
        message(unquantised.write_quantized(&parent.path().join("f16"), Dtype::F16, |_, _| {}));
    assert!(text.contains("q8 and q4"), "{text}");
}

/// What goes wrong on the way leaves nothing behind, takes nothing away, and is told with the name of the file.
#[test]
fn a_folder_is_written_whole_or_not_at_all() {
    let demo = Checkpoint::open("demo").unwrap();
    let names = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    for side_file in ["config.json", "generation_config.json", "tokenizer.json"] {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("q4");
        let text = message(demo.write_quantized(&folder, Dtype::Q4, |done, total| {
            assert!(!folder.exists(), "only once it is whole");
            if done == total {
                // A folder cannot be written to like a file.
                let unfinished = parent.path().join(&names(parent.path())[0]);
                std::fs::create_dir(unfinished.join(side_file)).unwrap();
            }
        }));
        let path = folder.join(side_file).display().to_string();
        assert!(text.contains(&path), "{text}");
        assert_eq!(names(parent.path()), [""; 0]);
        // What was in the way is gone.
        demo.write_quantized(&folder, Dtype::Q4, |_, _| {}).unwrap();
        assert_eq!(names(parent.path()), ["q4"]);
    }
    // Somebody else writes the same folder meanwhile.
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("q4");
    let text = message(demo.write_quantized(&folder, Dtype::Q4, |done, total| {
        if done == total {
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("theirs"), "").unwrap();
        }
    }));
    assert!(text.contains(&folder.display().to_string()), "{text}");
    assert_eq!(names(parent.path()), ["q4"]);
    assert_eq!(names(&folder), ["theirs"]);
    // Somebody who was killed left his.
    let left = parent.path().join("q8.part-0");
    std::fs::create_dir(&left).unwrap();
    let folder = parent.path().join("q8");
    demo.write_quantized(&folder, Dtype::Q8, |_, _| {}).unwrap();
    assert!(left.exists() && folder.join("config.json").exists());
    // A parent that is not there.
    let folder = parent.path().join("none/q4");
    let text = message(demo.write_quantized(&folder, Dtype::Q4, |_, _| {}));
    assert!(text.contains("none"), "{text}");
    #[cfg(unix)]
    {
        let link = parent.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        let text = message(demo.write_quantized(&link, Dtype::Q4, |_, _| {}));
        assert!(text.contains("exists"), "{text}");
        assert!(link.is_symlink());
    }
}

#[test]
fn both_sources_agree_on_quantised_weights() {
    for dtype in [Dtype::Q8, Dtype::Q4] {
        let [buffer, texture] = ComputePath::ALL.map(|source| {
            let mut options = common::options(Some(source), true);
            options.dtype = Some(dtype);
            Model::load("demo", &options).unwrap()
        });
        let ids: Vec<u32> = (1..40).collect();
        for (a, b) in logits(&buffer, &ids).iter().zip(logits(&texture, &ids)) {
            for (a, b) in a.iter().zip(b) {
                assert!((a - b).abs() < 1e-3, "{dtype}: {a} and {b}");
            }
        }
    }
}

/// A quantised file that was cut or mixed up is refused like any other.
#[test]
fn broken_quantised_files_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("q8");
    let demo = Checkpoint::open("demo").unwrap();
    demo.write_quantized(&folder, Dtype::Q8, |_, _| {}).unwrap();
    let path = folder.join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    assert!(message(common::open(&folder)).contains("not a safetensors file, or not all of it"));
    // The configuration of a model with another vocabulary.
    std::fs::write(&path, &whole).unwrap();
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let other = config.replace("\"vocab_size\": 4096", "\"vocab_size\": 4000");
    assert_ne!(config, other);
    std::fs::write(folder.join("config.json"), other).unwrap();
    let text = message(common::open(&folder));
    assert!(
        text.contains("has shape") && text.contains("q8 or q4"),
        "{text}"
    );
}
