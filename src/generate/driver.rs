//! Drives requests: puts what they need into batches, keeps the device some steps ahead, and hands results back.

use std::collections::VecDeque;
use std::time::Duration;

use web_time::Instant;

use super::generator::Generator;
use crate::error::{Error, Result};
use crate::model::{Batch, BatchClass, Network, RowResult, Sequence, Ticket, Wants};
use crate::trace::{Phase, Step, TraceMode};

/// Steps in flight at most, with the one that is waited for.
const MOST_AHEAD: usize = 3;

/// Steps that take longer than this need no more than one ahead of them to keep the device busy; what is computed beyond the end
/// of a text would only hold up what comes next.
const SLOW_STEP: Duration = Duration::from_millis(10);

/// A request with its sequence, for a tick.
pub struct Lane<'a> {
    /// Tells it from others for as long as it is driven.
    pub key: u64,
    pub sequence: &'a mut Sequence,
    pub generator: &'a mut Generator,
}

/// A step on its way.
struct Flight {
    ticket: Ticket,
    /// Whose each row of the batch is.
    owners: Vec<u64>,
    phase: Phase,
    rows: u32,
    /// Those of prompts.
    prompt_rows: u32,
    position: u32,
    begin: Instant,
    /// Tokens that were proposed, and those that were accepted.
    drafts: (u32, u32),
}

/// Steps in flight, and what is known of their pace.
#[derive(Default)]
pub struct Driver {
    flights: VecDeque<Flight>,
    /// When results were read last, and how long that was after those before.
    last: Option<Instant>,
    pace: Option<Duration>,
    trace: Tracer,
    /// Tokens of prompts that were computed and not asked for.
    prompt_tokens: u64,
}

/// What is traced.
#[derive(Default)]
struct Tracer {
    mode: TraceMode,
    begin: Option<Instant>,
    steps: Vec<Step>,
    /// Steps whose results nobody waits for, such as all but the last of a prompt: they count as one with what follows them.
    unread: Option<(Instant, u32, u32)>,
}

impl Driver {
    /// From here on every step is timed as finely as `mode` says, by the device's clock where it has timestamps. A step that is timed in
    /// detail waits for the device.
    pub fn set_trace(&mut self, mode: TraceMode) {
        self.trace.mode = mode;
        if mode != TraceMode::Off {
            self.trace.begin.get_or_insert_with(Instant::now);
        }
    }

