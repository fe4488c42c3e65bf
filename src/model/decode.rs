//! Decoding that stays on the device: it chooses each token and feeds it to the next step itself. So steps are submitted ahead,
//! and ids come back a few steps late, when nobody has to wait for them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::forward::{Forward, StepToken};
use super::op::{Launch, Op, Spread, Stage, Traffic, floats};
use super::{Network, Scratch};
use crate::error::{Error, Result};
use crate::gpu::Readback;
use crate::kernels::TokenInput;
use crate::kernels::sample::{self, Choice, GROUP, MOST_TOP, REPORT_WORDS};
use crate::trace::Phase;

/// Steps whose results may be unread: what is submitted ahead, and the one that is waited for.
const RING: usize = 4;

/// Steps that take longer than this need no more than one ahead of them to keep the device busy; what is computed beyond the end
/// of a text would only hold up what comes next.
const SLOW_STEP: Duration = Duration::from_millis(10);

/// How the device chooses tokens; as `generate::Sampling` says it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choosing {
    pub temperature: f32,
    pub top_k: u32,
    pub top_p: f32,
    pub min_p: f32,
    pub repetition_penalty: f32,
    /// How many of the most probable tokens to report with each, up to [`MOST_TOP`].
    pub top: usize,
}

impl Choosing {
    /// The most that can be reported with each token.
    pub const MOST_TOP: usize = MOST_TOP;
}

/// A token that the device has chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    pub id: u32,
    /// Its raw logit.
    pub logit: f32,
    /// `ln(sum(exp(logits)))` over all raw logits.
    pub log_sum: f64,
    /// Ids and raw logits of the most probable tokens, most probable first.
    pub top: Vec<(u32, f32)>,
}

/// Buffers and dispatches for choosing tokens, and what is under way.
pub struct Decoder {
    shape: wgpu::Buffer,
    seen: wgpu::Buffer,
    /// A random number for each position.
    uniforms: wgpu::Buffer,
    report: wgpu::Buffer,
    groups: Op,
    picks: [Op; 2],
    ring: Vec<Readback>,
    is_software: bool,
    /// Submissions whose results are unread, each with its place in the ring.
    in_flight: VecDeque<(wgpu::SubmissionIndex, usize)>,
    run: Run,
}

/// A run of steps without the host's help.
#[derive(Debug, Clone, Copy)]
struct Run {
    choice: Choice,
    top: usize,
    /// The position that the next step to submit computes.
    position: u32,
    /// Steps still to submit.
    steps: usize,
    /// Steps submitted so far; says whose turn it is in the ring.
    submitted: usize,
    /// When the last result was read, and how long that was after the one before.
    last: Option<Instant>,
    pace: Duration,
}

