//! `openelm eval`: a model's scores in the tasks of the model card.

mod exchange;
mod questions;
mod table;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args};
use openelm::eval::{
    Answers, Encoder, Job, Like, Records, Report, Selection, Settings, Table, Task, ask, notes,
    notes_of_options, plan,
};
use openelm::hub::TokenizerNeed;
use openelm::{Dtype, Error, Model, ModelFiles};
use serde_json::{Value, json};

use super::args::ModelArgs;
use super::files::{check_writable, replace_file};
use super::output::{self, Bar, Interrupted, cancel_on_ctrl_c};
use questions::Questions;

#[derive(Args)]
#[command(group = ArgGroup::new("as_json").args(["out", "json"]).multiple(true))]
pub struct Eval {
    #[command(flatten)]
    pub model: ModelArgs,
    /// What to ask: tables of the card (zero-shot, llm360, openllm), and tasks such as arc_easy or mmlu_anatomy
    #[arg(long, value_name = "NAME", value_delimiter = ',', required = true)]
    pub tasks: Vec<String>,
    /// The folder that holds the data: a folder of parquet or JSON lines for each task, as the hub has them, or TASK.jsonl
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Examples before each question, for tasks; tables have numbers of their own [default: none]
    #[arg(long, value_name = "N")]
    pub num_fewshot: Option<usize>,
    /// Only the first N items of each task
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Write the results to a file, as JSON; the answers go to a file beside it as they come (.items.jsonl for .json), and the same command
    /// goes on from there
    #[arg(long, value_name = "FILE.json")]
    pub out: Option<PathBuf>,
    /// Print the results as one JSON object instead of tables, what --out would write
    #[arg(long, conflicts_with = "dump_requests")]
    pub json: bool,
    /// Write every item's log-likelihoods to --out, or with --json, too
    #[arg(long, requires = "as_json")]
    pub log_samples: bool,
    /// Which lm-evaluation-harness is followed: the one of Apple's card, or a release of today
    #[arg(long, value_name = "VERSION", default_value = "apple", value_parser = like())]
    pub like: Like,
    /// Write the requests as lines for `openelm generate --jsonl`, and ask no model; `-` writes standard output
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = ["from_results", "out"])]
    pub dump_requests: Option<PathBuf>,
    /// Take the answers from what `openelm generate --jsonl` made of these requests; `-` reads standard input
    #[arg(long, value_name = "FILE.jsonl")]
    pub from_results: Option<PathBuf>,
}

fn like() -> impl TypedValueParser<Value = Like> {
    PossibleValuesParser::new(Like::ALL.iter().map(|(name, _)| *name))
        .try_map(|name| Like::named(&name))
}

pub fn run(arguments: &Eval) -> Result<()> {
    // All that can be a mistake first: loading takes long.
    let files = arguments.model.open_with(TokenizerNeed::Needed)?;
    let questions = arguments.questions(&files)?;
    if let Some(path) = &arguments.dump_requests {
        return exchange::dump(&questions, path);
    }
    if let Some(out) = &arguments.out {
        check_writable(out)?;
    }
    if let Some(path) = &arguments.from_results {
        let answers = exchange::answers(&questions, path)?;
        return arguments.report(&questions, &answers, json!({}));
    }
    let jobs = prepare(&questions)?;
    let model = match &arguments.out {
        Some(_) => arguments.model.load_to_save(files)?,
        None => arguments.model.load(files)?,
    };
    let cancel = cancel_on_ctrl_c();
    let asked = arguments.ask(&questions, jobs, &model, &cancel);
    output::notices(&model);
    let of_model = json!({
        "dtype": model.dtype().name(),
        "kv_dtype": if model.network().has_exact_kv() { "f32" } else { "f16" },
        "prefill_dtype": if model.network().has_f16_prefill() { "f16" } else { "f32" },
        "adapter": model.adapter(),
        "compute_path": model.network().path().name(),
        "activations": if has_int8(&model) { "int8" } else { "f32" },
    });
    arguments.report(&questions, &asked?, of_model)
}

/// Whether activations have eight bits where they meet weights that have.
fn has_int8(model: &Model) -> bool {
    model.network().tuning().int8 && model.dtype() == Dtype::Q8
}

/// All items in the order of work.
fn prepare(questions: &Questions) -> Result<Vec<Job>> {
    let bar = Bar::of_items("preparing");
    let jobs = plan(questions.tasks(), &questions.encoder, |done, total| {
        bar.set(done as u64, total as u64);
        true
    })?;
    bar.clear();
    Ok(jobs)
}

impl Eval {
    fn questions(&self, files: &ModelFiles) -> Result<Questions> {
        let has_tasks = self.tasks.iter().any(|name| Table::named(name).is_none());
        if self.num_fewshot.is_some() && !has_tasks {
            bail!(
                "--num-fewshot is for tasks; each column of a table has a number of its own, so name tasks instead of {}",
                self.tasks.join(", ")
            );
        }
        let settings = Settings {
            data: self.data.clone(),
            num_fewshot: self.num_fewshot,
            limit: self.limit,
            like: self.like,
        };
        let tokenizer = files.require_tokenizer()?.clone();
        let selection = Selection::open(&self.tasks, &settings)?;
        if let Some(empty) = selection.tasks.iter().find(|task| task.is_empty()) {
            bail!("{} has no items: there is nothing to ask", empty.name());
        }
        Ok(Questions {
            selection,
            encoder: Encoder {
                tokenizer,
                eos: files.config().eos_token_ids.first().copied().unwrap_or(EOS),
                context_size: self.model.context_size(files),
                like: self.like,
            },
        })
    }

