//! Requests as lines for another process, and what it answers: so a fleet of them can do the work.

use std::collections::HashMap;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::answer::{Answer, Answers, fingerprint};
use super::encode::{Encoded, Encoder};
use super::plan::encode;
use super::task::Task;
use crate::error::{Error, Result};

/// No line of results is longer.
const LONGEST: u64 = 64 << 20;

/// A request: score the ids from `score_from` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Request {
    /// Task, examples, item, choice, and a number for what is asked.
    pub id: String,
    pub token_ids: Vec<u32>,
    pub score_from: usize,
}

/// The requests of an item, one a choice.
///
/// # Errors
/// [`Error::EvalItem`].
pub fn requests(task: &Task, encoder: &Encoder, doc: usize) -> Result<Vec<Request>> {
    let choices = encode(task, encoder, doc)?;
    let ids = ids(task, doc, &choices);
    let requests = ids.zip(&choices).map(|(id, choice)| Request {
        id,
        token_ids: choice.ids.clone(),
        score_from: choice.from,
    });
    Ok(requests.collect())
}

fn ids(task: &Task, doc: usize, choices: &[Encoded]) -> impl Iterator<Item = String> {
    let asked = fingerprint(choices) as u32;
    let item = format!("{}/{}/{doc}", task.name(), task.num_fewshot());
    (0..choices.len()).map(move |choice| format!("{item}/{choice}/{asked:08x}"))
}

/// A line of results.
#[derive(Deserialize)]
struct Line {
    id: Option<String>,
    logprobs: Option<Vec<f32>>,
    greedy: Option<Vec<bool>>,
    error: Option<String>,
}

/// What came of a request.
enum Outcome {
    Scored { answer: Answer, ids: usize },
    Failed(String),
}

/// Results of many requests, in any order.
pub struct Results {
    path: PathBuf,
    found: HashMap<String, Outcome>,
    repeated: usize,
}

/// Requests without a usable result.
#[derive(Default)]
struct Lacking {
    count: usize,
    first: Option<String>,
}

impl Lacking {
    fn note(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(what);
    }
}

impl Results {
    /// Reads results, lines of `{"id", "logprobs", "greedy"}`, or `{"id", "error"}` for a request that failed; `path` is what messages
    /// call them. A result after a failure takes its place.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::EvalData`] for a line that is none, or a second one of a request with other numbers.
    pub fn read(source: &mut impl BufRead, path: &Path) -> Result<Self> {
        let mut results = Self {
            path: path.to_owned(),
            found: HashMap::new(),
            repeated: 0,
        };
        let mut bytes = Vec::new();
        for row in 1.. {
            bytes.clear();
            let mut line = source.by_ref().take(LONGEST);
            line.read_until(b'\n', &mut bytes)
                .map_err(|cause| Error::Read {
                    path: path.to_owned(),
                    cause,
                })?;
            if bytes.is_empty() {
                return Ok(results);
            }
            let line = match row {
                1 => bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes),
                _ => &bytes,
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let noted = parse(line).and_then(|(id, outcome)| results.note(id, outcome));
            noted.map_err(|what| Error::EvalData {
                path: path.to_owned(),
                row: Some(row),
                what,
            })?;
        }
        Ok(results)
    }

    fn note(&mut self, id: String, outcome: Outcome) -> std::result::Result<(), String> {
        match (self.found.get(&id), &outcome) {
            (None | Some(Outcome::Failed(_)), _) => _ = self.found.insert(id, outcome),
            (Some(_), Outcome::Failed(_)) => {}
            (
                Some(Outcome::Scored { answer, ids }),
                Outcome::Scored {
                    answer: other,
                    ids: others,
                },
            ) => match (answer, ids) == (other, others) {
                true => self.repeated += 1,
                false => {
                    return Err(format!(
                        "a second result of `{id}`, with other numbers: they are not of one run"
                    ));
                }
            },
        }
        Ok(())
    }

    /// How many results came more than once, with the same numbers.
    pub fn repeated(&self) -> usize {
        self.repeated
    }

