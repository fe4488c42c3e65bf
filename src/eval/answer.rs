//! What a model answers: how likely a continuation is.

use twox_hash::XxHash3_128;

use super::encode::Encoded;

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// Log-likelihood of the continuation, in nats.
    pub ll: f64,
    /// Whether greedy decoding would write the continuation.
    pub is_greedy: bool,
}

impl Answer {
    /// From the continuation's ids in order: the log-probability of each, and whether it is the one that greedy decoding chooses. Whoever
    /// computed them, the sum is the same to the bit.
    pub fn of(ids: impl IntoIterator<Item = (f32, bool)>) -> Self {
        let nothing = Self {
            ll: 0.0,
            is_greedy: true,
        };
        ids.into_iter()
            .fold(nothing, |sum, (logprob, is_greedy)| Self {
                ll: sum.ll + f64::from(logprob),
                is_greedy: sum.is_greedy && is_greedy,
            })
    }
}

/// The answers to many items.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// By task, item and choice.
    by_task: Vec<Vec<Vec<Answer>>>,
    /// Items whose prompts were cut at their beginning, because the context holds no more.
    pub cut: usize,
}

impl Answers {
    /// None yet. An item without answers has an empty list.
    pub fn new(items: impl IntoIterator<Item = usize>) -> Self {
        Self {
            by_task: items
                .into_iter()
                .map(|count| vec![Vec::new(); count])
                .collect(),
            cut: 0,
        }
    }

    /// Sets the answers of an item; there is nothing to set where there is no such item.
    pub fn set(&mut self, task: usize, doc: usize, answers: Vec<Answer>) {
        let items = self.by_task.get_mut(task);
        if let Some(place) = items.and_then(|items| items.get_mut(doc)) {
            *place = answers;
        }
    }

    /// The answers of a task's items, in their order.
    pub fn of_task(&self, task: usize) -> &[Vec<Answer>] {
        self.by_task.get(task).map_or(&[], |items| items)
    }
}

/// A number for what an item asks, which follows from the text of its prompts, the tokenizer, and how much a model can be given.
pub(super) fn fingerprint(choices: &[Encoded]) -> u64 {
    let mut hash = XxHash3_128::new();
    for Encoded { ids, from, .. } in choices {
        hash.write(&(ids.len() as u64).to_le_bytes());
        hash.write(&(*from as u64).to_le_bytes());
        ids.iter().for_each(|id| hash.write(&id.to_le_bytes()));
    }
    hash.finish_128() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_sum_in_f64() {
        let parts = [(-1.0e8f32, true), (-1.0f32, true), (-0.25f32, true)];
        let sum = Answer::of(parts);
        assert_eq!((sum.ll, sum.is_greedy), (-100_000_001.25, true));
        assert!(!Answer::of([(-0.5, true), (-0.5, false), (-0.5, true)]).is_greedy);
    }

    #[test]
    fn other_requests_have_other_numbers() {
        let encoded = |ids: &[u32], from| Encoded {
            ids: ids.to_vec(),
            from,
            context_ids: from,
            is_truncated: false,
        };
        let requests = [
            vec![encoded(&[1, 2, 3], 1)],
            vec![encoded(&[1, 2, 3], 2)],
            vec![encoded(&[1, 2], 1)],
            vec![encoded(&[1, 2], 1), encoded(&[3], 1)],
            vec![encoded(&[1, 2, 3], 1), encoded(&[1, 2, 3], 1)],
        ];
        let mut numbers: Vec<u64> = requests
            .iter()
            .map(|choices| fingerprint(choices))
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), requests.len());
        assert_eq!(fingerprint(&requests[0]), fingerprint(&requests[0].clone()));
    }
}
