//! In which order items are asked, and what that costs.

use std::cmp::Reverse;

use super::answer::fingerprint;
use super::encode::{Encoded, Encoder};
use super::task::{Item, Task};
use crate::error::{Error, Result};
use crate::model::common_prefix;

/// So many ids that all items of a task begin with are worth keeping its items together for.
const WORTH_SHARING: usize = 32;

/// An item that is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Index of the task.
    pub task: usize,
    /// Index of the item.
    pub doc: usize,
    /// Ids that have to be computed for it: what its choices begin with alike counts once.
    pub tokens: usize,
    /// A number for what is asked. Where it is the same, so are the ids.
    pub fingerprint: u64,
    /// Whether the beginning of a prompt was cut off, because the context holds no more.
    pub is_cut: bool,
}

/// Items that wait for others of their task, for what they begin with alike.
struct Group {
    longest: usize,
    jobs: Vec<(usize, Job)>,
}

/// All items of `tasks`, the longest first: what needs most memory is then known soon, and the end comes no later than expected. Items of a
/// task that all begin alike, as those of a subject of MMLU do, stay together. Calls `progress` with how many items were encoded, of how
/// many.
///
/// # Errors
/// [`Error::EvalItem`] for an item that cannot be encoded, [`Error::Cancelled`] where `progress` returned false.
pub fn plan(
    tasks: &[Task],
    encoder: &Encoder,
    mut progress: impl FnMut(usize, usize) -> bool,
) -> Result<Vec<Job>> {
    let total = tasks.iter().map(Task::len).sum();
    let (mut groups, mut encoded) = (Vec::new(), 0);
    for (index, task) in tasks.iter().enumerate() {
        let mut common = Common::default();
        let mut items = Vec::new();
        for doc in 0..task.len() {
            let choices = encode(task, encoder, doc)?;
            common.add(&choices);
            let length = choices.iter().map(|choice| choice.ids.len()).max();
            let job = Job {
                task: index,
                doc,
                tokens: fed(&choices),
                fingerprint: fingerprint(&choices),
                is_cut: choices.iter().any(|choice| choice.is_truncated),
            };
            items.push((length.unwrap_or(0), job));
            encoded += 1;
            if !progress(encoded, total) {
                return Err(Error::Cancelled);
            }
        }
        let shared = common.worth_sharing();
        match shared {
            None => groups.extend(items.into_iter().map(|job| Group {
                longest: job.0,
                jobs: vec![job],
            })),
            Some(shared) => groups.extend(together(items, shared)),
        }
    }
    groups.sort_by_key(|group| Reverse(group.longest));
    let jobs = groups.into_iter().flat_map(|group| group.jobs);
    Ok(jobs.map(|(_, job)| job).collect())
}

/// An item's requests.
///
/// # Errors
/// [`Error::EvalItem`].
pub(super) fn encode(task: &Task, encoder: &Encoder, doc: usize) -> Result<Vec<Encoded>> {
    let choices = encoder.encode_item(&item_of(task, doc)?);
    choices.map_err(|cause| of_item(task, doc, cause))
}

/// An item that is there.
///
/// # Errors
/// [`Error::EvalItem`].
pub(super) fn item_of(task: &Task, doc: usize) -> Result<Item> {
    task.item(doc)
        .ok_or_else(|| of_item(task, doc, Error::Misuse("there is no such item".into())))
}

/// What went wrong with an item.
pub(super) fn of_item(task: &Task, doc: usize, cause: Error) -> Error {
    match cause {
        // These are nobody's fault in particular.
        Error::Cancelled | Error::DeviceLost(_) | Error::EvalItem { .. } => cause,
        cause => Error::EvalItem {
            task: task.name().to_owned(),
            doc,
            cause: Box::new(cause),
        },
    }
}

