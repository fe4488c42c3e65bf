//! `openelm generate --prompts` and `--jsonl`: many prompts from lines of JSON, many at a time, a line of results for each. `--prompts` is a
//! batch, whose results are kept; `--jsonl` is the protocol of a worker, whose lines come from a program.

mod lines;
pub(super) mod prompt;
mod results;

use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use openelm::{Error, GenerateOptions, Model, PoolEvent, Text, TextPool};
use serde_json::value::RawValue;

use super::args::Generate;
use super::output::{self, Bar, Interrupted, cancel_on_ctrl_c};
use super::request::{Own, Settings};
use lines::{Line, Source};
use prompt::{Prompt, Task};
use results::{Outcome, Record, Results};

/// How often somebody is asked whether they still want it, while nothing comes.
const PATIENCE: Duration = Duration::from_millis(100);

/// Whose a text is.
struct Asked {
    line: u64,
    id: Option<Box<RawValue>>,
    /// Of line and settings, where results are kept.
    request: Option<String>,
    is_random: bool,
    is_score: bool,
}

#[derive(Default)]
struct Counts {
    /// Lines that were dealt with.
    lines: u64,
    texts: u64,
    tokens: u64,
    /// Lines whose ids were scored.
    scored: u64,
    /// Texts that were there already.
    kept: u64,
    failed: u64,
    first_failure: Option<(u64, String)>,
    warned: bool,
}

struct Batch<'a> {
    arguments: &'a Generate,
    settings: Settings,
    /// Settings as text: texts of other settings are others. `None` where nothing is kept.
    fingerprint: Option<String>,
    model: Model,
    /// Of the first line, where none is given; each line has one more than that before.
    seed: u64,
    pool: TextPool<Asked>,
    results: Results,
    counts: Counts,
}

pub fn run(arguments: &Generate, lines: &Path) -> Result<()> {
    let is_worker = arguments.batch.jsonl.is_some();
    // All that can be a mistake first: loading takes long.
    let files = arguments.model.open()?;
    let settings = Settings::new(&arguments.generation)?.of_one_text();
    let request = settings.request(files.generation_config(), 1)?;
    files.check_options(&request.options)?;
    one_text(request.count)?;
    let warned = request.warn();
    if request.options.speculation.is_some() {
        output::note(
            "openelm: warning: prompt_lookup_num_tokens has no effect on many prompts, whose steps are full already",
        );
    }
    let source = lines::open(lines)?;
    let out = arguments.batch.out.as_deref();
    let canonical = |path: &Path| path.canonicalize().ok();
    if out
        .and_then(canonical)
        .is_some_and(|out| Some(out) == canonical(lines))
    {
        bail!("--prompts and --out are the same file");
    }
    // Who waits for one answer must not have to wait for another.
    let is_ordered = !(is_worker || arguments.batch.unordered);
    let results = Results::open(out, is_ordered)?;
    let model = arguments.model.load(files)?;
    // From here on; until then Ctrl-C simply ends the program.
    let cancel = cancel_on_ctrl_c();
    let mut batch = Batch {
        arguments,
        settings,
        fingerprint: (!is_worker).then(|| fingerprint(arguments)),
        seed: openelm::clock_seed(),
        pool: model.text_pool(),
        model,
        results,
        counts: Counts {
            warned,
            ..Counts::default()
        },
    };
    let done = batch.write(source, &cancel);
    output::notices(&batch.model);
    // What is done is kept, whatever went wrong.
    batch.results.write_waiting()?;
    done?;
    batch.results.tidy()?;
    match is_worker {
        // Whoever asked was told, line by line.
        true => Ok(()),
        false => batch.counts.outcome(),
    }
}

