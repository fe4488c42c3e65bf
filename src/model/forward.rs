//! The command-encoder scheduler: a step of tokens goes through every layer in one pass and one submission; a long prefill is
//! cut into submissions of bounded time, so that the desktop that shares the GPU stays alive.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Network;
use super::decode::Decoder;
use super::op::{Extent, Op};
use super::plan::Plan;
use super::scratch::{Scratch, stride};
use crate::error::{Error, Result};
use crate::gpu::timing::Intervals;
use crate::gpu::{Readback, Timer};
use crate::kernels::TokenInput;
use crate::trace::{self, TraceMode};

/// About how long a submission of a prefill may take.
const SUBMISSION_TIME: Duration = Duration::from_millis(50);

/// Multiply-adds a second to begin with, before anything was measured: what a slow software adapter does.
const FIRST_RATE: f64 = 2e9;

/// Submissions of a prefill in flight: one runs while the next waits.
const IN_FLIGHT: usize = 2;

/// A token of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepToken {
    pub id: u32,
    /// Its position, from 0. Everything before it must be in the cache or earlier in the step.
    pub position: u32,
}

/// A scheduler with its own KV cache and scratch memory.
pub struct Forward {
    network: Arc<Network>,
    scratch: Scratch,
    plan: Plan,
    readback: Readback,
    pub(super) decoder: Decoder,
    /// Multiply-adds a second that prefill has been seen to do.
    rate: f64,
    tracer: Option<Tracer>,
    /// What steps are traced as.
    pub(crate) phase: trace::Phase,
}

/// A step on its way.
pub(super) struct Submitted {
    submission: wgpu::SubmissionIndex,
    /// Multiply-adds a second, as now estimated.
    rate: f64,
    /// What was traced.
    step: Option<trace::Step>,
}

/// What is traced so far, and what it takes to trace.
struct Tracer {
    mode: TraceMode,
    /// `None` where the adapter has no timestamps: then only whole steps are timed.
    timer: Option<Timer>,
    begin: Instant,
    steps: Vec<trace::Step>,
}

impl Forward {
    pub(super) fn new(network: Arc<Network>) -> Result<Self> {
        let scratch = Scratch::new(&network)?;
        let plan = Plan::new(&network, &scratch)?;
        let readback = Readback::new(&network.gpu, scratch.logits.size());
        let decoder = Decoder::new(&network, &scratch)?;
        network.gpu.check()?;
        Ok(Self {
            network,
            scratch,
            plan,
            readback,
            decoder,
            rate: FIRST_RATE,
            tracer: None,
            phase: trace::Phase::Prefill,
        })
    }

    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// The most tokens in one step.
    pub fn max_tokens(&self) -> usize {
        self.scratch.max_tokens
    }

    /// The most rows of logits from one step.
    pub fn max_logits(&self) -> usize {
        self.scratch.logits_rows
    }

    /// From here on every step is timed as finely as `mode` says, by the device's clock where it has timestamps. A step that is timed
    /// in detail waits for the device; whole ones are known to whoever makes tokens of them, a `Generation`.
    pub fn set_trace(&mut self, mode: TraceMode) {
        match &mut self.tracer {
            Some(tracer) => tracer.mode = mode,
            None if mode == TraceMode::Off => {}
            None => {
                let dispatches =
                    self.plan.trunk.len() + self.plan.tail.len() + self.decoder.ops().len();
                self.tracer = Some(Tracer {
                    mode,
                    timer: self.network.gpu.timer(dispatches),
                    begin: Instant::now(),
                    steps: Vec::new(),
                });
            }
        }
    }

    /// How finely steps are timed now.
    pub fn trace_mode(&self) -> TraceMode {
        self.tracer
            .as_ref()
            .map_or(TraceMode::Off, |tracer| tracer.mode)
    }

    /// Notes a step that took so long from `begin`, unless steps are not traced or this one was.
    pub(crate) fn note_whole(
        &mut self,
        tokens: usize,
        position: usize,
        begin: Instant,
        wall: Duration,
    ) {
        let phase = self.phase;
        let Some(tracer) = &mut self.tracer else {
            return;
        };
        let begin_at = begin.saturating_duration_since(tracer.begin);
        let is_known = |step: &trace::Step| step.phase == phase && step.begin >= begin_at;
        if tracer.mode == TraceMode::Off || tracer.steps.last().is_some_and(is_known) {
            return;
        }
        tracer.steps.push(trace::Step {
            phase,
            tokens: tokens as u32,
            position: position as u32,
            begin: begin_at,
            wall,
            mode: TraceMode::Steps,
            spans: None,
        });
    }