impl Decoder {
    pub(super) fn new(network: &Network, scratch: &Scratch) -> Result<Self> {
        let gpu = &network.gpu;
        let vocab = network.config.vocab_size;
        let groups_count = vocab.div_ceil(GROUP);
        let storage = wgpu::BufferUsages::STORAGE;
        let written = storage | wgpu::BufferUsages::COPY_DST;
        let shape = gpu.buffer(
            "sampling",
            size_of::<sample::Shape>() as u64,
            wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        );
        let seen = gpu.buffer("seen", vocab.div_ceil(32) as u64 * 4, written);
        let uniforms = gpu.buffer("uniforms", network.context_size as u64 * 4, written);
        let adjusted = gpu.buffer("adjusted", floats(groups_count * GROUP), storage);
        let groups_buffer = gpu.buffer("groups", groups_count as u64 * 16, storage);
        let report = gpu.buffer(
            "report",
            REPORT_WORDS as u64 * 4,
            storage | wgpu::BufferUsages::COPY_SRC,
        );
        let op =
            |spec: &crate::gpu::KernelSpec, workgroups, resources: &[_], traffic| -> Result<Op> {
                let pipeline = network.pipelines.get(spec)?.clone();
                Ok(Op {
                    stage: Stage::Sample,
                    layer: None,
                    base_macs: vocab as u64,
                    traffic,
                    one: Some(Launch {
                        bind_group: pipeline.bind(gpu, resources),
                        pipeline,
                        workgroups,
                        spread: Spread::Rows(1),
                    }),
                    few: None,
                    many: None,
                })
            };
        let groups = op(
            &sample::groups_spec(),
            sample::workgroups(vocab),
            &[
                shape.as_entire_binding(),
                scratch.logits.as_entire_binding(),
                seen.as_entire_binding(),
                adjusted.as_entire_binding(),
                groups_buffer.as_entire_binding(),
            ],
            Traffic {
                read: floats(vocab),
                written: floats(vocab),
                ..Traffic::default()
            },
        )?;
        let pick = |choice| {
            let mut resources = vec![
                shape.as_entire_binding(),
                scratch.logits.as_entire_binding(),
                adjusted.as_entire_binding(),
                groups_buffer.as_entire_binding(),
                seen.as_entire_binding(),
                scratch.tokens.as_entire_binding(),
                report.as_entire_binding(),
            ];
            let mut traffic = Traffic {
                read: groups_count as u64 * 16,
                written: REPORT_WORDS as u64 * 4,
                ..Traffic::default()
            };
            if choice == Choice::Random {
                resources.push(uniforms.as_entire_binding());
                traffic.read += floats(vocab);
            }
            op(&sample::pick_spec(choice), 1, &resources, traffic)
        };
        Ok(Self {
            picks: [pick(Choice::Highest)?, pick(Choice::Random)?],
            groups,
            shape,
            seen,
            uniforms,
            ring: (0..RING)
                .map(|_| Readback::new(gpu, report.size()))
                .collect(),
            report,
            is_software: gpu.is_software(),
            in_flight: VecDeque::new(),
            run: Run {
                choice: Choice::Highest,
                top: 0,
                position: 0,
                steps: 0,
                submitted: 0,
                last: None,
                pace: Duration::MAX,
            },
        })
    }

    /// The dispatches that follow the logits of a decoding step.
    pub(super) fn ops(&self) -> [&Op; 2] {
        let pick = match self.run.choice {
            Choice::Highest => &self.picks[0],
            Choice::Random => &self.picks[1],
        };
        [&self.groups, pick]
    }

    /// How many results may be unread when the next one is waited for. Where the host's own cores do the computing, recording ahead
    /// would only push the driver's threads aside.
    fn ahead(&self) -> usize {
        match self.run.pace {
            _ if self.is_software => 1,
            pace if pace < SLOW_STEP => RING - 1,
            _ => 2,
        }
    }
}

impl Forward {
    /// Hands decoding to the device: `next` is computed first, then up to `steps - 1` tokens that it chooses itself. `history` are the
    /// ids that the repetition penalty knows of; `uniforms` the random numbers in [0, 1) of the steps, for a temperature above 0.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`] and [`Error::Misuse`] for what does not fit the model or its context.
    pub fn start_decoding(
        &mut self,
        next: StepToken,
        steps: usize,
        choosing: &Choosing,
        history: &[u32],
        uniforms: &[f32],
    ) -> Result<()> {
        self.phase = Phase::Decode;
        let network = std::sync::Arc::clone(self.network());
        let vocab = network.config.vocab_size;
        self.check(&[next], &[0])?;
        let end = next.position as usize + steps;
        let is_random = choosing.temperature > 0.0;
        if end > network.context_size || (is_random && uniforms.len() < steps) {
            return Err(Error::Misuse(format!(
                "{steps} steps from position {} do not fit the context of {}, or lack random numbers",
                next.position, network.context_size
            )));
        }
        let mut seen = vec![0u32; vocab.div_ceil(32)];
        for id in history.iter().chain([&next.id]) {
            if let Some(word) = seen.get_mut(*id as usize / 32) {
                *word |= 1 << (id % 32);
            }
        }
        let shape = sample::Shape {
            vocab: vocab as u32,
            groups: vocab.div_ceil(GROUP) as u32,
            top_count: choosing.top.min(MOST_TOP).min(vocab) as u32,
            top_k: if choosing.top_k as usize >= vocab {
                0
            } else {
                choosing.top_k
            },
            temperature: choosing.temperature,
            top_p: choosing.top_p,
            min_p: choosing.min_p,
            penalty: choosing.repetition_penalty,
        };
        let input = TokenInput {
            id: next.id,
            position: next.position,
            cache_start: 0,
            logits_from: 0,
        };
        let (scratch, decoder) = self.parts();
        let queue = &network.gpu.queue;
        queue.write_buffer(&decoder.shape, 0, bytemuck::bytes_of(&shape));
        queue.write_buffer(&decoder.seen, 0, bytemuck::cast_slice(&seen));
        queue.write_buffer(&scratch.tokens, 0, bytemuck::bytes_of(&input));
        if is_random && steps > 0 {
            let offset = u64::from(next.position) * 4;
            let numbers = bytemuck::cast_slice(&uniforms[..steps]);
            queue.write_buffer(&decoder.uniforms, offset, numbers);
        }
        // What an earlier run left unread was beyond its end.
        decoder.in_flight.clear();
        decoder.run = Run {
            choice: if is_random {
                Choice::Random
            } else {
                Choice::Highest
            },
            top: shape.top_count as usize,
            position: next.position,
            steps,
            submitted: 0,
            last: None,
            pace: Duration::MAX,
        };
        Ok(())
    }