/// Items of a task that share their beginning, which only the first of them computes.
fn together(mut jobs: Vec<(usize, Job)>, shared: usize) -> Option<Group> {
    jobs.sort_by_key(|(length, _)| Reverse(*length));
    let longest = jobs.first()?.0;
    for (_, job) in jobs.iter_mut().skip(1) {
        job.tokens = job.tokens.saturating_sub(shared);
    }
    Some(Group { longest, jobs })
}

/// Ids that are computed for an item alone: the last id of a request is never fed, the one before what is scored always.
fn fed(choices: &[Encoded]) -> usize {
    let of_choice = |(index, choice): (usize, &Encoded)| {
        let before = choices.iter().take(index);
        let held = before.map(|before| common_prefix(&before.ids, &choice.ids));
        let kept = held.max().unwrap_or(0).min(choice.from - 1);
        choice.ids.len() - 1 - kept
    };
    choices.iter().enumerate().map(of_choice).sum()
}

/// What all items of a task begin with; those whose begin was cut off do not count.
#[derive(Default)]
struct Common {
    ids: Option<Vec<u32>>,
    items: usize,
}

impl Common {
    fn add(&mut self, choices: &[Encoded]) {
        let Some(Encoded {
            ids,
            from,
            is_truncated: false,
            ..
        }) = choices.first()
        else {
            return;
        };
        self.items += 1;
        let given = &ids[..from - 1];
        match &mut self.ids {
            None => self.ids = Some(given.to_vec()),
            Some(common) => common.truncate(common_prefix(common, given)),
        }
    }

    fn worth_sharing(&self) -> Option<usize> {
        let shared = self.ids.as_ref().map_or(0, Vec::len);
        (self.items > 1 && shared >= WORTH_SHARING).then_some(shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(ids: &[u32], from: usize) -> Encoded {
        Encoded {
            ids: ids.to_vec(),
            from,
            context_ids: from,
            is_truncated: false,
        }
    }

    #[test]
    fn choices_pay_for_their_context_once() {
        let (a, b) = ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 7]);
        // Five for the first, then from the last id of the context on.
        assert_eq!(fed(&[encoded(&a, 4)]), 5);
        assert_eq!(fed(&[encoded(&a, 4), encoded(&b, 4)]), 5 + 1);
        assert_eq!(fed(&[encoded(&a, 4), encoded(&[9, 2, 3], 2)]), 5 + 2);
        // Letters: a whole pass, then an id each.
        let letters: Vec<Encoded> = (10..14).map(|id| encoded(&[1, 2, 3, id], 3)).collect();
        assert_eq!(fed(&letters), 3 + 3);
    }

    #[test]
    fn only_long_beginnings_are_worth_sharing() {
        let ids: Vec<u32> = (0..100).collect();
        let mut common = Common::default();
        common.add(&[encoded(&ids, 90)]);
        assert_eq!(common.worth_sharing(), None);
        common.add(&[encoded(&ids[..60], 50)]);
        assert_eq!(common.worth_sharing(), Some(49));
        common.add(&[Encoded {
            is_truncated: true,
            ..encoded(&[7, 8], 1)
        }]);
        assert_eq!(common.worth_sharing(), Some(49));
        common.add(&[encoded(&[0, 1, 2, 9, 9], 4)]);
        assert_eq!(common.worth_sharing(), None);
    }

    #[test]
    fn a_group_computes_its_beginning_once() {
        let job = |doc, tokens| Job {
            task: 0,
            doc,
            tokens,
            fingerprint: 0,
            is_cut: false,
        };
        let jobs = vec![(50, job(0, 60)), (70, job(1, 80)), (60, job(2, 70))];
        let group = together(jobs, 40).unwrap();
        let order: Vec<(usize, usize)> = group
            .jobs
            .iter()
            .map(|(_, job)| (job.doc, job.tokens))
            .collect();
        assert_eq!(group.longest, 70);
        assert_eq!(order, [(1, 80), (2, 30), (0, 20)]);
    }
}
