//! A task: its items as prompts, and what a model's answers are worth.

use std::path::PathBuf;
use std::sync::Arc;

use super::like::Like;
use super::metric::{Mean, Metric};
use crate::error::Result;

/// What to open a task with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The folder that holds the data of all tasks.
    pub data: PathBuf,
    /// Examples before each question; `None`: the task's own number, which is 0 for all.
    pub num_fewshot: Option<usize>,
    /// Only so many items from the first on; `None`: all.
    pub limit: Option<usize>,
    pub like: Like,
}

/// One task, read and ready to be asked. Of MMLU it is one subject.
#[derive(Debug)]
pub struct Task {
    name: String,
}

/// An item as a model is asked it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Index in the evaluated split.
    pub doc: usize,
    /// Indices of the examples that were drawn, in the split that they were drawn from; those equal to the item are left out of the
    /// prompt, and so is what is too many then.
    pub fewshot: Vec<usize>,
    pub choices: Vec<Choice>,
    /// Index of the right choice; 0 where several are right, or none.
    pub gold: usize,
}

/// One way to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// What is given. Choices with the same context share it: `Arc::ptr_eq` tells.
    pub context: Arc<str>,
    /// What is scored.
    pub continuation: String,
}

impl Task {
    /// Opens the tasks of a name: one, but `mmlu` is a task for each of its subjects.
    ///
    /// # Errors
    /// [`crate::Error::UnknownTask`]; [`crate::Error::EvalData`] if data are missing or not what they should be.
    pub fn open(_name: &str, _settings: &Settings) -> Result<Vec<Self>> {
        Ok(Vec::new())
    }

    /// As lm-evaluation-harness calls it: `arc_challenge`, `mmlu_anatomy`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As lm-evaluation-harness numbers it.
    pub fn version(&self) -> f64 {
        0.0
    }

    /// Examples before each question.
    pub fn num_fewshot(&self) -> usize {
        0
    }

    /// What is measured, in the order of [`Task::score`].
    pub fn metrics(&self) -> &'static [Metric] {
        &[]
    }

    /// Hash of all data that the task depends on, in 32 hexadecimal digits. The same for JSON lines and parquet, whatever the limit.
    pub fn data_hash(&self) -> &str {
        ""
    }

    /// Items, the limit applied.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An item, put together on demand: prompts with many examples are long. `None` behind the last.
    pub fn item(&self, _doc: usize) -> Option<Item> {
        None
    }

    /// What an item's log-likelihoods, one a choice, come to: a value for each of [`Task::metrics`].
    ///
    /// # Errors
    /// [`crate::Error::Misuse`] if there is no such item, or it has another number of choices.
    pub fn score(&self, _doc: usize, _lls: &[f64]) -> Result<Vec<f64>> {
        Ok(Vec::new())
    }

    /// The task's result, from what [`Task::score`] gave for its items, in any order. Empty if there are none.
    pub fn summary(&self, _scores: &[Vec<f64>]) -> Vec<Mean> {
        Vec::new()
    }
}

/// What a person should know about these tasks before comparing their results with others': other numbers of items or examples than the published
/// data have, a limit. A sentence each.
pub fn notes(_tasks: &[Task]) -> Vec<String> {
    Vec::new()
}