    /// The steps that were traced since the last call.
    pub fn take_trace(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.trace.steps)
    }

    /// How many tokens of prompts were computed since the last call.
    pub fn take_prompt_tokens(&mut self) -> u64 {
        std::mem::take(&mut self.prompt_tokens)
    }

    /// Forgets all that is under way: nobody waits for it.
    pub fn forget(&mut self) {
        self.flights.clear();
        self.last = None;
        self.trace.unread = None;
    }

    /// How many steps may be in flight. Where the host's own cores do the computing, recording ahead would only push the driver's
    /// threads aside.
    fn ahead(&self, network: &Network) -> usize {
        match self.pace {
            _ if self.trace.mode.is_detailed() || network.gpu().is_software() => 1,
            Some(pace) if pace < SLOW_STEP => MOST_AHEAD,
            _ => 2,
        }
    }

    /// Submits what `lanes` need, as far ahead as is good, and hands the results of the oldest step to them. Returns what went wrong with
    /// single lanes; those are no longer to be driven.
    ///
    /// # Errors
    /// Those of the device, which concern all.
    pub fn tick(&mut self, network: &Network, lanes: &mut [Lane<'_>]) -> Result<Vec<(u64, Error)>> {
        // What is still under way nobody waits for.
        if lanes.is_empty() {
            return Ok(Vec::new());
        }
        let mut failed = Vec::new();
        while self.flights.len() < self.ahead(network) {
            if !self.submit(network, lanes, &mut failed)? {
                break;
            }
        }
        if let Some(flight) = self.flights.pop_front() {
            self.land(network, flight, lanes)?;
        }
        Ok(failed)
    }

    /// Submits a step; false where there is nothing to do.
    fn submit(
        &mut self,
        network: &Network,
        lanes: &mut [Lane<'_>],
        failed: &mut Vec<(u64, Error)>,
    ) -> Result<bool> {
        let room = network.room();
        let (mut batch, mut owners) = (Batch::default(), Vec::new());
        // Those that write first: a long prompt must not hold them up.
        for is_decoding in [true, false] {
            for lane in lanes.iter_mut() {
                let has_failed = failed.iter().any(|(key, _)| *key == lane.key);
                if lane.generator.is_decoding() != is_decoding || has_failed {
                    continue;
                }
                let added = lane.generator.add_rows(lane.sequence, room, &mut batch);
                if let Err(error) = added {
                    failed.push((lane.key, error));
                }
                owners.resize(batch.rows().len(), lane.key);
            }
        }
        let Some(first) = batch.rows().first() else {
            return Ok(false);
        };
        let prompts = batch.rows().iter();
        let prompts = prompts.filter(|row| row.class == BatchClass::Prompt);
        let prompt_rows = prompts.count() as u32;
        let position = first.position;
        let begin = Instant::now();
        if self.trace.mode.is_detailed() {
            network.prepare_timer();
        }
        let ticket = network.submit(&batch, self.trace.mode)?;
        self.flights.push_back(Flight {
            ticket,
            owners,
            phase: match prompt_rows {
                0 => Phase::Decode,
                _ => Phase::Prefill,
            },
            rows: batch.rows().len() as u32,
            prompt_rows,
            position,
            begin,
            drafts: (0, 0),
        });
        Ok(true)
    }

    fn land(
        &mut self,
        network: &Network,
        mut flight: Flight,
        lanes: &mut [Lane<'_>],
    ) -> Result<()> {
        let mut received = Vec::new();
        let is_valid = network.read(&flight.ticket, |row, result| {
            let key = flight.owners.get(row);
            let lane = lanes.iter_mut().find(|lane| Some(&lane.key) == key);
            // Of a lane that has ended nobody wants it.
            if let Some(lane) = lane
                && let Some(id) = lane.generator.receive(result)
            {
                received.push((lane.key, id));
            }
        })?;
        // Sequences ask the network, which reading holds.
        for (key, id) in received {
            if let Some(lane) = lanes.iter_mut().find(|lane| lane.key == key) {
                lane.sequence.learn(id)?;
            }
        }
        if is_valid {
            self.prompt_tokens += u64::from(flight.prompt_rows);
            for lane in lanes.iter_mut() {
                let (proposed, accepted) = lane.generator.settle(lane.sequence)?;
                flight.drafts.0 += proposed as u32;
                flight.drafts.1 += accepted as u32;
            }
        } else {
            self.forget();
            lanes
                .iter_mut()
                .for_each(|lane| lane.generator.forget_pending());
            return Ok(());
        }
        let now = Instant::now();
        let before = self.last.filter(|_| flight.phase == Phase::Decode);
        if flight.ticket.has_results
            && let Some(last) = self.last.replace(now)
        {
            self.pace = Some(now.saturating_duration_since(last));
        }
        self.note(&mut flight, before, now);
        Ok(())
    }

    /// Notes a step, as finely as it was timed.
    fn note(&mut self, flight: &mut Flight, before: Option<Instant>, now: Instant) {
        let mode = self.trace.mode;
        let Some(origin) = self.trace.begin.filter(|_| mode != TraceMode::Off) else {
            return;
        };
        let step = |begin: Instant, wall, rows, position, mode, spans| Step {
            phase: flight.phase,
            tokens: rows,
            proposed: flight.drafts.0,
            accepted: flight.drafts.1,
            position,
            begin: begin.saturating_duration_since(origin),
            wall,
            mode,
            spans,
        };
        if let Some(timed) = flight.ticket.timed.take() {
            let (rows, position) = (flight.rows, flight.position);
            let timed = step(timed.begin, timed.wall, rows, position, mode, timed.spans);
            self.trace.steps.push(timed);
            return;
        }
        let begin = before.unwrap_or(flight.begin);
        let unread = self.trace.unread.take();
        let (begin, rows, position) = match unread {
            Some((begin, rows, position)) => (begin, rows + flight.rows, position),
            None => (begin, flight.rows, flight.position),
        };
        if flight.ticket.has_results {
            let wall = now.saturating_duration_since(begin);
            let whole = step(begin, wall, rows, position, TraceMode::Steps, None);
            self.trace.steps.push(whole);
        } else {
            self.trace.unread = Some((begin, rows, position));
        }
    }

    /// Computes `ids` of a sequence from where it ends, as a prompt, and hands what `wanted` asks for after each of them to `read`.
    /// Calls `go_on` with the number of ids that are computed after each step, which ends it early by returning false.
    ///
    /// # Errors
    /// Those of the device.
    pub fn compute(
        &mut self,
        sequence: &mut Sequence,
        ids: &[u32],
        wanted: impl Fn(usize) -> Wants,
        mut read: impl FnMut(usize, RowResult<'_>),
        mut go_on: impl FnMut(usize) -> bool,
    ) -> Result<()> {
        let network = std::sync::Arc::clone(sequence.network());
        let room = network.room();
        let start = sequence.len()?;
        let mut done = 0;
        while done < ids.len() {
            let mut batch = Batch::default();
            let first = done;
            while let Some(id) = ids.get(done) {
                let wants = wanted(done);
                if !room.has_room(&batch, BatchClass::Prompt, &wants) {
                    break;
                }
                let token = crate::model::TokenSource::Id(*id);
                sequence.push(&mut batch, token, None, BatchClass::Prompt, wants)?;
                done += 1;
            }
            let begin = Instant::now();
            if self.trace.mode.is_detailed() {
                network.prepare_timer();
            }
            let ticket = network.submit(&batch, self.trace.mode)?;
            let is_valid = network.read(&ticket, |row, result| {
                read(first + row, result);
            })?;
            let mut flight = Flight {
                ticket,
                owners: Vec::new(),
                phase: Phase::Prefill,
                rows: batch.rows().len() as u32,
                prompt_rows: batch.rows().len() as u32,
                position: (start + first) as u32,
                begin,
                drafts: (0, 0),
            };
            if !is_valid {
                return Err(Error::Cancelled);
            }
            self.note(&mut flight, None, Instant::now());
            if !go_on(done) {
                break;
            }
        }
        Ok(())
    }
}
