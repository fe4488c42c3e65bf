//! A smaller model that proposes what a larger one then verifies, several tokens a step.

use std::sync::{Arc, Mutex, PoisonError};

use super::sampling::{Draft, Sampler};
use crate::error::Result;
use crate::model::{BatchClass, Network, RowResult, Sequence, TokenSource, Wants, common_prefix};
use crate::trace::TraceMode;

/// How the number of ids that an assistant model proposes follows from how many were accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssistantSchedule {
    /// Two more where as many were accepted, else one less, from text to text.
    #[default]
    Heuristic,
    /// The same, beginning anew with each text.
    HeuristicTransient,
    /// Always as many.
    Constant,
}

/// A model that proposes tokens for another with the same vocabulary. Clones go on with the same number of tokens.
#[derive(Clone)]
pub struct Assistant {
    network: Arc<Network>,
    name: String,
    tokens: usize,
    schedule: AssistantSchedule,
    /// Tokens to propose next.
    count: Arc<Mutex<usize>>,
}

impl std::fmt::Debug for Assistant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Assistant({})", self.name)
    }
}

impl Assistant {
    /// `tokens` are proposed at once in the beginning.
    pub(super) fn new(
        network: Arc<Network>,
        name: String,
        tokens: usize,
        schedule: AssistantSchedule,
    ) -> Self {
        Self {
            network,
            name,
            tokens,
            schedule,
            count: Arc::new(Mutex::new(tokens)),
        }
    }

    /// What its model was called when it was loaded.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// How many tokens its schedule proposes now.
    pub fn count(&self) -> usize {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_count(&self, count: usize) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) = count;
    }
}

/// An assistant at work on a text.
pub struct Drafter {
    assistant: Assistant,
    sequence: Sequence,
    sampler: Sampler,
    /// Ids of the prompt, which are computed as such.
    prompt: usize,
    text: Vec<u32>,
}

impl Drafter {
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    pub fn new(assistant: &Assistant, sampler: Sampler, prompt: usize) -> Result<Self> {
        if assistant.schedule == AssistantSchedule::HeuristicTransient {
            assistant.set_count(assistant.tokens);
        }
        Ok(Self {
            sequence: Sequence::new(&assistant.network)?,
            assistant: assistant.clone(),
            sampler,
            prompt,
            text: Vec::new(),
        })
    }

    /// Proposes up to `most` tokens that may follow `ids`, and none behind one of `eos`. It proposes none where the text is beyond its
    /// context.
    ///
    /// # Errors
    /// Those of the device, and of choosing.
    pub fn propose(&mut self, ids: &[u32], eos: &[u32], most: usize) -> Result<Vec<Draft>> {
        let room = self.assistant.network.context_size();
        let most = most.min((room + 1).saturating_sub(ids.len()));
        let known = common_prefix(self.sequence.ids(), ids);
        self.sequence.truncate(known.min(ids.len() - 1))?;
        self.text.clear();
        self.text.extend_from_slice(ids);
        let mut drafts = Vec::new();
        while drafts.len() < most {
            let Some(draft) = self.next()? else {
                break;
            };
            let ends = eos.contains(&draft.id);
            self.text.push(draft.id);
            drafts.push(draft);
            if ends {
                break;
            }
        }
        Ok(drafts)
    }

    /// Computes what is missing of the text, and chooses what follows it. `None` where its keys and values had to become f32: it will know
    /// more next time.
    fn next(&mut self) -> Result<Option<Draft>> {
        let network = Arc::clone(&self.assistant.network);
        let room = network.room();
        loop {
            let mut batch = network.batch();
            let first = self.sequence.len()?;
            for (position, id) in self.text.iter().enumerate().skip(first) {
                let class = match position < self.prompt {
                    true => BatchClass::Prompt,
                    false => BatchClass::Generated,
                };
                let wants = match position + 1 == self.text.len() {
                    true => Wants::Logits,
                    false => Wants::Nothing,
                };
                if !room.has_room(&batch, class, &wants) {
                    break;
                }
                self.sequence
                    .push(&mut batch, TokenSource::Id(*id), None, class, wants)?;
            }
            let ticket = network.submit(&batch, TraceMode::Off)?;
            let mut draft = None;
            let (sampler, text) = (&mut self.sampler, &self.text);
            let is_valid = network.read(&ticket, |_, result| {
                if let RowResult::Logits(logits) = result {
                    draft = Some(sampler.draft(logits, text));
                }
            })?;
            if !is_valid {
                return Ok(None);
            }
            if let Some(draft) = draft {
                return draft.map(Some);
            }
        }
    }

    /// How many tokens its schedule proposes now.
    pub fn count(&self) -> usize {
        self.assistant.count()
    }

    /// Tells how many of the tokens that it proposed were accepted. As with Hugging Face it is held against what the schedule says, also
    /// where less could be proposed.
    pub fn note(&self, accepted: usize) {
        if self.assistant.schedule == AssistantSchedule::Constant {
            return;
        }
        let count = self.assistant.count();
        self.assistant.set_count(match accepted == count {
            true => count + 2,
            false => count.saturating_sub(1).max(1),
        });
    }
}
