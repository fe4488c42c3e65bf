//! Which ending does the model find most probable? Scores each and sorts them, as multiple-choice evaluations do.
//!
//!     cargo run --release --example rank

use openelm::{LoadOptions, Model};

const BEGINNING: &str = "The king called his three daughters and";
const ENDINGS: [&str; 4] = [
    " said to them, \"Which of you loves me best?\"",
    " to them said, \"Of you me loves which best?\"",
    " multiplied the matrix by its inverse.",
    " gave each of them a golden apple.",
];

fn main() -> openelm::Result<()> {
    let model = Model::load("demo", &LoadOptions::default())?;
    let mut session = model.session()?;
    let prompt_length = model.encode(BEGINNING)?.len();
    let mut ranked = Vec::new();
    for ending in ENDINGS {
        let ids = model.encode(&format!("{BEGINNING}{ending}"))?;
        let score = session.score(&ids, 0)?;
        // Of the ending alone, and a token on average: long endings are not to blame for their length.
        let logprobs: Vec<f32> = score.logprobs[prompt_length..]
            .iter()
            .copied()
            .flatten()
            .collect();
        let mean = logprobs.iter().sum::<f32>() / logprobs.len() as f32;
        ranked.push((mean, ending));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("{BEGINNING}");
    for (mean, ending) in ranked {
        println!("{mean:8.3}  {ending}");
    }
    Ok(())
}