    /// Asks the model what no earlier run has answered.
    fn ask(
        &self,
        questions: &Questions,
        mut jobs: Vec<Job>,
        model: &Model,
        cancel: &AtomicBool,
    ) -> Result<Answers> {
        let tasks = questions.tasks();
        let mut answers = Answers::new(tasks.iter().map(Task::len));
        answers.cut = jobs.iter().filter(|job| job.is_cut).count();
        let path = self.out.as_deref().map(items_path);
        let mut records = match &path {
            Some(path) => Some(Records::open(path, model)?),
            None => None,
        };
        let total = jobs.len();
        jobs.retain(|job| {
            let kept = records.as_ref().zip(tasks.get(job.task));
            let kept = kept.and_then(|(records, task)| records.find(task, job));
            if let Some(kept) = kept {
                answers.set(job.task, job.doc, kept.to_vec());
            }
            kept.is_none()
        });
        let mut items = total - jobs.len();
        if let (Some(records), Some(path)) = (&records, &path) {
            say_kept(path, items, records.others());
        }
        let tokens: usize = jobs.iter().map(|job| job.tokens).sum();
        let bar = Bar::new("evaluating", false);
        let mut fed = 0;
        bar.set(0, tokens as u64);
        let done = ask(
            model,
            &questions.encoder,
            tasks,
            &jobs,
            cancel,
            |job, found| {
                if let (Some(records), Some(task)) = (&mut records, tasks.get(job.task)) {
                    records.add(task, job, found)?;
                }
                answers.set(job.task, job.doc, found.to_vec());
                (items, fed) = (items + 1, fed + job.tokens);
                bar.say(format!("{items}/{total} items,"));
                bar.set(fed as u64, tokens as u64);
                Ok(())
            },
        );
        bar.clear();
        match done {
            Ok(()) => Ok(answers),
            Err(Error::Cancelled) => {
                let rest = match &path {
                    Some(path) => format!(
                        "kept in {}; the same command goes on from there",
                        path.display()
                    ),
                    None => "which are lost: only with --out they are kept".to_owned(),
                };
                Err(Interrupted(format!(
                    "ended with {items} of {total} items answered, {rest}"
                ))
                .into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Prints the tables or the object, and writes the file.
    fn report(&self, questions: &Questions, answers: &Answers, of_model: Value) -> Result<()> {
        let tasks = questions.tasks();
        let report = Report::new(&questions.selection, answers)?;
        let mut notes = notes(tasks);
        notes.extend(notes_of_options(
            &questions.selection,
            &questions.encoder,
            answers.cut,
        ));
        let is_changed = !self.model.lora.is_empty();
        if is_changed && !questions.selection.tables.is_empty() {
            notes.push(WITH_LORA.into());
        }
        if !self.json {
            let model = table::Named {
                name: &self.model.model,
                is_changed,
            };
            let text = table::text(&report, &questions.selection, model, &notes);
            output::write(&text)?;
        }
        if !self.json && self.out.is_none() {
            return Ok(());
        }
        let mut object = report.to_json();
        let mut config = json!({
            "model": self.model.model,
            "lora": self.model.lora,
            "tokenizer": self.model.tokenizer,
            "tasks": self.tasks,
            "like": self.like.name(),
            "limit": self.limit,
            "context_size": questions.encoder.context_size,
            "openelm": env!("CARGO_PKG_VERSION"),
        });
        if let (Some(config), Value::Object(of_model)) = (config.as_object_mut(), of_model) {
            config.extend(of_model);
        }
        object["config"] = config;
        object["notes"] = json!(notes);
        if self.log_samples {
            object["samples"] = report.samples(tasks, &questions.encoder, answers)?;
        }
        let text = serde_json::to_string_pretty(&object)? + "\n";
        if self.json {
            output::write(&text)?;
        }
        match &self.out {
            Some(out) => replace_file(out, text.as_bytes()),
            None => Ok(()),
        }
    }
}

/// What is said of tables that the card cannot have.
const WITH_LORA: &str =
    "the model is changed by a LoRA adapter, and the card's numbers are of models without one";

/// What ends a text where a model does not say: Llama 2's.
const EOS: u32 = 2;

/// Where answers are kept.
fn items_path(out: &Path) -> PathBuf {
    out.with_extension("items.jsonl")
}

fn say_kept(path: &Path, items: usize, others: usize) {
    let path = path.display();
    if items > 0 {
        output::note(&format!("[{items} items are answered already, in {path}]"));
    }
    if others > 0 {
        output::note(&format!(
            "[{path} also has {others} items of other models, weights or adapters, which are left alone]"
        ));
    }
}
