//! The command-encoder scheduler: a step takes a batch through every layer in one pass and one submission, and is the only way to the
//! device. Results are read later, so steps can be ahead of the host.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Duration;

use web_time::Instant;

use super::batch::{Batch, Room, Wants};
use super::inputs::{Frame, Inputs};
use super::kv_pool::KvPool;
use super::launch::{Binder, Buffers, Launch};
use super::pieces::{FIRST_RATE, Pieces};
use super::plan::{Blueprint, BufferId, Ops, Plan};
use super::record::{Extents, Task, groups, record, spans};
use super::resident::{Pipelines, Resident};
use super::results::{RowResult, StoredRow, Wanted, result};
use super::sizes::stride;
use crate::error::Result;
use crate::gpu::{Arrival, Notice, Readback, Timer};
use crate::kernels::sample::{REPORT_WORDS, Report};
use crate::kernels::{ComputePath, FirstRow};
use crate::trace::{Span, TraceMode};

/// Steps whose results may be unread.
pub const RING: usize = 4;

/// Bytes before results in a read-back, which tell whether the cache's format was too narrow.
const HEAD: u64 = 16;

/// Operations of a step that choose tokens, at most: repetitions, groups of logits, a pick.
const MOST_SAMPLE_OPS: usize = 3;

/// A step on its way; whoever drops it has no use for its results.
pub struct Ticket {
    alive: Arc<()>,
    number: u64,
    /// Whether anything is to be read.
    pub has_results: bool,
    /// What was timed, if it was.
    pub timed: Option<Timed>,
}

impl Ticket {
    /// Of a step whose batch came too late: its results are lost.
    fn of_nothing() -> Self {
        Self {
            alive: Arc::new(()),
            number: 0,
            has_results: true,
            timed: None,
        }
    }
}

/// A step that was timed by the device's clock, or, where that makes no sense, only as a whole.
pub struct Timed {
    pub begin: Instant,
    pub wall: Duration,
    pub spans: Option<Vec<Span>>,
}

/// What became of a step's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Read,
    /// They are worth nothing: a key or value was too large for the cache's format.
    Overflow,
}

/// A submission whose results are unread.
struct InFlight {
    number: u64,
    alive: Weak<()>,
    place: usize,
    logits: Option<Arrival>,
    report: Option<Arrival>,
    wanted: Wanted,
}

/// Results that were read before anybody asked, because their place was needed.
struct Stored {
    number: u64,
    alive: Weak<()>,
    outcome: Outcome,
    rows: Vec<(usize, StoredRow)>,
}

/// The plan bound to memory, activations, and read-backs: one for a network.
pub struct Executor {
    plan: Plan,
    pipelines: Pipelines,
    buffers: Buffers,
    ops: Ops<Launch>,
    /// Version of the pool that `ops` is bound to.
    bound: u64,
    reports: Vec<Readback>,
    logits: Readback,
    /// Which step's logits are in their read-back, unread.
    logits_taken_by: Option<u64>,
    in_flight: VecDeque<InFlight>,
    stored: Vec<Stored>,
    number: u64,
    timer: Option<Timer>,
    /// Multiply-adds a second that prefill has been seen to do.
    rate: f64,
    inputs: Inputs,
    /// What the device was told last of [`Inputs::prompts`].
    known_prompts: [Range<u32>; 2],
}

/// What a network's plan is made from once all is f32.
fn exact_blueprint(resident: &Resident) -> Blueprint<'_> {
    Blueprint {
        config: &resident.config,
        layout: &resident.layout,
        path: resident.path,
        tuning: crate::kernels::Tuning {
            matrices: None,
            ..resident.tuning
        },
        subgroup_lanes: resident.gpu.subgroup_lanes,
        sizes: resident.sizes,
        context_size: resident.context_size,
        exact_kv: true,
    }
}

