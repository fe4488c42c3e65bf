//! What a step computes, as plain data: rows of any sequences, prompts and generated tokens mixed.

use super::op::ClassRows;
use super::rows::{Rows, SequenceId};
use super::sizes::StepSizes;
use crate::error::{Error, Result};
use crate::kernels::BatchClass;
use crate::kernels::sample::MOST_TOP;

/// How the device chooses a token; as `generate::SamplingParams` says it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChoiceParams {
    /// 0: the most probable token.
    pub temperature: f32,
    pub top_k: u32,
    pub top_p: f32,
    pub min_p: f32,
    pub repetition_penalty: f32,
    /// Forbids every id that would complete so many ids in a row which occurred already; 0: off.
    pub no_repeat_ngram_size: u32,
    /// A random number in [0, 1).
    pub random: f32,
    /// How many of the most probable tokens to report, up to [`ChoiceParams::MOST_TOP`].
    pub top: usize,
}

impl ChoiceParams {
    /// The most that can be reported with each token.
    pub const MOST_TOP: usize = MOST_TOP;

    /// The most probable token, of logits as they are.
    pub const fn greedy(top: usize) -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            random: 0.0,
            top,
        }
    }
}

/// Where the token of a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenSource {
    Id(u32),
    /// The device chose it in the last step of this sequence.
    Chosen,
}

/// What is wanted after a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Wants {
    Nothing,
    /// The logits `[vocab]` of the next token.
    Logits,
    /// The next token, chosen by the device.
    Choice {
        params: ChoiceParams,
        /// All ids so far; `None`: as before, and the token that was chosen.
        history: Option<Vec<u32>>,
        /// Ids that cannot be chosen from here on; `None`: as before.
        forbidden: Option<Vec<u32>>,
    },
    /// How probable `id` is as the next token, and the `top` most probable ones, up to [`ChoiceParams::MOST_TOP`].
    Score {
        id: u32,
        top: usize,
    },
}

/// A row of a step: a token at its place in a sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub sequence: SequenceId,
    pub position: u32,
    pub token: TokenSource,
    pub class: BatchClass,
    pub wants: Wants,
}

/// The rows of a step. Those of a sequence come in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    rows: Vec<Row>,
    counts: Counts,
    epoch: Option<u64>,
}

/// How many rows there are of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub generated: u32,
    pub prompt: u32,
    pub generated_logits: u32,
    pub prompt_logits: u32,
    /// Rows whose token is chosen, or that are scored.
    pub reports: u32,
}

/// What a step has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub sizes: StepSizes,
    /// Whether prompts and generated rows are computed differently.
    pub has_classes: bool,
}

impl Room {
    /// Where so many rows of each class lie.
    pub fn class_rows(&self, generated: u32, prompt: u32) -> ClassRows {
        match self.has_classes {
            true => ClassRows::new(generated, prompt),
            // No kernel can tell them apart.
            false => ClassRows::new(generated + prompt, 0),
        }
    }

    /// The first of the rows that something is wanted after, of those that an unwanted one may come before: prompts, or without classes all.
    pub fn wanted_start(&self, counts: Counts, rows: &ClassRows) -> u32 {
        match self.has_classes {
            true => rows.prompt.end - counts.prompt_logits,
            false => rows.generated - counts.generated_logits - counts.prompt_logits,
        }
    }

    /// What has to be computed of `rows` for those that something is wanted after. `has_windows`: kernels can begin at any row.
    pub fn wanted_rows(&self, counts: Counts, rows: &ClassRows, has_windows: bool) -> ClassRows {
        let start = self.wanted_start(counts, rows);
        if !self.has_classes {
            return ClassRows {
                generated: 0,
                prompt: start..rows.generated,
            };
        }
        ClassRows {
            generated: match counts.generated_logits {
                0 if has_windows => 0,
                // Elsewhere attention is what writes their keys and values.
                _ => rows.generated,
            },
            prompt: match counts.prompt_logits {
                1.. if !has_windows => rows.prompt.clone(),
                _ => start..rows.prompt.end,
            },
        }
    }

    fn fits(&self, counts: Counts) -> bool {
        let rows = self.class_rows(counts.generated, counts.prompt);
        let logits = self.class_rows(counts.generated_logits, counts.prompt_logits);
        rows.end() as usize <= self.sizes.rows
            && rows.generated as usize <= self.sizes.generated
            && logits.count() as usize <= self.sizes.logits
            && counts.reports as usize <= self.sizes.reports
    }