impl Batch<'_> {
    /// Writes the texts of all lines.
    fn write(&mut self, source: Source, cancel: &AtomicBool) -> Result<()> {
        let Source { lines, count } = source;
        let bar = Bar::of_lines(count.is_some());
        // Lines of results would run into it; and nobody looks at a worker.
        let has_bar = self.fingerprint.is_some()
            && (self.results.path().is_some() || !std::io::stdout().is_terminal());
        let begin = Instant::now();
        let mut has_more = true;
        while has_more || !self.pool.is_empty() {
            if cancel.load(Ordering::Relaxed) {
                bar.clear();
                return Err(Interrupted(self.interrupted()).into());
            }
            while has_more && !self.pool.is_full() && self.results.has_room() {
                let line = match self.pool.is_empty() {
                    true => lines.recv_timeout(PATIENCE),
                    false => lines.try_recv().map_err(|error| match error {
                        TryRecvError::Empty => RecvTimeoutError::Timeout,
                        TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                    }),
                };
                match line {
                    Ok(line) => self.take(line.context("cannot read the prompts")?)?,
                    Err(RecvTimeoutError::Disconnected) => has_more = false,
                    Err(RecvTimeoutError::Timeout) => break,
                }
            }
            let tokens = &mut self.counts.tokens;
            for (asked, text) in self.pool.step(|_, event| {
                *tokens += u64::from(matches!(event, PoolEvent::Token(_)));
            })? {
                self.end(asked, text)?;
            }
            if has_bar {
                let rate = self.counts.tokens as f64 / begin.elapsed().as_secs_f64().max(1e-9);
                bar.say(format!("{rate:.1} tok/s"));
                bar.set(self.counts.lines, count.unwrap_or(0));
            }
        }
        bar.clear();
        let Counts {
            texts,
            tokens,
            scored,
            kept,
            ..
        } = self.counts;
        let seconds = begin.elapsed().as_secs_f64();
        let scored = match scored {
            0 => String::new(),
            1 => "; 1 line scored".to_owned(),
            scored => format!("; {scored} lines scored"),
        };
        let kept = match kept {
            0 => String::new(),
            kept => format!("; {kept} were there already"),
        };
        output::note(&format!(
            "[{}, {}; {texts} texts of together {tokens} tokens in {seconds:.1} s, {:.1} tok/s{scored}{kept}]",
            self.model.adapter().name,
            self.model.dtype(),
            tokens as f64 / seconds.max(1e-9),
        ));
        Ok(())
    }

    /// Asks for the text of a line, unless it is there.
    fn take(&mut self, line: Line) -> Result<()> {
        let Line { number, text } = line;
        let request = match (&self.fingerprint, &text) {
            (Some(fingerprint), Ok(text)) => Some(fnv1a(&[fingerprint, text])),
            _ => None,
        };
        match self.results.request_of(number) {
            Some(written) if Some(written) == request.as_deref() => {
                self.counts.kept += 1;
                self.counts.lines += 1;
                return Ok(());
            }
            Some(_) => {
                let path = self.results.path().unwrap_or(Path::new("-")).display();
                bail!(
                    "{path} has a text for line {number} already, of another prompt or with other settings; name another file with --out, \
                     or remove that one to begin anew"
                )
            }
            None => self.results.queue(number),
        }
        let (id, asked) = match text {
            Ok(text) => prompt::parse(&text),
            Err(what) => (None, Err(what)),
        };
        let asked = asked.and_then(|task| match task {
            Task::Continue(prompt, own) => self
                .asked(number, prompt, own)
                .map_err(|error| format!("{error:#}")),
            Task::Score { ids, from } => Ok((ids, GenerateOptions::scoring(from, 0))),
        });
        match asked {
            Ok((ids, options)) => {
                let asked = Asked {
                    line: number,
                    id,
                    request,
                    is_random: options.sampling.temperature > 0.0,
                    is_score: options.prompt_logprobs.is_some(),
                };
                self.pool.push(asked, ids, options);
                Ok(())
            }
            Err(what) => self.fail(number, id.as_deref(), what),
        }
    }

    /// The ids that a text is to follow, and how.
    fn asked(
        &mut self,
        line: u64,
        prompt: Prompt,
        own: Own,
    ) -> Result<(Vec<u32>, GenerateOptions)> {
        let ids = match prompt {
            Prompt::Ids(ids) => ids,
            Prompt::Text(text) if text.is_empty() => return Err(Error::EmptyPrompt.into()),
            Prompt::Text(text) => {
                self.model.check_text(&text)?;
                self.model.encode(&text)?
            }
        };
        let seed = self.seed.wrapping_add(line);
        let settings = self.settings.clone().with(own).or_seed(seed);
        let request = settings.request(self.model.generation_config(), ids.len())?;
        self.model.check_options(&request.options)?;
        one_text(request.count)?;
        self.counts.warned = self.counts.warned || request.warn();
        let mut options = request.options;
        // Rows of other texts are worth more than rows of what may follow. It changes no text.
        options.speculation = None;
        Ok((ids, options))
    }

    fn end(&mut self, asked: Asked, text: openelm::Result<Text>) -> Result<()> {
        let Asked { line, id, .. } = &asked;
        let text = match text {
            Ok(text) => text,
            Err(error) => return self.fail(*line, id.as_deref(), error.to_string()),
        };
        self.counts.lines += 1;
        let (logprobs, greedy): (Vec<f32>, Vec<bool>) = text
            .prompt_logprobs
            .iter()
            .map(|token| (token.logprob, token.is_greedy))
            .unzip();
        let outcome = match asked.is_score {
            true => Outcome::Scores {
                logprobs: &logprobs,
                greedy: &greedy,
            },
            false => Outcome::Text {
                ids: &text.ids,
                text: self.model.tokenizer().map(|_| &text.text[..]),
                finish_reason: text.finish,
                logprobs: self.arguments.batch.logprobs.then_some(&text.logprobs[..]),
                seed: asked.is_random.then_some(text.seed),
            },
        };
        let count = match asked.is_score {
            true => &mut self.counts.scored,
            false => &mut self.counts.texts,
        };
        *count += 1;
        self.results.add(&Record {
            line: *line,
            id: id.as_deref(),
            outcome,
            request: asked.request.as_deref(),
        })
    }

    fn fail(&mut self, line: u64, id: Option<&RawValue>, what: String) -> Result<()> {
        self.results.add(&Record {
            line,
            id,
            outcome: Outcome::Error { error: &what },
            request: None,
        })?;
        self.counts.lines += 1;
        self.counts.failed += 1;
        self.counts.first_failure.get_or_insert((line, what));
        Ok(())
    }

    fn interrupted(&self) -> String {
        let Counts { texts, kept, .. } = self.counts;
        let rest = match self.results.path() {
            Some(_) => "; the same command goes on from there",
            None => "",
        };
        format!("ended with {} texts written{rest}", texts + kept)
    }
}

