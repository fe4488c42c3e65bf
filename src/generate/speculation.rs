//! Speculation: tokens are proposed, all verified in one step, and kept as far as they are what would have been chosen.

use std::collections::VecDeque;

use web_time::Instant;

use super::assistant::{Assistant, Drafter};
use super::lookup::PromptLookup;
use super::payoff::{Cost, Payoff};
use super::sampling::{Draft, Sampler};
use crate::error::Result;

/// What verifying a token costs where that is not measured, against a step without.
const VERIFYING: f64 = 0.1;

/// Who proposes tokens. Greedy text is the same without; drawn text has the same distribution, and with prompt lookup is the same.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Speculation {
    /// The text itself.
    PromptLookup(PromptLookup),
    /// A smaller model.
    Assistant(Assistant),
}

/// What speculation has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct SpeculationSummary {
    /// Steps in which tokens were proposed.
    pub steps: usize,
    pub proposed: usize,
    pub accepted: usize,
    /// Tokens a second against what steps without speculation would give, estimated from those that there were.
    pub speed_up: Option<f64>,
    /// Whether it did not pay, so that it is only tried from time to time.
    pub has_stopped: bool,
}

enum Source {
    Lookup(PromptLookup),
    Assistant(Box<Drafter>),
}

/// Speculation for a text on its way.
pub struct Speculator {
    source: Source,
    payoff: Payoff,
    /// Of the step under way: what is still to be verified.
    waiting: VecDeque<Draft>,
    proposed: usize,
    accepted: usize,
    /// What would have been proposed if nothing had to pay.
    possible: usize,
    /// How many tokens lead to the end of the text, if an assistant foresaw that.
    to_end: Option<usize>,
    begin: Option<Instant>,
    summary: SpeculationSummary,
    tokens: usize,
    seconds: f64,
}

impl Speculator {
    /// For a text after `prompt` ids, whose tokens `sampler` would choose; `bytes` are what the model reads a token.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where there is no room for an assistant's keys and values.
    pub fn new(
        speculation: &Speculation,
        sampler: impl FnOnce() -> Sampler,
        prompt: usize,
        bytes: u64,
    ) -> Result<Self> {
        let (source, cost) = match speculation {
            Speculation::PromptLookup(lookup) => (Source::Lookup(*lookup), Cost::Measured),
            Speculation::Assistant(assistant) => {
                let sampler = sampler();
                let share =
                    assistant.network().weight_bytes_per_token() as f64 / bytes.max(1) as f64;
                // With chance in it the text depends on how many tokens are proposed, so that must not depend on a clock.
                let cost = match sampler.is_random() {
                    true => Cost::Given(share + VERIFYING),
                    false => Cost::Measured,
                };
                let drafter = Drafter::new(assistant, sampler, prompt)?;
                (Source::Assistant(Box::new(drafter)), cost)
            }
        };
        Ok(Self {
            source,
            payoff: Payoff::new(cost),
            waiting: VecDeque::new(),
            proposed: 0,
            accepted: 0,
            possible: 0,
            to_end: None,
            begin: None,
            summary: SpeculationSummary::default(),
            tokens: 0,
            seconds: 0.0,
        })
    }

    pub fn summary(&self) -> SpeculationSummary {
        let plain = self.payoff.plain_seconds();
        let speed_up = plain.map(|plain| self.tokens as f64 * plain / self.seconds);
        SpeculationSummary {
            speed_up: speed_up.filter(|speed_up| speed_up.is_finite()),
            has_stopped: self.payoff.has_stopped(),
            ..self.summary
        }
    }

    /// Begins a step: proposes up to `most` tokens that may follow `ids`.
    ///
    /// # Errors
    /// Those of an assistant.
    pub fn propose(&mut self, ids: &[u32], eos: &[u32], most: usize) -> Result<Vec<Draft>> {
        self.begin = Some(Instant::now());
        (self.proposed, self.accepted) = (0, 0);
        self.waiting.clear();
        match &mut self.source {
            Source::Lookup(lookup) => {
                let found = lookup.propose(ids, eos);
                let count = self.payoff.count(found.len().min(most));
                Ok(found[..count].iter().copied().map(Draft::certain).collect())
            }
            Source::Assistant(drafter) => {
                self.possible = drafter.count().min(most);
                let count = self.payoff.count(self.possible);
                let drafts = match count {
                    0 => Vec::new(),
                    _ => drafter.propose(ids, eos, count)?,
                };
                let ends = drafts.last().is_some_and(|last| eos.contains(&last.id));
                self.to_end = ends.then_some(drafts.len());
                Ok(drafts)
            }
        }
    }

    /// A proposed token is to be verified in the step under way.
    pub fn verify(&mut self, draft: Draft) {
        self.waiting.push_back(draft);
        self.proposed += 1;
    }

    /// What was proposed in the place of the next token.
    pub fn next(&mut self) -> Option<Draft> {
        self.waiting.pop_front()
    }

    /// Tells whether what [`next`](Self::next) gave was accepted. If not, those behind it are of another text.
    pub fn judge(&mut self, is_accepted: bool) {
        match is_accepted {
            true => self.accepted += 1,
            false => self.waiting.clear(),
        }
    }

    /// Ends the step; returns how many tokens were proposed in it, and how many of them accepted.
    pub fn end(&mut self) -> (usize, usize) {
        let Some(begin) = self.begin.take() else {
            return (0, 0);
        };
        let seconds = begin.elapsed().as_secs_f64();
        let (proposed, accepted) = (self.proposed, self.accepted);
        self.payoff.note(proposed, accepted, seconds);
        self.tokens += accepted + 1;
        self.seconds += seconds;
        if proposed > 0 {
            // Fewer than possible that were all right say nothing against proposing as many as that.
            let is_thrift = accepted == proposed && proposed < self.possible;
            match (&self.source, self.to_end) {
                // Hugging Face does not count the end of the text.
                (Source::Assistant(drafter), Some(to_end)) if to_end == accepted => {
                    drafter.note(accepted - 1);
                }
                (Source::Assistant(drafter), _) if !is_thrift => drafter.note(accepted),
                _ => {}
            }
            self.summary.steps += 1;
            self.summary.proposed += proposed;
            self.summary.accepted += accepted;
        }
        (proposed, accepted)
    }

    /// Forgets the step under way.
    pub fn forget(&mut self) {
        self.begin = None;
        self.waiting.clear();
    }
}