    /// The steps that were traced since the last call.
    pub fn take_trace(&mut self) -> Vec<trace::Step> {
        let steps = self.tracer.as_mut().map(|tracer| &mut tracer.steps);
        steps.map_or_else(Vec::new, std::mem::take)
    }

    /// Runs a step: the keys and values of `tokens` go to the cache, and `read(i, logits)` gets the logits `[vocab]` after token
    /// `wanted[i]` of the step, for each. A step without wanted logits does not wait for the device.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`], [`Error::Misuse`] for a position that the context does not have or too many tokens at once,
    /// and those of [`crate::gpu::Gpu::wait`].
    pub fn step(
        &mut self,
        tokens: &[StepToken],
        wanted: &[u32],
        mut read: impl FnMut(usize, &[f32]),
    ) -> Result<()> {
        self.check(tokens, wanted)?;
        let network = Arc::clone(&self.network);
        let gpu = &network.gpu;
        let mut inputs: Vec<TokenInput> = tokens
            .iter()
            .map(|token| TokenInput {
                id: token.id,
                position: token.position,
                cache_start: 0,
                logits_from: 0,
            })
            .collect();
        for (input, token) in inputs.iter_mut().zip(wanted) {
            input.logits_from = *token;
        }
        gpu.queue
            .write_buffer(&self.scratch.tokens, 0, bytemuck::cast_slice(&inputs));

        let vocab = network.config.vocab_size;
        let row = stride(vocab) as usize;
        let floats = wanted.len() * row;
        let (readback, logits) = (&self.readback, &self.scratch.logits);
        let submitted = self.submit(tokens, wanted.len() as u32, None, |encoder| {
            if floats > 0 {
                readback.record(encoder, logits, floats as u64 * 4);
            }
        })?;
        let submission = self.note(submitted);
        if wanted.is_empty() {
            return gpu.check();
        }
        self.readback.read(gpu, submission, floats, |logits| {
            for (i, row) in logits.chunks_exact(row).enumerate() {
                read(i, &row[..vocab]);
            }
        })
    }

    /// Submits a step with `logits` rows of logits, the dispatches `after` them, and what `finish` records at its end. If steps are
    /// traced, this one is waited for.
    pub(super) fn submit(
        &self,
        tokens: &[StepToken],
        logits: u32,
        after: Option<[&Op; 2]>,
        finish: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<Submitted> {
        let gpu = &self.network.gpu;
        let tracer = self.tracer.as_ref();
        let tracer = tracer.filter(|tracer| tracer.mode.is_detailed());
        let mode = tracer.map_or(TraceMode::Off, |tracer| tracer.mode);
        let timer = tracer.and_then(|tracer| tracer.timer.as_ref());
        let ops: Vec<Task<'_>> = self.ops(tokens, logits, after).collect();
        let groups = groups(&ops, mode);
        let mut pieces = Pieces::new(self.rate);
        let mut encoder = self.record(tokens, &groups, timer, &mut pieces)?;
        finish(&mut encoder);
        let begin = pieces.begin.unwrap_or_else(Instant::now);
        let submission = gpu.queue.submit([encoder.finish()]);
        let mut step = None;
        if let Some(tracer) = tracer {
            let intervals = match timer {
                Some(timer) => timer.read(gpu, submission.clone(), groups.len())?,
                None => {
                    gpu.wait(Some(submission.clone()))?;
                    None
                }
            };
            step = Some(traced(
                tracer, self.phase, tokens, &groups, begin, intervals,
            ));
        }
        Ok(Submitted {
            submission,
            rate: pieces.rate,
            step,
        })
    }

    /// Keeps what a submission has taught.
    pub(super) fn note(&mut self, submitted: Submitted) -> wgpu::SubmissionIndex {
        self.rate = submitted.rate;
        if let (Some(step), Some(tracer)) = (submitted.step, &mut self.tracer) {
            tracer.steps.push(step);
        }
        submitted.submission
    }

    pub(super) fn parts(&mut self) -> (&Scratch, &mut Decoder) {
        (&self.scratch, &mut self.decoder)
    }

    pub(super) fn check(&self, tokens: &[StepToken], wanted: &[u32]) -> Result<()> {
        let network = &self.network;
        if tokens.is_empty() || tokens.len() > self.max_tokens() || wanted.len() > self.max_logits()
        {
            return Err(Error::Misuse(format!(
                "a step takes 1 to {} tokens and up to {} rows of logits, not {} and {}",
                self.max_tokens(),
                self.max_logits(),
                tokens.len(),
                wanted.len()
            )));
        }
        for token in tokens {
            if token.id as usize >= network.config.vocab_size {
                return Err(Error::TokenOutOfRange {
                    id: token.id,
                    vocab_size: network.config.vocab_size,
                });
            }
            if token.position as usize >= network.context_size {
                return Err(Error::Misuse(format!(
                    "position {} is beyond the context of {}",
                    token.position, network.context_size
                )));
            }
        }
        match wanted.iter().find(|token| **token as usize >= tokens.len()) {
            Some(token) => Err(Error::Misuse(format!(
                "logits after token {token} of a step of {}",
                tokens.len()
            ))),
            None => Ok(()),
        }
    }

    /// The operations of a step, each with what it has to do.
    fn ops<'a>(
        &'a self,
        tokens: &[StepToken],
        logits: u32,
        after: Option<[&'a Op; 2]>,
    ) -> impl Iterator<Item = Task<'a>> {
        let last = tokens.iter().map(|token| token.position).max();
        let extent = move |tokens: u32| Extent {
            tokens,
            reach: last.map_or(0, |position| position + 1),
        };
        let all = extent(tokens.len() as u32);
        let trunk = self.plan.trunk.iter().map(move |op| (op, all));
        let tail = self.plan.tail.iter().map(move |op| (op, extent(logits)));
        let after = after.into_iter().flatten().map(move |op| (op, extent(1)));
        let ops = trunk.chain(tail).chain(after);
        ops.filter(|(op, extent)| op.is_needed(*extent))
    }