    /// The next token that the device has chosen, after some steps more are on their way. `None` after the last step of the run.
    ///
    /// A traced step is never ahead: it is submitted when nothing is under way, and waited for. Until then nothing is submitted.
    ///
    /// # Errors
    /// Those of [`crate::gpu::Gpu::wait`].
    pub fn decode(&mut self) -> Result<Option<Decoded>> {
        let limit = match self.trace_mode().is_detailed() {
            true => 1,
            false => self.decoder.ahead(),
        };
        while self.decoder.run.steps > 0 && self.decoder.in_flight.len() < limit {
            self.submit_decoding()?;
        }
        let network = std::sync::Arc::clone(self.network());
        let decoder = &mut self.decoder;
        let Some((submission, place)) = decoder.in_flight.pop_front() else {
            return Ok(None);
        };
        let top = decoder.run.top;
        let decoded =
            decoder.ring[place].read(&network.gpu, submission, REPORT_WORDS, |words| {
                let candidate = |i: usize| (words[4 + 2 * i].to_bits(), words[5 + 2 * i]);
                Decoded {
                    id: words[0].to_bits(),
                    logit: words[1],
                    log_sum: f64::from(words[2]) + f64::from(words[3]).ln(),
                    top: (0..top).map(candidate).collect(),
                }
            })?;
        let now = Instant::now();
        if let Some(last) = decoder.run.last.replace(now) {
            decoder.run.pace = now - last;
        }
        Ok(Some(decoded))
    }

    fn submit_decoding(&mut self) -> Result<()> {
        let run = self.decoder.run;
        let place = run.submitted % RING;
        let token = StepToken {
            id: 0,
            position: run.position,
        };
        let ring = &self.decoder.ring[place];
        let report = &self.decoder.report;
        let submitted = self.submit(&[token], 1, Some(self.decoder.ops()), |encoder| {
            ring.record(encoder, report, report.size());
        })?;
        let submission = self.note(submitted);
        self.decoder.in_flight.push_back((submission, place));
        let run = &mut self.decoder.run;
        run.position += 1;
        run.steps -= 1;
        run.submitted += 1;
        Ok(())
    }
}

const _: () = assert!(64 % GROUP == 0, "rows of logits are padded to 64 floats");

/// The kernels that decoding asks for.
pub fn kernels() -> impl Iterator<Item = crate::gpu::KernelSpec> {
    let picks = Choice::ALL.into_iter().map(sample::pick_spec);
    std::iter::once(sample::groups_spec()).chain(picks)
}

/// Bytes of the buffers for choosing tokens.
pub fn bytes(vocab: usize, context_size: usize) -> u64 {
    let groups = vocab.div_ceil(GROUP);
    floats(groups * GROUP) + groups as u64 * 16 + floats(context_size)
}
