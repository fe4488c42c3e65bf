//! What kernels have to know of a batch: where each of its rows goes, what it looks at, and what is wanted after it.

use std::ops::Range;

use super::batch::{Batch, ChoiceParams, Counts, Room, Row, TokenSource, Wants};
use super::op::{ClassRows, Extent};
use super::record::Extents;
use super::results::{Wanted, WantedReport};
use super::rows::{NOBODYS_ROW, Rows};
use crate::error::Result;
use crate::kernels::{BatchClass, CHOSEN, TokenInput, sample};

/// What a batch is arranged for.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub room: Room,
    pub vocab_size: usize,
    pub context_size: usize,
    /// Whether kernels see their rows through windows, which can begin at any.
    pub has_windows: bool,
}

/// The tables of a step, as the device is given them. They are kept, so that a step takes no memory.
#[derive(Default)]
pub struct Inputs {
    /// By row of the step; of rows of logits it says which row of the step they are of.
    pub tokens: Vec<TokenInput>,
    /// A row for each choice and score.
    pub sample_rows: Vec<sample::Row>,
    /// Where rows, and where logits of prompts begin and end.
    pub prompts: [Range<u32>; 2],
    reads: CacheReads,
}

impl Inputs {
    /// Arranges a batch that was checked ([`Batch::check`]), and says how much there is to do, and what results there will be.
    ///
    /// # Errors
    /// Those of [`Rows::of`].
    pub fn arrange(
        &mut self,
        batch: &Batch,
        frame: &Frame,
        rows: &Rows,
    ) -> Result<(Extents, Wanted)> {
        let mut places = Places::new(frame.room, batch.counts());
        let (mut extents, mut wanted) = (Extents::default(), Wanted::default());
        self.reset(&places);
        for (index, row) in batch.rows().iter().enumerate() {
            let is_wanted = row.wants != Wants::Nothing;
            let at = places.row(row.class, is_wanted);
            let kv_len = row.position + 1;
            let cache_rows = rows.of(row.sequence)?;
            self.reads.note(cache_rows[0], kv_len);
            extents.trunk.positions += u64::from(kv_len);
            if places.class(row.class) == 0 {
                let longest = &mut extents.trunk.generated_kv_len;
                *longest = kv_len.max(*longest);
            }
            let token = &mut self.tokens[at as usize];
            *token = TokenInput {
                id: match row.token {
                    TokenSource::Id(id) => id,
                    TokenSource::Chosen => CHOSEN,
                },
                position: row.position,
                cache_row: cache_rows[row.position as usize],
                table: row.sequence.slot * frame.context_size as u32,
                slot: row.sequence.slot,
                ..*token
            };
            if is_wanted {
                extents.wanted.positions += u64::from(kv_len);
                let logits_row = places.logits_row(row.class);
                self.tokens[logits_row as usize].logits_from = at;
                self.want(index, row, logits_row, frame.vocab_size, &mut wanted);
            }
        }
        let has_runs = batch.has_runs();
        for token in &mut self.tokens[..places.rows.generated as usize] {
            token.writes_cache = u32::from(!has_runs);
        }
        let (counts, Places { rows, logits, .. }) = (batch.counts(), places);
        self.prompts = [rows.prompt.clone(), logits.prompt.clone()];
        extents.trunk.has_runs = has_runs;
        extents.trunk.cache_rows = self.reads.rows();
        extents.wanted = Extent {
            rows: frame.room.wanted_rows(counts, &rows, frame.has_windows),
            positions: extents.wanted.positions,
            ..extents.trunk
        };
        extents.trunk.rows = rows;
        extents.tail.rows = logits;
        extents.sample.rows.generated = counts.reports;
        extents.is_random = self.sample_rows.iter().any(|row| row.temperature > 0.0);
        extents.has_ngrams = self.sample_rows.iter().any(|row| row.ngram > 0);
        Ok((extents, wanted))
    }