    /// Records the step, with a timestamp before and after every group if there is a `timer`. Where it would take longer than a
    /// submission may, its beginning is submitted on the way; what is returned is the rest.
    fn record(
        &self,
        tokens: &[StepToken],
        groups: &[&[Task<'_>]],
        timer: Option<&Timer>,
        pieces: &mut Pieces,
    ) -> Result<wgpu::CommandEncoder> {
        let gpu = &self.network.gpu;
        let positions = positions(tokens);
        // A single token is never cut: its step is one submission.
        let budget = |pieces: &Pieces| match tokens.len() {
            1 => u64::MAX,
            _ => pieces.budget(),
        };
        let mut start = 0;
        loop {
            let cost = |(op, extent): &Task<'_>| op.macs(u64::from(extent.tokens), positions);
            let costs = groups[start..].iter();
            let costs = costs.map(|group| group.iter().map(cost).sum());
            let (count, macs) = piece(costs, budget(pieces));
            let this = &groups[start..start + count];
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            match timer {
                Some(timer) => timer.record(&mut encoder, start, this.len(), |pass, i| {
                    dispatch(pass, this[i]);
                }),
                None => {
                    let mut pass = encoder.begin_compute_pass(&Default::default());
                    this.iter().for_each(|group| dispatch(&mut pass, group));
                }
            }
            start += count;
            if start == groups.len() {
                if let Some(timer) = timer {
                    timer.resolve(&mut encoder, groups.len());
                }
                return Ok(encoder);
            }
            pieces.push(gpu.queue.submit([encoder.finish()]), macs);
            while pieces.in_flight.len() >= IN_FLIGHT {
                pieces.wait_for_oldest(gpu)?;
            }
        }
    }
}

/// An operation and what it has to do.
type Task<'a> = (&'a Op, Extent);

/// The tasks that are timed together.
fn groups<'a, 'b>(tasks: &'b [Task<'a>], mode: TraceMode) -> Vec<&'b [Task<'a>]> {
    let together = |a: &Task<'_>, b: &Task<'_>| {
        mode == TraceMode::Layers && a.0.layer.is_some() && a.0.layer == b.0.layer
    };
    tasks.chunk_by(together).collect()
}

/// How many operations, of so many multiply-adds each, fit a submission of `budget`, at least one, and what they add up to.
fn piece(costs: impl IntoIterator<Item = u64>, budget: u64) -> (usize, u64) {
    let (mut count, mut macs) = (0, 0);
    for cost in costs {
        if macs > 0 && macs + cost > budget {
            break;
        }
        (count, macs) = (count + 1, macs + cost);
    }
    (count, macs)
}

fn dispatch(pass: &mut wgpu::ComputePass<'_>, group: &[Task<'_>]) {
    for (op, extent) in group {
        op.record(pass, *extent);
    }
}

