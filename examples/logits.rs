//! Below the session: steps and logits, with a sampler of one's own. This one is greedy, but never says the same word twice in a
//! row, and shows how sure the model was.
//!
//!     cargo run --release --example logits

use openelm::model::StepToken;
use openelm::{LoadOptions, Model, log_sum_exp};

fn main() -> openelm::Result<()> {
    let model = Model::load("demo", &LoadOptions::default())?;
    let tokenizer = model.require_tokenizer()?;
    let mut forward = model.network().forward()?;
    let mut ids = model.encode("There was once a poor man")?;
    let mut done = 0;

    while ids.len() < 40 {
        // The first step is the whole prompt, each later one the newest token.
        let step: Vec<StepToken> = (done..ids.len())
            .map(|position| StepToken {
                id: ids[position],
                position: position as u32,
            })
            .collect();
        done = ids.len();
        let last = ids[done - 1];
        let mut next = (last, 0.0);
        forward.step(&step, &[step.len() as u32 - 1], |_, logits| {
            let best = (0..logits.len())
                .filter(|id| *id != last as usize)
                .max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
                .unwrap_or(0);
            let logprob = f64::from(logits[best]) - log_sum_exp(logits);
            next = (best as u32, logprob.exp());
        })?;
        let (id, probability) = next;
        println!(
            "{:5.1} %  {}",
            100.0 * probability,
            tokenizer.token(id).unwrap_or_default()
        );
        if id == model.config().eos_token_id {
            break;
        }
        ids.push(id);
    }
    println!("\n{}", tokenizer.decode(&ids)?);
    Ok(())
}