    /// The answers to all requests of `tasks`. Results of other requests are passed over; how many there were is told too.
    ///
    /// # Errors
    /// [`Error::EvalData`] that says how many requests have no result, or failed, and which the first is; [`Error::EvalItem`].
    pub fn answers(
        &self,
        tasks: &[Task],
        encoder: &Encoder,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<(Answers, usize)> {
        let mut answers = Answers::new(tasks.iter().map(Task::len));
        let total = tasks.iter().map(Task::len).sum();
        let (mut missing, mut failed) = (Lacking::default(), Lacking::default());
        let (mut requests, mut items) = (0, 0);
        for (index, task) in tasks.iter().enumerate() {
            for doc in 0..task.len() {
                let choices = encode(task, encoder, doc)?;
                answers.cut += usize::from(choices.iter().any(|choice| choice.is_truncated));
                let mut of_item = Vec::new();
                for (id, choice) in ids(task, doc, &choices).zip(&choices) {
                    requests += 1;
                    match self.found.get(&id) {
                        None => missing.note(|| format!("`{id}`")),
                        Some(Outcome::Failed(why)) => failed.note(|| format!("`{id}`: {why}")),
                        Some(Outcome::Scored { ids, .. })
                            if *ids != choice.ids.len() - choice.from =>
                        {
                            failed.note(|| {
                                let wanted = choice.ids.len() - choice.from;
                                format!("`{id}`: {ids} ids were scored, {wanted} were to be")
                            });
                        }
                        Some(Outcome::Scored { answer, .. }) => of_item.push(*answer),
                    }
                }
                answers.set(index, doc, of_item);
                items += 1;
                progress(items, total);
            }
        }
        let others = self.found.len().saturating_sub(requests - missing.count);
        let wrong = [(missing, "have no result"), (failed, "failed")];
        let wrong: Vec<String> = wrong
            .into_iter()
            .filter_map(|(lacking, how)| {
                let first = lacking.first?;
                let count = lacking.count;
                Some(format!(
                    "{count} of {requests} requests {how}, the first is {first}"
                ))
            })
            .collect();
        match wrong.is_empty() {
            true => Ok((answers, others)),
            false => {
                let others = match others {
                    0 => String::new(),
                    _ => format!(
                        "; there are {others} results of other requests: of other data, examples, tokenizer or context"
                    ),
                };
                Err(Error::EvalData {
                    path: self.path.clone(),
                    row: None,
                    what: wrong.join("; ") + &others,
                })
            }
        }
    }
}

fn parse(bytes: &[u8]) -> std::result::Result<(String, Outcome), String> {
    let line: Line = serde_json::from_slice(bytes).map_err(|error| {
        let what = error.to_string().replace(" at line 1 column ", " at byte ");
        format!("this is no result: {what}")
    })?;
    let id = line.id.ok_or("this result has no `id`")?;
    let outcome = match (line.error, line.logprobs, line.greedy) {
        (Some(why), ..) => Outcome::Failed(why),
        (None, Some(logprobs), Some(greedy)) if logprobs.len() == greedy.len() => {
            if let Some(wrong) = logprobs.iter().find(|logprob| !logprob.is_finite()) {
                return Err(format!("`logprobs` of `{id}` has {wrong}"));
            }
            let ids = logprobs.len();
            let answer = Answer::of(logprobs.into_iter().zip(greedy));
            Outcome::Scored { answer, ids }
        }
        (None, Some(_), Some(_)) => {
            return Err(format!(
                "`logprobs` and `greedy` of `{id}` are not of the same length"
            ));
        }
        (None, ..) => {
            return Err(format!(
                "the result of `{id}` has neither `logprobs` and `greedy` nor an `error`"
            ));
        }
    };
    Ok((id, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Results> {
        Results::read(&mut text.as_bytes(), Path::new("results"))
    }

    fn wrong(text: &str) -> String {
        read(text).err().map(|error| error.to_string()).unwrap()
    }

    #[test]
    fn results_come_in_any_order_and_number() {
        let found = read(concat!(
            // As programs on Windows begin a file.
            "\u{feff}",
            r#"{"id": "b", "error": "no memory", "line": 3}"#,
            "\n\n",
            r#"{"id": "a", "logprobs": [-1.5, -0.25], "greedy": [true, true]}"#,
            "\n",
            r#"{"id": "b", "logprobs": [-2], "greedy": [false]}"#,
            "\n",
            r#"{"id": "b", "error": "again"}"#,
            "\n",
            r#"{"id": "a", "logprobs": [-1.5, -0.25], "greedy": [true, true], "line": 9}"#,
        ))
        .unwrap();
        assert_eq!((found.found.len(), found.repeated()), (2, 1));
        for (id, ll, greedy) in [("a", -1.75, true), ("b", -2.0, false)] {
            match &found.found[id] {
                Outcome::Scored { answer, .. } => {
                    assert_eq!((answer.ll, answer.is_greedy), (ll, greedy));
                }
                Outcome::Failed(why) => panic!("{id}: {why}"),
            }
        }
    }

    #[test]
    fn what_is_no_result_is_named_with_its_line() {
        let a = r#"{"id": "a", "logprobs": [-1.5], "greedy": [true]}"#;
        for (line, words) in [
            ("x", "no result: expected value"),
            ("[]", "no result"),
            ("{}", "no `id`"),
            (r#"{"id": 7}"#, "no result"),
            (r#"{"id": "b"}"#, "of `b` has neither"),
            (r#"{"id": "b", "logprobs": [-1]}"#, "of `b` has neither"),
            (
                r#"{"id": "b", "logprobs": [-1], "greedy": []}"#,
                "not of the same length",
            ),
            (
                r#"{"id": "b", "logprobs": [null], "greedy": [true]}"#,
                "no result",
            ),
            (
                r#"{"id": "b", "logprobs": [-1e300], "greedy": [true]}"#,
                "`logprobs` of `b` has -inf",
            ),
            (
                r#"{"id": "a", "logprobs": [-1.25], "greedy": [true]}"#,
                "a second result of `a`",
            ),
            (
                r#"{"id": "a", "logprobs": [-1.5], "greedy": [false]}"#,
                "a second result of `a`",
            ),
        ] {
            let found = wrong(&format!("{a}\n{line}\n{a}"));
            assert!(found.starts_with("results, row 2: "), "{line}: {found}");
            assert!(found.contains(words), "{line}: {found}");
        }
    }

    #[test]
    fn numbers_come_back_to_the_bit() {
        let mut bits = 0x9e37_79b9u32;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(bits);
            if !value.is_finite() {
                continue;
            }
            let line = serde_json::json!({ "id": "a", "logprobs": [value], "greedy": [true] });
            let (_, outcome) = parse(line.to_string().as_bytes()).unwrap();
            let Outcome::Scored { answer, .. } = outcome else {
                panic!("{line}");
            };
            assert_eq!((answer.ll as f32).to_bits(), value.to_bits(), "{line}");
        }
    }
}