    /// Whether a batch may have one more such row.
    pub fn has_room(&self, batch: &Batch, class: BatchClass, wants: &Wants) -> bool {
        let mut counts = batch.counts;
        counts.add(class, wants);
        self.fits(counts)
    }
}

impl Counts {
    fn add(&mut self, class: BatchClass, wants: &Wants) {
        let has_logits = u32::from(*wants != Wants::Nothing);
        match class {
            BatchClass::Generated => {
                self.generated += 1;
                self.generated_logits += has_logits;
            }
            BatchClass::Prompt => {
                self.prompt += 1;
                self.prompt_logits += has_logits;
            }
        }
        self.reports += u32::from(matches!(wants, Wants::Choice { .. } | Wants::Score { .. }));
    }
}

impl Batch {
    /// For what sequences hold in an epoch of their network ([`super::Network::batch`]). Where that is over when it is submitted, it computes nothing.
    pub fn of_epoch(epoch: u64) -> Self {
        Self {
            epoch: Some(epoch),
            ..Self::default()
        }
    }

    /// The epoch that it was begun in, if it is of one only.
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether a sequence has several generated rows, so that later ones look at earlier ones.
    pub fn has_runs(&self) -> bool {
        let mut generated: Vec<_> = self
            .rows
            .iter()
            .filter(|row| row.class == BatchClass::Generated)
            .map(|row| row.sequence.slot)
            .collect();
        generated.sort_unstable();
        generated.windows(2).any(|pair| pair[0] == pair[1])
    }

    pub fn push(&mut self, row: Row) {
        self.counts.add(row.class, &row.wants);
        self.rows.push(row);
    }

    /// Checks everything that an unchecked shader relies on. Rows of the cache must have been reserved before.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`], and [`Error::Misuse`] for rows that do not follow what their sequence holds.
    pub fn check(&self, room: Room, vocab_size: usize, pool: &Rows) -> Result<()> {
        if self.rows.is_empty() || !room.fits(self.counts) {
            return Err(Error::Misuse(format!(
                "a step takes 1 to {} rows, of which {} may be generated, up to {} rows of logits and {} choices and scores",
                room.sizes.rows, room.sizes.generated, room.sizes.logits, room.sizes.reports
            )));
        }
        for (index, row) in self.rows.iter().enumerate() {
            let before = self.rows[..index].iter().rev();
            let previous = before
                .clone()
                .find(|other| other.sequence == row.sequence)
                .map(|other| other.position + 1);
            let expected = match previous {
                Some(position) => position,
                None => pool.computed(row.sequence)?,
            };
            if row.position != expected {
                return Err(Error::Misuse(format!(
                    "position {} of a sequence whose next is {expected}",
                    row.position
                )));
            }
            if row.position as usize >= pool.of(row.sequence)?.len() {
                return Err(Error::Misuse(format!(
                    "position {} has no row of the cache",
                    row.position
                )));
            }
            match row.token {
                TokenSource::Id(id) if id as usize >= vocab_size => {
                    return Err(Error::TokenOutOfRange { id, vocab_size });
                }
                TokenSource::Id(_) => {}
                TokenSource::Chosen => {
                    let chosen = pool.chosen(row.sequence)?;
                    if previous.is_some() || chosen != Some(row.position) {
                        return Err(Error::Misuse(format!(
                            "the device has chosen no token for position {}",
                            row.position
                        )));
                    }
                }
            }
            if let Wants::Score { id, top } = row.wants {
                if id as usize >= vocab_size {
                    return Err(Error::TokenOutOfRange { id, vocab_size });
                }
                if top > MOST_TOP {
                    return Err(Error::Misuse(format!(
                        "a score reports {MOST_TOP} alternatives at most"
                    )));
                }
            }
            // What the device has noted of ids that occurred goes on only where it chose the last one itself.
            let goes_on = row.token == TokenSource::Chosen;
            if let Wants::Choice {
                params,
                history,
                forbidden,
            } = &row.wants
                && (params.top > MOST_TOP
                    || (history.is_none() && !goes_on)
                    || (history.is_some() && forbidden.is_none()))
            {
                return Err(Error::Misuse(format!(
                    "a choice needs the ids that occurred and those that cannot, and reports {MOST_TOP} alternatives at most"
                )));
            }
        }
        Ok(())
    }
}
