//! From answers to numbers: results of tasks and groups, and samples, as lm-evaluation-harness names them.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::answer::{Answer, Answers};
use super::encode::Encoder;
use super::metric::{Mean, Metric};
use super::mmlu::{GROUP, is_group, mmlu_groups};
use super::plan::{item_of, of_item};
use super::selection::{Run, Selection};
use super::table::Column;
use super::task::Task;
use crate::error::Result;

/// What the answers to all tasks of a selection come to.
#[derive(Debug, Clone)]
pub struct Report {
    /// In the order of [`Selection::tasks`].
    pub tasks: Vec<TaskResult>,
    /// Of MMLU, for each number of examples.
    pub groups: Vec<GroupResult>,
}

#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaskResult {
    pub task: String,
    pub num_fewshot: usize,
    /// Items.
    pub count: usize,
    pub means: Vec<Mean>,
    /// By item: a value for each metric.
    scores: Vec<Vec<f64>>,
}

#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GroupResult {
    pub group: String,
    pub num_fewshot: usize,
    pub mean: Mean,
}

impl Report {
    /// # Errors
    /// [`crate::Error::EvalItem`] where answers are missing.
    pub fn new(selection: &Selection, answers: &Answers) -> Result<Self> {
        let tasks = selection.tasks.iter().enumerate();
        let tasks: Vec<TaskResult> = tasks
            .map(|(index, task)| of_task(task, answers.of_task(index)))
            .collect::<Result<_>>()?;
        let mut groups: Vec<GroupResult> = Vec::new();
        // A few subjects by themselves make no group.
        for run in selection.runs.iter().filter(|run| is_group(&run.name)) {
            let of_run = run.tasks.iter().filter_map(|index| tasks.get(*index));
            let means: Vec<(&str, Mean)> = of_run
                .filter_map(|task| Some((task.task.as_str(), *task.means.first()?)))
                .collect();
            let first = run.tasks.first();
            let Some(first) = first.and_then(|index| selection.tasks.get(*index)) else {
                continue;
            };
            let num_fewshot = first.num_fewshot();
            for (group, mean) in mmlu_groups(&means, first.like) {
                let is_there = groups
                    .iter()
                    .any(|other| other.group == group && other.num_fewshot == num_fewshot);
                if !is_there && (run.name == GROUP || run.name == group) {
                    groups.push(GroupResult {
                        group,
                        num_fewshot,
                        mean,
                    });
                }
            }
        }
        Ok(Self { groups, tasks })
    }

    /// The number of a column, unrounded, where the selection has it.
    pub fn of_column(&self, selection: &Selection, column: &Column) -> Option<Mean> {
        let run: &Run = selection.run(column.task, Some(column.num_fewshot))?;
        let group = self
            .groups
            .iter()
            .find(|group| group.group == column.task && group.num_fewshot == column.num_fewshot);
        match (group, run.tasks.as_slice()) {
            (Some(group), _) => Some(group.mean),
            (None, [task]) => self.tasks.get(*task)?.mean(column.metric),
            (None, _) => None,
        }
    }

    /// `{"results": {TASK: {...}}, "groups": {...}}`. A task that was asked with several numbers of examples is there as `TASK@NUMBER`.
    pub fn to_json(&self) -> Value {
        let results = self.tasks.iter().map(|task| {
            let mut object = json!({ "num_fewshot": task.num_fewshot, "n": task.count });
            add_means(&mut object, &task.means);
            (self.name(&task.task, task.num_fewshot), object)
        });
        let groups = self.groups.iter().map(|group| {
            let mut object = json!({});
            add_means(&mut object, &[group.mean]);
            let is_only = self
                .groups
                .iter()
                .all(|other| other.num_fewshot == group.num_fewshot);
            let name = match is_only {
                true => group.group.clone(),
                false => format!("{}@{}", group.group, group.num_fewshot),
            };
            (name, object)
        });
        json!({
            "results": results.collect::<Map<_, _>>(),
            "groups": groups.collect::<Map<_, _>>(),
        })
    }

