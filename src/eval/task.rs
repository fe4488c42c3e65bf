//! A task: its items as prompts, and what a model's answers are worth.

use std::path::PathBuf;
use std::sync::Arc;

use super::document::{Document, Example};
use super::fewshot::Drawn;
use super::like::Like;
use super::metric::{Mean, Metric, first_greatest, true_share};
use super::spec::Spec;
use crate::error::{Error, Result};

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
    pub(super) name: String,
    pub(super) spec: &'static Spec,
    pub(super) like: Like,
    pub(super) num_fewshot: usize,
    /// What every prompt begins with.
    pub(super) prefix: String,
    pub(super) documents: Vec<Document>,
    /// What examples are taken from; empty where none are asked for.
    pub(super) pool: Vec<Example>,
    /// For each item.
    pub(super) drawn: Vec<Drawn>,
    /// Items without the limit.
    pub(super) items_in_data: usize,
    pub(super) data_hash: String,
    /// Whether all of what its data set is for was asked for: of MMLU all subjects, and not some.
    pub(super) is_of_whole: bool,
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
    /// As lm-evaluation-harness calls it: `arc_challenge`, `mmlu_anatomy`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As lm-evaluation-harness numbers it.
    pub fn version(&self) -> f64 {
        self.spec.version(self.like)
    }

    /// Examples before each question.
    pub fn num_fewshot(&self) -> usize {
        self.num_fewshot
    }

    /// What is measured, in the order of [`Task::score`].
    pub fn metrics(&self) -> &'static [Metric] {
        self.spec.metrics
    }

    /// Hash of all data that the task depends on, in 32 hexadecimal digits. The same for JSON lines and parquet, whatever the limit.
    pub fn data_hash(&self) -> &str {
        &self.data_hash
    }

    /// Items, the limit applied.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An item, put together on demand: prompts with many examples are long. `None` behind the last.
    pub fn item(&self, doc: usize) -> Option<Item> {
        let (document, drawn) = (self.documents.get(doc)?, self.drawn.get(doc)?);
        let begin = self.begin(drawn);
        let contexts: Vec<Arc<str>> = document
            .questions
            .iter()
            .map(|question| Arc::from(format!("{begin}{question}")))
            .collect();
        let choices = document.answers.iter().enumerate().map(|(index, answer)| {
            let context = contexts.get(index).or(contexts.first())?;
            Some(Choice {
                context: Arc::clone(context),
                continuation: format!("{}{answer}", self.spec.delimiter),
            })
        });
        Some(Item {
            doc,
            fewshot: drawn.indices.iter().map(|index| *index as usize).collect(),
            choices: choices.collect::<Option<_>>()?,
            gold: document.gold,
        })
    }

    /// What comes before an item's question.
    fn begin(&self, drawn: &Drawn) -> String {
        if self.num_fewshot == 0 {
            return self.prefix.clone();
        }
        let examples: Vec<&str> = drawn
            .kept(self.num_fewshot)
            .filter_map(|index| Some(self.pool.get(index as usize)?.text.as_str()))
            .collect();
        format!("{}{}\n\n", self.prefix, examples.join("\n\n"))
    }

    /// What an item's log-likelihoods, one a choice, come to: a value for each of [`Task::metrics`].
    ///
    /// # Errors
    /// [`Error::Misuse`] if there is no such item, or it has another number of choices.
    pub fn score(&self, doc: usize, lls: &[f64]) -> Result<Vec<f64>> {
        let document = self
            .documents
            .get(doc)
            .filter(|document| document.answers.len() == lls.len());
        let document = document.ok_or_else(|| {
            Error::Misuse(format!(
                "{}: no item {doc} with {} choices",
                self.name,
                lls.len()
            ))
        })?;
        let is_right = |best: Option<usize>| f64::from(u8::from(best == Some(document.gold)));
        let [first, second] = match lls {
            [first, second, ..] => [*first, *second],
            _ => [0.0; 2],
        };
        let value = |metric: &Metric| match metric {
            Metric::Acc if !document.truths.is_empty() => true_share(lls, &document.truths),
            Metric::Acc => is_right(first_greatest(lls.iter().copied())),
            Metric::AccNorm => {
                let lengths = document
                    .answers
                    .iter()
                    .map(|answer| answer.chars().count() as f64);
                is_right(first_greatest(
                    lls.iter().zip(lengths).map(|(ll, length)| ll / length),
                ))
            }
            Metric::PctStereotype => f64::from(u8::from(first > second)),
            Metric::LikelihoodDiff => (first - second).abs(),
        };
        Ok(self.spec.metrics.iter().map(value).collect())
    }

    /// The task's result, from what [`Task::score`] gave for its items. Empty if there are none.
    pub fn summary(&self, scores: &[Vec<f64>]) -> Vec<Mean> {
        let mean = |(index, metric): (usize, &Metric)| {
            let values: Vec<f64> = scores
                .iter()
                .filter_map(|values| values.get(index).copied())
                .collect();
            Mean::of(*metric, &values)
        };
        self.spec
            .metrics
            .iter()
            .enumerate()
            .filter_map(mean)
            .collect()
    }
}