impl Executor {
    /// # Errors
    /// [`Error::OutOfMemory`] and others of the device.
    pub fn new(
        resident: &Resident,
        plan: Plan,
        pipelines: Pipelines,
        pool: &KvPool,
    ) -> Result<Self> {
        let gpu = &resident.gpu;
        let buffers = Buffers::new(resident, &plan)?;
        let binder = Binder {
            resident,
            pipelines: &pipelines,
            buffers: &buffers,
            pool,
        };
        let ops = binder.bind(&plan.ops)?;
        let report = HEAD + buffers.get(BufferId::Report)?.size();
        let logits = HEAD + buffers.get(BufferId::Logits)?.size();
        let (reports, logits) = gpu.try_allocating(|| {
            let reports = (0..RING).map(|_| Readback::new(gpu, report)).collect();
            (reports, Readback::new(gpu, logits))
        })?;
        gpu.check()?;
        Ok(Self {
            plan,
            pipelines,
            buffers,
            ops,
            bound: pool.version,
            reports,
            logits,
            logits_taken_by: None,
            in_flight: VecDeque::new(),
            stored: Vec::new(),
            number: 0,
            timer: None,
            rate: FIRST_RATE,
            inputs: Inputs::default(),
            known_prompts: [0..0, 0..0],
        })
    }

