//! `openelm eval --dump-requests` and `--from-results`: the model is asked by other processes.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use openelm::eval::{Answers, Results, requests};

use super::super::output::{self, Bar};
use super::questions::Questions;

/// Writes a line for each choice of each item, in their order.
pub fn dump(questions: &Questions, path: &Path) -> Result<()> {
    if path == Path::new("-") {
        // A broken pipe is told apart from other errors by being without context.
        let mut out = BufWriter::new(std::io::stdout().lock());
        let lines = write(questions, &mut out)?;
        out.flush()?;
        drop(out);
        return say(lines, questions);
    }
    let cannot = || format!("cannot write {}", path.display());
    let mut out = BufWriter::new(File::create(path).with_context(cannot)?);
    let lines = write(questions, &mut out).with_context(cannot)?;
    out.flush().with_context(cannot)?;
    say(lines, questions)
}

fn write(questions: &Questions, out: &mut impl Write) -> Result<usize> {
    let bar = Bar::of_items("writing");
    let total: usize = questions.tasks().iter().map(|task| task.len()).sum();
    let (mut lines, mut items) = (0, 0);
    for task in questions.tasks() {
        for doc in 0..task.len() {
            for request in requests(task, &questions.encoder, doc)? {
                let line = serde_json::to_string(&request)? + "\n";
                out.write_all(line.as_bytes())?;
                lines += 1;
            }
            items += 1;
            bar.set(items, total as u64);
        }
    }
    bar.clear();
    Ok(lines)
}

fn say(lines: usize, questions: &Questions) -> Result<()> {
    output::note(&format!(
        "[{lines} requests; `openelm generate --jsonl` answers them, with the same model and a context of {} or more]",
        questions.encoder.context_size
    ));
    Ok(())
}

/// Reads what came of the requests.
pub fn answers(questions: &Questions, path: &Path) -> Result<Answers> {
    let results = match path == Path::new("-") {
        true => Results::read(&mut std::io::stdin().lock(), Path::new("standard input"))?,
        false => {
            let cannot = || format!("cannot read {}", path.display());
            let file = File::open(path).with_context(cannot)?;
            if file.metadata().with_context(cannot)?.is_dir() {
                bail!("{} is a folder, not a file of results", path.display());
            }
            Results::read(&mut BufReader::new(file), path)?
        }
    };
    let bar = Bar::of_items("reading");
    let (answers, others) =
        results.answers(questions.tasks(), &questions.encoder, |done, total| {
            bar.set(done as u64, total as u64);
        })?;
    bar.clear();
    if results.repeated() > 0 {
        output::note(&format!(
            "[{} results came more than once, with the same numbers]",
            results.repeated()
        ));
    }
    if others > 0 {
        output::note(&format!(
            "[{others} results are of other requests, and were passed over]"
        ));
    }
    Ok(answers)
}
