//! From a name and a folder to tasks.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_128;

use super::data::{Identity, Row, Wanted, find, read};
use super::document::{self, Document, Example};
use super::fewshot;
use super::mmlu;
use super::python::strip_end;
use super::spec::{Examples, Form, SPECS, Spec};
use super::task::{Settings, Task};
use crate::error::{Error, Result};

/// Examples before a question at most: no context holds more.
const MOST_EXAMPLES: usize = 1000;

/// Bytes of the fixed questions of TruthfulQA at most.
const LARGEST_PROMPT: usize = 1 << 16;

/// Rows of a task, or of a subject.
type BySubject = BTreeMap<Option<String>, Vec<Row>>;

impl Task {
    /// Opens the tasks of a name: one, but `mmlu` is a task for each of its subjects.
    ///
    /// # Errors
    /// [`Error::UnknownTask`]; [`Error::EvalData`] if data are missing or not what they should be; [`Error::Read`].
    pub fn open(name: &str, settings: &Settings) -> Result<Vec<Self>> {
        let (spec, subject) = Spec::named(name).ok_or_else(|| Error::UnknownTask {
            name: name.into(),
            known: SPECS.iter().map(|spec| spec.name).collect(),
        })?;
        let num_fewshot = match spec.examples {
            Examples::None => 0,
            _ => settings.num_fewshot.unwrap_or(0),
        };
        if num_fewshot > MOST_EXAMPLES {
            return Err(Error::OptionOutOfRange {
                name: "num_fewshot",
                value: num_fewshot as f32,
                low: 0.0,
                high: MOST_EXAMPLES as f32,
            });
        }
        let data = &settings.data;
        let mut items = rows(data, spec, spec.items_split, "")?;
        let mut pools = match spec.examples {
            Examples::First | Examples::Drawn | Examples::DrawnWithSpare if num_fewshot > 0 => {
                rows(data, spec, spec.examples_split, ".fewshot")?
            }
            _ => BySubject::new(),
        };
        let is_of_whole = subject.is_none();
        if let Some(subject) = subject {
            let is_wanted = |other: &Option<String>| {
                let other = other.as_deref();
                other.is_some_and(|other| mmlu::means(subject, other))
            };
            items.retain(|other, _| is_wanted(other));
            if items.is_empty() {
                return Err(missing(
                    data,
                    format!("the data of MMLU have no subject `{subject}`"),
                ));
            }
        }
        let prompt = match spec.form {
            Form::TruthfulQa => fixed_questions(data, spec)?,
            _ => String::new(),
        };
        items
            .into_iter()
            .map(|(subject, items)| {
                let prefix = match &subject {
                    Some(subject) => format!(
                        "The following are multiple choice questions (with answers) about {}.{}",
                        subject.replace('_', " "),
                        settings.like.after_description()
                    ),
                    None => prompt.clone(),
                };
                let opening = Opening {
                    spec,
                    settings,
                    num_fewshot,
                    pool: pools.remove(&subject).unwrap_or_default(),
                    name: match &subject {
                        Some(subject) => format!("{}{subject}", mmlu::PREFIX),
                        None => spec.name.to_owned(),
                    },
                    prefix,
                    is_of_whole,
                };
                opening.task(items)
            })
            .collect()
    }
}

/// What a task is made of, beside its items.
struct Opening<'a> {
    spec: &'static Spec,
    settings: &'a Settings,
    num_fewshot: usize,
    pool: Vec<Row>,
    name: String,
    prefix: String,
    is_of_whole: bool,
}