    /// What a step has room for.
    pub fn room(&self, resident: &Resident) -> Room {
        Room {
            sizes: resident.sizes,
            has_classes: self.plan.has_classes,
        }
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Makes what timing needs, which is not made inside a step.
    pub fn prepare_timer(&mut self, resident: &Resident) {
        if self.timer.is_none() {
            let ops = &self.ops;
            let count = ops.trunk.len() + ops.tail.len() + MOST_SAMPLE_OPS;
            // Without room for it there are no timings.
            let timer = resident.gpu.try_allocating(|| resident.gpu.timer(count));
            self.timer = timer.ok().flatten();
        }
    }

    /// Binds everything anew where the pool has grown.
    pub fn rebind(&mut self, resident: &Resident, pool: &KvPool) -> Result<()> {
        if self.bound == pool.version {
            return Ok(());
        }
        let binder = Binder {
            resident,
            pipelines: &self.pipelines,
            buffers: &self.buffers,
            pool,
        };
        self.ops = resident
            .gpu
            .try_allocating(|| binder.bind(&self.plan.ops))??;
        self.bound = pool.version;
        Ok(())
    }

    /// The plan for a cache in f32, with its kernels compiled. Nothing is done by it yet.
    ///
    /// # Errors
    /// Those of compiling.
    pub fn compile_exact(&mut self, resident: &Resident) -> Result<Plan> {
        let plan = Plan::new(exact_blueprint(resident));
        self.pipelines.add(&resident.gpu, plan.kernels())?;
        Ok(plan)
    }

    /// Goes by another plan from here on; the next step binds it. What is in flight is worth nothing.
    pub fn take_plan(&mut self, resident: &Resident, plan: Plan) {
        self.plan = plan;
        self.in_flight.clear();
        self.stored.clear();
        self.logits_taken_by = None;
        if let Ok(overflow) = self.buffers.get(BufferId::Overflow) {
            resident.gpu.queue.write_buffer(overflow, 0, &[0; 16]);
        }
    }

    /// Whether prompts are multiplied in f16.
    pub fn has_f16_prefill(&self) -> bool {
        self.plan.has_f16_prefill
    }

    /// Where kernels note that a number was too large for f16: its first word is no longer 0.
    pub fn overflow(&self) -> Result<&wgpu::Buffer> {
        self.buffers.get(BufferId::Overflow)
    }

    /// Submits a step. Rows of the cache must have been reserved. If it is to be timed in detail, it is waited for.
    ///
    /// # Errors
    /// Those of [`Batch::check`] and [`crate::gpu::Gpu::wait`].
    pub fn submit(
        &mut self,
        resident: &Resident,
        pool: &mut KvPool,
        batch: &Batch,
        mode: TraceMode,
    ) -> Result<Ticket> {
        if batch.epoch().is_some_and(|epoch| epoch != pool.epoch) {
            return Ok(Ticket::of_nothing());
        }
        let vocab = resident.config.vocab_size;
        batch.check(self.room(resident), vocab, pool.rows())?;
        self.rebind(resident, pool)?;
        let (extents, wanted) = self.write_inputs(resident, pool, batch)?;
        let logits_rows = match wanted.logits.is_empty() {
            true => 0,
            false => extents.tail.rows.end(),
        };
        let has_results = logits_rows > 0 || !wanted.reports.is_empty();
        let place = match has_results {
            true => Some(self.free_place(resident, logits_rows > 0)?),
            false => None,
        };
        let logits_bytes = u64::from(logits_rows) * u64::from(stride(vocab)) * 4;
        let report_bytes = (wanted.reports.len() * REPORT_WORDS * 4) as u64;
        let submitted = self.record_and_submit(resident, &extents, mode, |encoder| {
            let overflow = self.buffers.get(BufferId::Overflow)?;
            if logits_bytes > 0 {
                let logits = self.buffers.get(BufferId::Logits)?;
                self.logits.record_at(encoder, overflow, HEAD, 0);
                self.logits.record_at(encoder, logits, logits_bytes, HEAD);
            }
            if let (Some(place), 1..) = (place, report_bytes) {
                let report = self.buffers.get(BufferId::Report)?;
                self.reports[place].record_at(encoder, overflow, HEAD, 0);
                self.reports[place].record_at(encoder, report, report_bytes, HEAD);
            }
            Ok(())
        })?;
        self.rate = submitted.rate;
        for row in batch.rows() {
            let is_chosen = matches!(row.wants, Wants::Choice { .. });
            let rows = pool.rows_mut();
            rows.note(row.sequence, row.position + 1, is_chosen)?;
        }
        self.number += 1;
        let ticket = Ticket {
            alive: Arc::new(()),
            number: self.number,
            has_results,
            timed: submitted.timed,
        };
        if let Some(place) = place {
            let arrive = |readback: &Readback, bytes| {
                (bytes > 0).then(|| readback.request(HEAD + bytes, submitted.submission.clone()))
            };
            if logits_rows > 0 {
                self.logits_taken_by = Some(self.number);
            }
            self.in_flight.push_back(InFlight {
                number: self.number,
                alive: Arc::downgrade(&ticket.alive),
                place,
                logits: arrive(&self.logits, logits_bytes),
                report: arrive(&self.reports[place], report_bytes),
                wanted,
            });
        }
        Ok(ticket)
    }

    /// What to wait for before a ticket's results are read, so that nobody needs to wait while holding the executor.
    pub fn notices(&self, ticket: &Ticket) -> Vec<Notice> {
        let mut steps = self.in_flight.iter();
        let step = steps.find(|step| step.number == ticket.number);
        let arrivals = step.map(|step| step.logits.iter().chain(&step.report));
        arrivals
            .into_iter()
            .flatten()
            .map(Arrival::notice)
            .collect()
    }

    /// Hands each result of a step to `read`, with its row in the batch.
    ///
    /// # Errors
    /// Those of [`crate::gpu::Gpu::wait`].
    pub fn read(
        &mut self,
        resident: &Resident,
        ticket: &Ticket,
        mut read: impl FnMut(usize, RowResult<'_>),
    ) -> Result<Outcome> {
        if !ticket.has_results {
            return Ok(Outcome::Read);
        }
        let is_this = |step: &InFlight| step.number == ticket.number;
        if let Some(index) = self.in_flight.iter().position(is_this)
            && let Some(step) = self.in_flight.remove(index)
        {
            return self.collect(resident, step, read);
        }
        let is_this = |stored: &Stored| stored.number == ticket.number;
        let Some(index) = self.stored.iter().position(is_this) else {
            // It was in flight when the cache became f32, or came too late for what was there before.
            return Ok(Outcome::Overflow);
        };
        let stored = self.stored.swap_remove(index);
        for (row, result) in stored.rows {
            match result {
                StoredRow::Logits(logits) => read(row, RowResult::Logits(&logits)),
                StoredRow::Choice(choice) => read(row, RowResult::Choice(choice)),
                StoredRow::Score(scored) => read(row, RowResult::Score(scored)),
            }
        }
        Ok(stored.outcome)
    }

    fn collect(
        &mut self,
        resident: &Resident,
        step: InFlight,
        mut read: impl FnMut(usize, RowResult<'_>),
    ) -> Result<Outcome> {
        let gpu = &resident.gpu;
        let vocab = resident.config.vocab_size;
        let row_floats = stride(vocab) as usize;
        let head = HEAD as usize / 4;
        let mut outcome = Outcome::Read;
        let mut check = |words: &[f32]| {
            let fits = words[0].to_bits() == 0;
            if !fits {
                outcome = Outcome::Overflow;
            }
            fits
        };
        if let Some(logits) = step.logits {
            self.logits_taken_by = None;
            logits.read(gpu, |bytes| {
                let words: &[f32] = bytemuck::cast_slice(bytes);
                if check(words) {
                    for (row, logits_row) in &step.wanted.logits {
                        let start = head + *logits_row as usize * row_floats;
                        read(*row, RowResult::Logits(&words[start..start + vocab]));
                    }
                }
            })?;
        }
        if let Some(report) = step.report {
            report.read(gpu, |bytes| {
                let words: &[f32] = bytemuck::cast_slice(bytes);
                if !check(words) {
                    return;
                }
                let reports = words[head..].chunks_exact(REPORT_WORDS);
                for (wanted, report) in step.wanted.reports.iter().zip(reports) {
                    let report = Report::read(report, wanted.top);
                    read(wanted.row, result(report, wanted));
                }
            })?;
        }
        Ok(outcome)
    }

    /// A place for the results of another step. Where all are taken, the oldest results are read now and kept for whoever asks.
    fn free_place(&mut self, resident: &Resident, with_logits: bool) -> Result<usize> {
        self.in_flight.retain(|step| step.alive.strong_count() > 0);
        self.stored.retain(|stored| stored.alive.strong_count() > 0);
        loop {
            let is_taken = |place: &usize| self.in_flight.iter().any(|step| step.place == *place);
            let place = (0..RING).find(|place| !is_taken(place));
            let taken_by = self.logits_taken_by.filter(|_| with_logits);
            let has_logits = |number| self.in_flight.iter().any(|step| step.number == number);
            match place {
                Some(place) if !taken_by.is_some_and(has_logits) => return Ok(place),
                _ => self.store_oldest(resident)?,
            }
        }
    }

    fn store_oldest(&mut self, resident: &Resident) -> Result<()> {
        let Some(step) = self.in_flight.pop_front() else {
            return Ok(());
        };
        let (number, alive) = (step.number, step.alive.clone());
        let mut rows = Vec::new();
        let outcome = self.collect(resident, step, |row, result| {
            let stored = match result {
                RowResult::Logits(logits) => StoredRow::Logits(logits.to_vec()),
                RowResult::Choice(choice) => StoredRow::Choice(choice),
                RowResult::Score(scored) => StoredRow::Score(scored),
            };
            rows.push((row, stored));
        })?;
        self.stored.push(Stored {
            number,
            alive,
            outcome,
            rows,
        });
        Ok(())
    }

    /// Arranges a batch, and tells the device what its kernels have to know of it.
    fn write_inputs(
        &mut self,
        resident: &Resident,
        pool: &KvPool,
        batch: &Batch,
    ) -> Result<(Extents, Wanted)> {
        let frame = Frame {
            room: self.room(resident),
            vocab_size: resident.config.vocab_size,
            context_size: resident.context_size,
            has_windows: resident.path == ComputePath::Software,
        };
        let arranged = self.inputs.arrange(batch, &frame, pool.rows())?;
        for row in batch.rows() {
            let Wants::Choice {
                history, forbidden, ..
            } = &row.wants
            else {
                continue;
            };
            if let Some(history) = history {
                pool.write_ids(resident, row.sequence, history);
            }
            if let Some(forbidden) = forbidden {
                pool.write_forbidden(resident, row.sequence, forbidden);
            }
        }
        let (queue, inputs) = (&resident.gpu.queue, &self.inputs);
        let tokens = self.buffers.get(BufferId::Tokens)?;
        queue.write_buffer(tokens, 0, bytemuck::cast_slice(&inputs.tokens));
        let ids = [BufferId::PromptRows, BufferId::PromptLogits];
        for ((id, rows), known) in ids
            .into_iter()
            .zip(&inputs.prompts)
            .zip(&mut self.known_prompts)
        {
            if rows != known {
                let first = FirstRow::of(rows.clone());
                queue.write_buffer(self.buffers.get(id)?, 0, bytemuck::bytes_of(&first));
                known.clone_from(rows);
            }
        }
        if !inputs.sample_rows.is_empty() {
            let rows = self.buffers.get(BufferId::SampleRows)?;
            queue.write_buffer(rows, 0, bytemuck::cast_slice(&inputs.sample_rows));
        }
        Ok(arranged)
    }

    /// The operations of a step, each with what it has to do.
    fn tasks<'a>(&'a self, extents: &'a Extents) -> Vec<Task<'a>> {
        let (all, wanted) = (&extents.trunk, &extents.wanted);
        let trunk = self.ops.trunk.iter().enumerate();
        let trunk = trunk.map(|(i, op)| (op, if i < self.ops.wanted { all } else { wanted }));
        let tail = self.ops.tail.iter().map(|op| (op, &extents.tail));
        let pick = &self.ops.sample_picks[usize::from(extents.is_random)];
        let ngrams = extents.has_ngrams.then_some(&self.ops.sample_ngrams);
        let sample = ngrams.into_iter().chain([&self.ops.sample_groups, pick]);
        let sample = sample.map(|op| (op, &extents.sample));
        let all = trunk.chain(tail).chain(sample);
        all.filter(|(op, extent)| op.is_needed(extent)).collect()
    }

    /// Records the step and submits it, with what `finish` records at its end. Where it would take longer than a submission may, its
    /// beginning is submitted on the way.
    fn record_and_submit(
        &self,
        resident: &Resident,
        extents: &Extents,
        mode: TraceMode,
        finish: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<()>,
    ) -> Result<Submitted> {
        let gpu = &resident.gpu;
        let timer = self.timer.as_ref().filter(|_| mode.is_detailed());
        let tasks = self.tasks(extents);
        let groups = groups(&tasks, mode);
        let mut pieces = Pieces::new(self.rate);
        let mut encoder = record(gpu, extents, &groups, timer, &mut pieces)?;
        finish(&mut encoder)?;
        let begin = pieces.begin.unwrap_or_else(Instant::now);
        let submission = gpu.queue.submit([encoder.finish()]);
        let mut timed = None;
        if mode.is_detailed() {
            let intervals = match timer {
                Some(timer) => timer.read(gpu, submission.clone(), groups.len())?,
                None => {
                    gpu.wait(Some(submission.clone()))?;
                    None
                }
            };
            timed = Some(Timed {
                begin,
                wall: begin.elapsed(),
                spans: intervals.map(|intervals| spans(&groups, intervals)),
            });
        }
        Ok(Submitted {
            submission,
            rate: pieces.rate,
            timed,
        })
    }
}

/// What a submission has taught.
struct Submitted {
    submission: wgpu::SubmissionIndex,
    rate: f64,
    timed: Option<Timed>,
}
