//! Asks a model all items: many requests at once, what they begin with alike computed once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use super::answer::Answer;
use super::encode::Encoder;
use super::plan::{Job, encode, of_item};
use super::task::Task;
use crate::error::{Error, Result};
use crate::generate::{GenerateOptions, Model, Text};

/// Whose an answer is.
struct Tag {
    /// Index of the job.
    job: usize,
    choice: usize,
}

/// Asks `model` the items of `jobs` in their order, and hands the answers of each to `done`, one a choice, as soon as it has all. Choices of an item
/// are asked one after the other, so that all but the first find their context computed.
///
/// # Errors
/// [`Error::EvalItem`] for an item without an answer; [`Error::Cancelled`] within a step of `cancel`; those of the device and of `done`.
pub fn ask(
    model: &Model,
    encoder: &Encoder,
    tasks: &[Task],
    jobs: &[Job],
    cancel: &AtomicBool,
    mut done: impl FnMut(&Job, &[Answer]) -> Result<()>,
) -> Result<()> {
    let mut pool = model.text_pool();
    let mut waiting: VecDeque<usize> = (0..jobs.len()).collect();
    // By job: the answers that have come, one a choice.
    let mut open: BTreeMap<usize, Vec<Option<Answer>>> = BTreeMap::new();
    loop {
        while !pool.is_full()
            && let Some(index) = waiting.pop_front()
        {
            let (job, task) = job_of(tasks, jobs, index)?;
            let choices = encode(task, encoder, job.doc)?;
            open.insert(index, vec![None; choices.len()]);
            for (choice, encoded) in choices.into_iter().enumerate() {
                let options = GenerateOptions::scoring(encoded.from, 0);
                pool.push(Tag { job: index, choice }, encoded.ids, options);
            }
        }
        if pool.is_empty() {
            return Ok(());
        }
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        for (Tag { job: index, choice }, text) in pool.step(|_, _| {})? {
            let (job, task) = job_of(tasks, jobs, index)?;
            let answer = text
                .and_then(answer)
                .map_err(|cause| of_item(task, job.doc, cause))?;
            let Some(answers) = open.get_mut(&index) else {
                continue;
            };
            if let Some(place) = answers.get_mut(choice) {
                *place = Some(answer);
            }
            if let Some(answers) = answers.iter().copied().collect::<Option<Vec<_>>>() {
                open.remove(&index);
                done(job, &answers)?;
            }
        }
    }
}

fn job_of<'a>(tasks: &'a [Task], jobs: &'a [Job], index: usize) -> Result<(&'a Job, &'a Task)> {
    let job = jobs.get(index);
    job.and_then(|job| Some((job, tasks.get(job.task)?)))
        .ok_or_else(|| Error::Bug("a job of a task that is not there".into()))
}

fn answer(text: Text) -> Result<Answer> {
    let scored = text.prompt_logprobs.iter();
    Ok(Answer::of(
        scored.map(|token| (token.logprob, token.is_greedy)),
    ))
}