impl Opening<'_> {
    fn task(self, rows: Vec<Row>) -> Result<Task> {
        let Settings { like, limit, .. } = *self.settings;
        let from_items = self.spec.examples == Examples::DrawnFromItems && self.num_fewshot > 0;
        let pool: Result<Vec<Example>> = (if from_items { &rows } else { &self.pool })
            .iter()
            .map(|row| {
                Ok(Example {
                    text: document::read(row, self.spec.form, like)?.solved(self.spec),
                    identity: row.identity(),
                })
            })
            .collect();
        let pool = pool?;
        let identities: Vec<Identity> = rows.iter().map(Row::identity).collect();
        let count = limit.unwrap_or(rows.len()).min(rows.len());
        let documents: Result<Vec<Document>> = rows
            .iter()
            .take(count)
            .map(|row| document::read(row, self.spec.form, like))
            .collect();
        let drawn = fewshot::draw(
            self.spec.examples,
            self.num_fewshot,
            &pool,
            identities.get(..count).unwrap_or_default(),
        );
        let drawn = drawn.map_err(|needed| {
            let what = format!(
                "{} needs {needed} rows to take examples from; there are {}",
                self.name,
                pool.len()
            );
            missing(&self.settings.data, what)
        })?;
        Ok(Task {
            data_hash: hash(&self.prefix, &identities, &pool),
            documents: documents?,
            name: self.name,
            spec: self.spec,
            like,
            num_fewshot: self.num_fewshot,
            prefix: self.prefix,
            pool,
            drawn,
            items_in_data: rows.len(),
            is_of_whole: self.is_of_whole,
        })
    }
}

fn hash(prefix: &str, items: &[Identity], pool: &[Example]) -> String {
    let mut hash = XxHash3_128::new();
    hash.write(&(items.len() as u64).to_le_bytes());
    hash.write(items.as_flattened());
    for example in pool {
        hash.write(&example.identity);
    }
    hash.write(prefix.as_bytes());
    format!("{:032x}", hash.finish_128())
}

fn missing(path: &Path, what: String) -> Error {
    Error::EvalData {
        path: path.to_path_buf(),
        row: None,
        what,
    }
}

/// Rows of a split, by subject where the task has subjects.
fn rows(data: &Path, spec: &Spec, splits: &[&str], kind: &str) -> Result<BySubject> {
    let has_subjects = spec.form == Form::Mmlu;
    let wanted = Wanted {
        file: format!("{}{kind}", spec.name),
        folders: spec.folders,
        configs: spec.configs,
        other_configs: spec.other_configs,
        needs_config: spec.form == Form::Arc,
        by_subject: has_subjects,
        splits,
        repository: spec.repository,
    };
    let mut by_subject = BySubject::new();
    for source in find(data, &wanted)? {
        for row in read(&source.files)? {
            let subject = match (has_subjects, &source.subject) {
                (false, _) => None,
                (true, Some(folder)) if !row.fields.contains_key("subject") => Some(folder.clone()),
                (true, _) => Some(row.text("subject")?.replace(' ', "_")),
            };
            by_subject.entry(subject).or_default().push(row);
        }
    }
    Ok(by_subject)
}

/// The questions and answers that all prompts of TruthfulQA begin with.
fn fixed_questions(data: &Path, spec: &Spec) -> Result<String> {
    let name = format!("{}.prompt.txt", spec.name);
    let folders = spec
        .folders
        .iter()
        .map(|folder| data.join(folder).join(&name));
    let places: Vec<PathBuf> = std::iter::once(data.join(&name)).chain(folders).collect();
    let Some(path) = places.iter().find(|path| path.is_file()) else {
        let what = format!(
            "no {name}. It holds the six questions with answers that all prompts begin with: in lm-evaluation-harness what is before `Q: {{{{question}}}}` \
             in lm_eval/tasks/truthfulqa/truthfulqa_mc1.yaml"
        );
        return Err(missing(data, what));
    };
    let (mut text, most) = (String::new(), LARGEST_PROMPT as u64 + 1);
    std::fs::File::open(path)
        .and_then(|file| file.take(most).read_to_string(&mut text))
        .map_err(|cause| Error::read(path, cause))?;
    let is_whole = text.len() <= LARGEST_PROMPT;
    let text = text.replace("\r\n", "\n");
    let text = strip_end(text.strip_prefix('\u{feff}').unwrap_or(&text));
    match is_whole && !text.is_empty() {
        true => Ok(text.to_owned()),
        false => Err(missing(
            path,
            format!("1 to {LARGEST_PROMPT} bytes, a few questions with answers, are expected"),
        )),
    }
}
