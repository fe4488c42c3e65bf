//! Logits from a session, with a sampler of one's own. This one is greedy, but never says the same word twice in a
//! row, and shows how sure the model was.
//!
//!     cargo run --release --example logits

use openelm::{LoadOptions, Model, log_sum_exp};

fn main() -> openelm::Result<()> {
    let model = Model::load("demo", &LoadOptions::default())?;
    let tokenizer = model.require_tokenizer()?;
    let mut session = model.session()?;
    let mut ids = model.encode("There was once a poor man")?;

    while ids.len() < 40 {
        let last = ids[ids.len() - 1];
        // The first time this computes the whole prompt, later the newest token only.
        let logits = session.next_logits(&ids)?;
        let best = (0..logits.len())
            .filter(|id| *id != last as usize)
            .max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
            .unwrap_or(0);
        let probability = (f64::from(logits[best]) - log_sum_exp(logits)).exp();
        let id = best as u32;
        println!(
            "{:5.1} %  {}",
            100.0 * probability,
            tokenizer.token(id).unwrap_or_default()
        );
        if model.eos_token_ids().contains(&id) {
            break;
        }
        ids.push(id);
    }
    println!("\n{}", tokenizer.decode(&ids)?);
    Ok(())
}
