//! `openelm score`: how probable a text is, token by token.

use std::fmt::Write;

use anyhow::Result;
use serde_json::json;

use super::args::Score;
use super::output::{self, Bar};

pub fn run(arguments: &Score) -> Result<()> {
    let files = arguments.prompt.open(&arguments.model)?;
    let ids = arguments.prompt.ids(&files, &arguments.model, None)?;
    let model = arguments.model.load(files)?;
    let bar = Bar::new("scoring", false);
    let score = model
        .session()?
        .score_with_progress(&ids, arguments.top, |done, total| {
            bar.set(done as u64, total as u64);
        })?;
    bar.clear();
    output::notices(&model);
    if arguments.json {
        let object = json!({ "ids": ids, "logprobs": score.logprobs, "next": score.next });
        return output::write(&format!("{object}\n"));
    }
    let spelled = |id: u32| {
        let token = model.tokenizer().and_then(|tokenizer| tokenizer.token(id));
        token.unwrap_or_default()
    };
    let mut text = format!("{:>8}  {:>9}  token\n", "id", "logprob");
    for (id, logprob) in ids.iter().zip(&score.logprobs) {
        let logprob = logprob.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
        writeln!(text, "{id:>8}  {logprob:>9}  {}", spelled(*id))?;
    }
    writeln!(text, "\nnext\n{:>8}  {:>9}  token", "id", "logprob")?;
    for next in &score.next {
        writeln!(
            text,
            "{:>8}  {:>9.4}  {}",
            next.id,
            next.logprob,
            spelled(next.id)
        )?;
    }
    output::write(&text)
}