impl Counts {
    fn outcome(self) -> Result<()> {
        match self.first_failure {
            None => Ok(()),
            Some((line, what)) => bail!(
                "{} lines failed, as their results say; the first is line {line}: {what}",
                self.failed
            ),
        }
    }
}

fn one_text(count: usize) -> Result<()> {
    match count {
        1 => Ok(()),
        _ => bail!(
            "num_return_sequences is {count}; of many prompts each gives one text, and may be there several times with other seeds"
        ),
    }
}

/// All that a text follows from beside its line, but for the seed of the clock.
fn fingerprint(arguments: &Generate) -> String {
    let model = &arguments.model;
    // What is usual is not named, so that results of earlier versions stay.
    let prefill = match model.has_f16_prefill() {
        true => " f16 prefill",
        false => "",
    };
    let others = (&model.lora, &model.hub.revision, &model.hub.tokenizer_repo);
    let others = match others == (&Vec::new(), &None, &None) {
        true => String::new(),
        false => format!(" {others:?}"),
    };
    format!(
        "{:?}{prefill}{others}",
        (
            &model.model,
            &model.tokenizer,
            model.dtype,
            model.kv_dtype,
            model.ctx_size,
            model.activations,
            &arguments.generation,
            arguments.batch.logprobs,
        )
    )
}

/// The same for the same texts on every machine and with every version: FNV-1a, 64 bits.
fn fnv1a(texts: &[&str]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for text in texts {
        for byte in text.bytes().chain([b'\n']) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}