    /// `{TASK: [{"doc", "context_sha256", "choices": [...], "metrics"}]}`, in the order of the items.
    ///
    /// # Errors
    /// [`crate::Error::EvalItem`].
    pub fn samples(&self, tasks: &[Task], encoder: &Encoder, answers: &Answers) -> Result<Value> {
        let mut samples = Map::new();
        for (index, (task, result)) in tasks.iter().zip(&self.tasks).enumerate() {
            let items = answers.of_task(index).iter().zip(&result.scores);
            let items: Vec<Value> = items
                .enumerate()
                .map(|(doc, (answers, scores))| sample(task, encoder, doc, answers, scores))
                .collect::<Result<_>>()?;
            samples.insert(self.name(&result.task, result.num_fewshot), items.into());
        }
        Ok(Value::Object(samples))
    }

    fn name(&self, task: &str, num_fewshot: usize) -> String {
        match self.tasks.iter().filter(|other| other.task == task).count() {
            0 | 1 => task.to_owned(),
            _ => format!("{task}@{num_fewshot}"),
        }
    }
}

impl TaskResult {
    pub fn mean(&self, metric: Metric) -> Option<Mean> {
        self.means
            .iter()
            .find(|mean| mean.metric == metric)
            .copied()
    }
}

fn of_task(task: &Task, answers: &[Vec<Answer>]) -> Result<TaskResult> {
    let scores: Vec<Vec<f64>> = answers
        .iter()
        .enumerate()
        .map(|(doc, answers)| {
            let lls: Vec<f64> = answers.iter().map(|answer| answer.ll).collect();
            task.score(doc, &lls)
                .map_err(|cause| of_item(task, doc, cause))
        })
        .collect::<Result<_>>()?;
    Ok(TaskResult {
        task: task.name().to_owned(),
        num_fewshot: task.num_fewshot(),
        count: scores.len(),
        means: task.summary(&scores),
        scores,
    })
}

fn add_means(object: &mut Value, means: &[Mean]) {
    for mean in means {
        let name = mean.metric.name();
        object[name] = json!(mean.value);
        object[format!("{name}_stderr")] = match mean.stderr {
            Some(stderr) => json!(stderr),
            // As lm-evaluation-harness has it.
            None => json!("N/A"),
        };
    }
}

fn sample(
    task: &Task,
    encoder: &Encoder,
    doc: usize,
    answers: &[Answer],
    scores: &[f64],
) -> Result<Value> {
    let item = item_of(task, doc)?;
    let encoded = encoder
        .encode_item(&item)
        .map_err(|cause| of_item(task, doc, cause))?;
    let first = item.choices.first().map(|choice| &choice.context);
    let is_shared = item
        .choices
        .iter()
        .all(|choice| Some(&choice.context) == first);
    let choices = encoded.iter().zip(answers).zip(&item.choices);
    let choices: Vec<Value> = choices
        .map(|((encoded, answer), choice)| {
            let mut object = json!({
                "ll": answer.ll,
                "greedy": answer.is_greedy,
                "context_ids": encoded.context_ids,
                "continuation_ids": encoded.ids.get(encoded.from..).unwrap_or_default(),
            });
            if !is_shared {
                object["context_sha256"] = json!(hash(&choice.context));
            }
            object
        })
        .collect();
    let metrics = task.metrics().iter().zip(scores);
    let metrics: Map<String, Value> = metrics
        .map(|(metric, value)| (metric.name().to_owned(), json!(value)))
        .collect();
    let mut object = json!({ "doc": doc });
    if let Some(context) = first.filter(|_| is_shared) {
        object["context_sha256"] = json!(hash(context));
    }
    object["gold"] = json!(item.gold);
    object["choices"] = choices.into();
    object["metrics"] = metrics.into();
    Ok(object)
}

/// The first 16 hexadecimal digits of a text's SHA-256.
fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
