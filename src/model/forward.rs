//! The command-encoder scheduler: a step of tokens goes through every layer in one pass and one submission; a long prefill is
//! cut into submissions of bounded time, so that the desktop that shares the GPU stays alive.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Network;
use super::op::Op;
use super::plan::Plan;
use super::scratch::{Scratch, stride};
use crate::error::{Error, Result};
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
    /// Multiply-adds a second that prefill has been seen to do.
    rate: f64,
    tracer: Option<Tracer>,
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
        network.gpu.check()?;
        Ok(Self {
            network,
            scratch,
            plan,
            readback,
            rate: FIRST_RATE,
            tracer: None,
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

    /// From here on every step is timed as finely as `mode` says, by the device's clock where it has timestamps. A traced step is
    /// one submission, however long, and waits for the device.
    pub fn set_trace(&mut self, mode: TraceMode) {
        match &mut self.tracer {
            Some(tracer) => tracer.mode = mode,
            None if mode == TraceMode::Off => {}
            None => {
                let dispatches = self.plan.trunk.len() + self.plan.tail.len();
                self.tracer = Some(Tracer {
                    mode,
                    timer: self.network.gpu.timer(dispatches),
                    begin: Instant::now(),
                    steps: Vec::new(),
                });
            }
        }
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
    /// [`Error::Prompt`] for an id or a position that the model does not have, [`Error::Option`] for too many tokens at once,
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
        let tracer = self.tracer.as_ref();
        let submission = match tracer.filter(|tracer| tracer.mode != TraceMode::Off) {
            Some(tracer) => {
                let (step, submission) = self.step_traced(tracer, tokens, wanted.len(), floats)?;
                if let Some(tracer) = &mut self.tracer {
                    tracer.steps.push(step);
                }
                submission
            }
            None => {
                let mut encoder = self.record(tokens, wanted.len())?;
                self.record_readback(&mut encoder, floats);
                gpu.queue.submit([encoder.finish()])
            }
        };
        if wanted.is_empty() {
            return gpu.check();
        }
        self.readback.read(gpu, submission, floats, |logits| {
            for (i, row) in logits.chunks_exact(row).enumerate() {
                read(i, &row[..vocab]);
            }
        })
    }

    /// Has the first `floats` floats of the logits copied to where the host can read them.
    fn record_readback(&self, encoder: &mut wgpu::CommandEncoder, floats: usize) {
        if floats > 0 {
            let logits = &self.scratch.logits;
            self.readback.record(encoder, logits, floats as u64 * 4);
        }
    }

    fn check(&self, tokens: &[StepToken], wanted: &[u32]) -> Result<()> {
        let network = &self.network;
        if tokens.is_empty() || tokens.len() > self.max_tokens() || wanted.len() > self.max_logits()
        {
            return Err(Error::Option(format!(
                "a step takes 1 to {} tokens and up to {} rows of logits, not {} and {}",
                self.max_tokens(),
                self.max_logits(),
                tokens.len(),
                wanted.len()
            )));
        }
        for token in tokens {
            if token.id as usize >= network.config.vocab_size {
                return Err(Error::Prompt(format!(
                    "token id {} is out of range: this model has ids 0 to {}",
                    token.id,
                    network.config.vocab_size - 1
                )));
            }
            if token.position as usize >= network.context_size {
                return Err(Error::Prompt(format!(
                    "position {} is beyond the context of {}",
                    token.position, network.context_size
                )));
            }
        }
        match wanted.iter().find(|token| **token as usize >= tokens.len()) {
            Some(token) => Err(Error::Option(format!(
                "logits after token {token} of a step of {}",
                tokens.len()
            ))),
            None => Ok(()),
        }
    }

    /// The operations of a step, each with the tokens it runs for.
    fn ops(&self, tokens: u32, logits: u32) -> impl Iterator<Item = (&Op, u32)> {
        let trunk = self.plan.trunk.iter().map(move |op| (op, tokens));
        let tail = self.plan.tail.iter().map(move |op| (op, logits));
        trunk.chain(tail).filter(|(_, tokens)| *tokens > 0)
    }

    /// Runs a step with a timestamp around every operation, or every layer, and waits for it.
    fn step_traced(
        &self,
        tracer: &Tracer,
        tokens: &[StepToken],
        logits: usize,
        floats: usize,
    ) -> Result<(trace::Step, wgpu::SubmissionIndex)> {
        let gpu = &self.network.gpu;
        let positions = positions(tokens);
        let ops: Vec<(&Op, u32)> = self.ops(tokens.len() as u32, logits as u32).collect();
        let together = |a: &(&Op, u32), b: &(&Op, u32)| {
            tracer.mode == TraceMode::Layers && a.0.layer.is_some() && a.0.layer == b.0.layer
        };
        let groups: Vec<&[(&Op, u32)]> = ops.chunk_by(together).collect();
        let record = |pass: &mut wgpu::ComputePass<'_>, group: &[(&Op, u32)]| {
            for (op, tokens) in group {
                op.record(pass, *tokens);
            }
        };
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        match &tracer.timer {
            Some(timer) => timer.record(&mut encoder, groups.len(), |pass, i| {
                record(pass, groups[i]);
            }),
            None => record(&mut encoder.begin_compute_pass(&Default::default()), &ops),
        }
        self.record_readback(&mut encoder, floats);
        let begin = Instant::now();
        let submission = gpu.queue.submit([encoder.finish()]);
        let intervals = match &tracer.timer {
            Some(timer) => timer.read(gpu, submission.clone(), groups.len())?,
            None => {
                gpu.wait(Some(submission.clone()))?;
                None
            }
        };
        let wall = begin.elapsed();
        let span = |group: &[(&Op, u32)], (start, end): (u64, u64)| trace::Span {
            layer: group[0].0.layer,
            kernel: match group {
                [(op, _)] => op.stage.name(),
                _ => "layer",
            },
            start_ns: start,
            duration_ns: end - start,
            bytes: group
                .iter()
                .map(|(op, tokens)| op.bytes(u64::from(*tokens), positions))
                .sum(),
            flops: group
                .iter()
                .map(|(op, tokens)| 2 * op.macs(u64::from(*tokens), positions))
                .sum(),
        };
        let step = trace::Step {
            phase: if tokens.len() == 1 {
                trace::Phase::Decode
            } else {
                trace::Phase::Prefill
            },
            tokens: tokens.len() as u32,
            position: tokens[0].position,
            begin: begin - tracer.begin,
            wall,
            spans: intervals.map(|intervals| {
                let timed = groups.iter().zip(intervals);
                timed
                    .map(|(group, interval)| span(group, interval))
                    .collect()
            }),
        };
        Ok((step, submission))
    }

    /// Records the step. Where it would take longer than a submission may, its beginning is submitted on the way; what is
    /// returned is the rest.
    fn record(&mut self, tokens: &[StepToken], logits: usize) -> Result<wgpu::CommandEncoder> {
        let network = Arc::clone(&self.network);
        let gpu = &network.gpu;
        let count = tokens.len() as u32;
        let attention_positions = positions(tokens);
        let mut pieces = Pieces::new(self.rate);
        let mut ops = self.ops(count, logits as u32).peekable();
        loop {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            let mut macs = 0;
            while let Some((op, tokens)) = ops.peek() {
                let next = op.macs(u64::from(*tokens), attention_positions);
                // A single token is never cut: its step is one submission.
                if count > 1 && macs > 0 && macs + next > pieces.budget() {
                    break;
                }
                op.record(&mut pass, *tokens);
                macs += next;
                ops.next();
            }
            drop(pass);
            if ops.peek().is_none() {
                drop(ops);
                self.rate = pieces.rate;
                return Ok(encoder);
            }
            pieces.push(gpu.queue.submit([encoder.finish()]), macs);
            while pieces.in_flight.len() >= IN_FLIGHT {
                pieces.wait_for_oldest(gpu)?;
            }
        }
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
    last_end: Option<Instant>,
}

impl Pieces {
    fn new(rate: f64) -> Self {
        Self {
            in_flight: VecDeque::new(),
            rate,
            last_end: None,
        }
    }

    /// Multiply-adds that fit a submission.
    fn budget(&self) -> u64 {
        (self.rate * SUBMISSION_TIME.as_secs_f64()) as u64
    }

    fn push(&mut self, submission: wgpu::SubmissionIndex, macs: u64) {
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
            let seen = macs as f64 / (now - begin).as_secs_f64().max(1e-6);
            // Halfway to what was seen: one hiccup must not decide.
            self.rate = (self.rate + seen) / 2.0;
        }
        Ok(())
    }
}