    /// Rows that are nobody's, as many as there are places.
    fn reset(&mut self, places: &Places) {
        let nobody = TokenInput {
            cache_row: NOBODYS_ROW,
            ..TokenInput::default()
        };
        let end = places.rows.end().max(places.logits.end());
        self.tokens.clear();
        self.tokens.resize(end as usize, nobody);
        self.sample_rows.clear();
        self.reads.0.clear();
    }

    /// Notes what is wanted after a row of the batch, whose logits are in `logits_row`.
    fn want(
        &mut self,
        index: usize,
        row: &Row,
        logits_row: u32,
        vocab_size: usize,
        wanted: &mut Wanted,
    ) {
        let (params, scored) = match &row.wants {
            Wants::Nothing | Wants::Logits => {
                wanted.logits.push((index, logits_row));
                return;
            }
            Wants::Choice { params, .. } => (*params, None),
            Wants::Score { id, top } => (ChoiceParams::greedy(*top), Some(*id)),
        };
        let top = params.top.min(vocab_size);
        wanted.reports.push(WantedReport {
            row: index,
            top,
            is_score: scored.is_some(),
        });
        self.sample_rows.push(sample::Row {
            logits_row,
            slot: row.sequence.slot,
            top_count: top as u32,
            top_k: match params.top_k as usize >= vocab_size {
                true => 0,
                false => params.top_k,
            },
            temperature: params.temperature,
            top_p: params.top_p,
            min_p: params.min_p,
            penalty: params.repetition_penalty,
            random: params.random,
            len: row.position + 1,
            ngram: params.no_repeat_ngram_size,
            scored: scored.unwrap_or(sample::NO_ID),
        });
    }
}

/// Where the next row of each class goes, and the next row of logits. Of rows that a part of can be left out, those come last that something is
/// wanted after.
struct Places {
    rows: ClassRows,
    logits: ClassRows,
    has_classes: bool,
    next: [u32; 2],
    next_wanted: u32,
    next_logits: [u32; 2],
}

impl Places {
    fn new(room: Room, counts: Counts) -> Self {
        let rows = room.class_rows(counts.generated, counts.prompt);
        let logits = room.class_rows(counts.generated_logits, counts.prompt_logits);
        Self {
            has_classes: room.has_classes,
            next: [0, rows.prompt.start],
            next_wanted: room.wanted_start(counts, &rows),
            next_logits: [0, logits.prompt.start],
            rows,
            logits,
        }
    }

    /// 0 for generated rows, and for all where no kernel tells them apart; 1 for prompts.
    fn class(&self, class: BatchClass) -> usize {
        usize::from(class == BatchClass::Prompt && self.has_classes)
    }

    fn row(&mut self, class: BatchClass, is_wanted: bool) -> u32 {
        let class = self.class(class);
        let place = match is_wanted && (class == 1 || !self.has_classes) {
            true => &mut self.next_wanted,
            false => &mut self.next[class],
        };
        *place += 1;
        *place - 1
    }

    fn logits_row(&mut self, class: BatchClass) -> u32 {
        let place = &mut self.next_logits[self.class(class)];
        *place += 1;
        *place - 1
    }
}

/// By the cache row that sequences begin with: how many rows are looked at by the one of those that share it which looks at most.
#[derive(Default)]
struct CacheReads(Vec<(u32, u32)>);

impl CacheReads {
    fn note(&mut self, first: u32, kv_len: u32) {
        match self.0.iter_mut().rfind(|(other, _)| *other == first) {
            Some((_, most)) => *most = kv_len.max(*most),
            None => self.0.push((first, kv_len)),
        }
    }

