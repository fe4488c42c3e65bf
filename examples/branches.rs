//! One beginning, several stories: the session keeps the prompt's keys and values, so each branch computes only what is new.
//!
//!     cargo run --release --example branches

use openelm::{GenerateOptions, LoadOptions, Model};

fn main() -> openelm::Result<()> {
    let model = Model::load("demo", &LoadOptions::default())?;
    let mut session = model.session()?;
    let prompt = model.encode("Once upon a time there was a little mouse who")?;
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(30);
    options.sampling = model.sampling_defaults();

    for seed in 1..=3 {
        options.sampling.seed = seed;
        let mut generation = session.generate(&prompt, &options)?;
        let mut text = String::new();
        for token in generation.by_ref() {
            text += &token?.text;
        }
        let timing = generation.timing();
        println!(
            "[{} of {} prompt tokens computed in {:.1} ms] …{}\n",
            timing.prefill_tokens,
            prompt.len(),
            timing.prefill.as_secs_f64() * 1e3,
            text.trim_end(),
        );
    }
    Ok(())
}