/// The step that has just ended, as data.
fn traced(
    tracer: &Tracer,
    phase: trace::Phase,
    tokens: &[StepToken],
    groups: &[&[Task<'_>]],
    begin: Instant,
    intervals: Option<Intervals>,
) -> trace::Step {
    let positions = positions(tokens);
    let span = |group: &[Task<'_>], (start, end): (u64, u64)| {
        let bytes = |(op, extent): &Task<'_>| op.bytes(*extent);
        let flops = |(op, extent): &Task<'_>| 2 * op.macs(u64::from(extent.tokens), positions);
        trace::Span {
            layer: group[0].0.layer,
            kernel: match group {
                [(op, _)] => op.stage.name(),
                _ => "layer",
            },
            start_ns: start,
            duration_ns: end - start,
            read: group.iter().map(|task| bytes(task).0).sum(),
            written: group.iter().map(|task| bytes(task).1).sum(),
            flops: group.iter().map(flops).sum(),
        }
    };
    trace::Step {
        phase,
        mode: tracer.mode,
        tokens: tokens.len() as u32,
        position: tokens[0].position,
        begin: begin - tracer.begin,
        wall: begin.elapsed(),
        spans: intervals.map(|intervals| {
            let timed = groups.iter().zip(intervals);
            timed
                .map(|(group, interval)| span(group, interval))
                .collect()
        }),
    }
}

/// Positions that some tokens look at, each counted for each.
fn positions(tokens: &[StepToken]) -> u64 {
    tokens
        .iter()
        .map(|token| u64::from(token.position) + 1)
        .sum()
}

/// The submissions that a prefill was cut into, and how fast they run.
struct Pieces {
    in_flight: VecDeque<(wgpu::SubmissionIndex, u64)>,
    rate: f64,
    /// When the first was submitted.
    begin: Option<Instant>,
    last_end: Option<Instant>,
}

impl Pieces {
    fn new(rate: f64) -> Self {
        Self {
            in_flight: VecDeque::new(),
            rate,
            begin: None,
            last_end: None,
        }
    }

    /// Multiply-adds that fit a submission.
    fn budget(&self) -> u64 {
        (self.rate * SUBMISSION_TIME.as_secs_f64()) as u64
    }

    fn push(&mut self, submission: wgpu::SubmissionIndex, macs: u64) {
        self.begin.get_or_insert_with(Instant::now);
        if self.in_flight.is_empty() {
            self.last_end = Some(Instant::now());
        }
        self.in_flight.push_back((submission, macs));
    }

    fn wait_for_oldest(&mut self, gpu: &crate::gpu::Gpu) -> Result<()> {
        let Some((submission, macs)) = self.in_flight.pop_front() else {
            return Ok(());
        };
        gpu.wait(Some(submission))?;
        let now = Instant::now();
        if let Some(begin) = self.last_end.replace(now) {
            self.learn(macs, now - begin);
        }
        Ok(())
    }

    /// Goes halfway to the rate that was seen: one hiccup must not decide.
    fn learn(&mut self, macs: u64, time: Duration) {
        let seen = macs as f64 / time.as_secs_f64().max(1e-6);
        self.rate = (self.rate + seen) / 2.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_what_fits_but_at_least_one_operation() {
        assert_eq!(piece([3, 4, 5], 7), (2, 7));
        assert_eq!(piece([3, 4, 5], 6), (1, 3));
        assert_eq!(piece([9, 1], 5), (1, 9));
        assert_eq!(piece([0, 9, 1], 5), (2, 9));
        assert_eq!(piece([3, 4], u64::MAX), (2, 7));
        // What has cost nothing so far may be followed by anything: an operation is never left over.
        assert_eq!(piece([0, 0], 0), (2, 0));
    }

    #[test]
    fn the_budget_follows_the_device() {
        let mut pieces = Pieces::new(FIRST_RATE);
        assert_eq!(pieces.budget(), 100_000_000);
        pieces.learn(1_000_000_000, Duration::from_millis(100));
        assert_eq!(pieces.budget(), 300_000_000);
        // Two waits that took no time at all do not make it infinite.
        pieces.learn(1_000_000, Duration::ZERO);
        assert!(pieces.rate.is_finite());
        for _ in 0..40 {
            pieces.learn(50_000_000, Duration::from_millis(50));
        }
        assert!((49_000_000..51_000_000).contains(&pieces.budget()));
    }
}