    fn rows(&self) -> u64 {
        self.0.iter().map(|(_, most)| u64::from(*most)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rows::SequenceId;
    use crate::model::sizes::StepSizes;

    const VOCAB: usize = 100;

    fn frame(has_classes: bool) -> Frame {
        Frame {
            room: Room {
                sizes: StepSizes {
                    rows: 64,
                    generated: 16,
                    logits: 16,
                    reports: 16,
                },
                has_classes,
            },
            vocab_size: VOCAB,
            context_size: 32,
            has_windows: true,
        }
    }

    fn row(sequence: SequenceId, position: u32, class: BatchClass, wants: Wants) -> Row {
        Row {
            sequence,
            position,
            token: TokenSource::Id(position + 10),
            class,
            wants,
        }
    }

    /// Three rows of a prompt that is scored and continued, between two texts of which the second shares the first one's beginning.
    fn batch(rows: &mut Rows) -> Batch {
        use BatchClass::{Generated, Prompt};
        let a = rows.create();
        rows.extend(a, 9).unwrap();
        rows.note(a, 8, false).unwrap();
        let b = rows.fork(a, 5).unwrap();
        rows.extend(b, 6).unwrap();
        let c = rows.create();
        rows.extend(c, 3).unwrap();
        let choice = Wants::Choice {
            params: ChoiceParams {
                temperature: 1.0,
                top_k: 1000,
                ..ChoiceParams::greedy(3)
            },
            history: Some(vec![]),
            forbidden: Some(vec![]),
        };
        let mut batch = Batch::default();
        for row in [
            row(a, 8, Generated, choice),
            row(c, 0, Prompt, Wants::Score { id: 7, top: 0 }),
            row(c, 1, Prompt, Wants::Nothing),
            row(c, 2, Prompt, Wants::Logits),
            row(b, 5, Generated, Wants::Nothing),
        ] {
            batch.push(row);
        }
        batch.check(frame(true).room, VOCAB, rows).unwrap();
        batch
    }

    #[test]
    fn generated_rows_come_first_and_wanted_ones_last() {
        let mut rows = Rows::new(40);
        let batch = batch(&mut rows);
        let mut inputs = Inputs::default();
        let (extents, wanted) = inputs.arrange(&batch, &frame(true), &rows).unwrap();
        let ids: Vec<u32> = inputs.tokens.iter().map(|token| token.id).collect();
        // Prompts begin at the next multiple of eight, the row without a result before those with one.
        assert_eq!(ids, [18, 15, 0, 0, 0, 0, 0, 0, 11, 10, 12]);
        let nobody = &inputs.tokens[2..8];
        assert!(nobody.iter().all(|token| token.cache_row == NOBODYS_ROW));
        assert_eq!(inputs.prompts, [8..11, 8..10]);
        assert_eq!(extents.wanted.rows.prompt, 9..11);
        // Which rows the rows of logits are of, and which results they give.
        let from = |row: usize| inputs.tokens[row].logits_from;
        assert_eq!([from(0), from(8), from(9)], [0, 9, 10]);
        assert_eq!(wanted.logits, [(3, 9)]);
        let reports = wanted
            .reports
            .iter()
            .map(|report| (report.row, report.is_score));
        assert_eq!(reports.collect::<Vec<_>>(), [(0, false), (1, true)]);
        let [choice, score] = &inputs.sample_rows[..] else {
            panic!("{:?}", inputs.sample_rows);
        };
        assert_eq!(
            (choice.logits_row, choice.top_count, choice.top_k),
            (0, 3, 0)
        );
        assert_eq!(
            (score.logits_row, score.scored, choice.scored),
            (8, 7, sample::NO_ID)
        );
        assert!(extents.is_random && !extents.has_ngrams);
    }

    #[test]
    fn shared_rows_of_the_cache_are_counted_once() {
        let mut rows = Rows::new(40);
        let batch = batch(&mut rows);
        let mut inputs = Inputs::default();
        for has_classes in [true, false] {
            let (extents, _) = inputs.arrange(&batch, &frame(has_classes), &rows).unwrap();
            assert_eq!(extents.trunk.cache_rows, 9 + 3);
            assert_eq!(extents.trunk.positions, 9 + 1 + 2 + 3 + 6);
            assert_eq!(extents.wanted.positions, 9 + 1 + 3);
            assert_eq!(extents.trunk.generated_kv_len, 9);
        }
        // Without classes they are all of one, without a gap.
        let ids: Vec<u32> = inputs.tokens.iter().map(|token| token.id).collect();
        assert_eq!(ids, [11, 15, 18, 10, 12]);
        assert!(inputs.tokens.iter().all(|token| token.writes_cache == 1));
    }
}
