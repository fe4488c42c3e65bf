//! Drives requests: puts what they need into batches, keeps the device some steps ahead, and hands results back.

use std::collections::VecDeque;
use std::time::Duration;

use web_time::Instant;

use super::generator::Generator;
use crate::error::{Error, Result};
use crate::model::{
    Batch, BatchClass, Network, RowResult, Sequence, Ticket, TokenSource, Wants, common_prefix,
};
use crate::trace::{Phase, Step, TraceMode};

/// Steps in flight at most, with the one that is waited for.
const MOST_AHEAD: usize = 3;

/// Steps that take longer than this need no more than one ahead of them to keep the device busy; what is computed beyond the end
/// of a text would only hold up what comes next.
const SLOW_STEP: Duration = Duration::from_millis(10);

/// A request at work, with its sequence.
pub struct Running<'a> {
    /// Tells it from others for as long as it is driven.
    pub key: u64,
    pub sequence: &'a mut Sequence,
    pub generator: &'a mut Generator,
}

/// A step on its way.
struct PendingStep {
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
    pending: VecDeque<PendingStep>,
    /// The network's when a step was submitted last.
    epoch: Option<u64>,
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
        self.pending.clear();
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

    /// Submits what `requests` need, as far ahead as is good, and hands the results of the oldest step to them. Returns what went wrong
    /// with single ones; those are no longer to be driven.
    ///
    /// # Errors
    /// Those of the device, which concern all.
    pub fn tick(
        &mut self,
        network: &Network,
        requests: &mut [Running<'_>],
    ) -> Result<Vec<(u64, Error)>> {
        // What is still under way nobody waits for.
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let mut failed = Vec::new();
        while self.pending.len() < self.ahead(network) {
            if !self.submit_rows(network, requests, &mut failed)? {
                break;
            }
        }
        if let Some(step) = self.pending.pop_front() {
            self.complete(network, step, requests)?;
        }
        Ok(failed)
    }

    /// Submits a step; false where there is nothing to do.
    fn submit_rows(
        &mut self,
        network: &Network,
        requests: &mut [Running<'_>],
        failed: &mut Vec<(u64, Error)>,
    ) -> Result<bool> {
        let room = network.room();
        let mut batch = network.batch();
        if self.epoch != batch.epoch() {
            // Somebody else's step had keys and values become f32: what requests had computed is gone.
            self.epoch = batch.epoch();
            self.forget_steps(requests);
        }
        let mut owners = Vec::new();
        // Those that write first: a long prompt must not hold them up.
        for is_decoding in [true, false] {
            for request in requests.iter_mut() {
                let has_failed = failed.iter().any(|(key, _)| *key == request.key);
                if request.generator.is_decoding() != is_decoding || has_failed {
                    continue;
                }
                let added = request
                    .generator
                    .add_rows(request.sequence, room, &mut batch);
                if let Err(error) = added {
                    failed.push((request.key, error));
                }
                owners.resize(batch.rows().len(), request.key);
            }
        }
        if batch.rows().is_empty() {
            return Ok(false);
        }
        let step = self.submit(network, &batch, owners)?;
        self.pending.push_back(step);
        Ok(true)
    }

    /// Submits a batch with rows.
    fn submit(
        &mut self,
        network: &Network,
        batch: &Batch,
        owners: Vec<u64>,
    ) -> Result<PendingStep> {
        let begin = Instant::now();
        if self.trace.mode.is_detailed() {
            network.prepare_timer();
        }
        let ticket = network.submit(batch, self.trace.mode)?;
        let rows = batch.rows();
        let prompts = rows.iter().filter(|row| row.class == BatchClass::Prompt);
        let prompt_rows = prompts.count() as u32;
        Ok(PendingStep {
            ticket,
            owners,
            phase: match prompt_rows {
                0 => Phase::Decode,
                _ => Phase::Prefill,
            },
            rows: rows.len() as u32,
            prompt_rows,
            position: rows.first().map_or(0, |row| row.position),
            begin,
            drafts: (0, 0),
        })
    }

    /// Forgets what is under way, and has requests begin anew with the ids that they have.
    fn forget_steps(&mut self, requests: &mut [Running<'_>]) {
        self.forget();
        for request in requests {
            request.generator.forget_pending();
        }
    }

    /// Waits for a step, and hands its results to whose they are.
    fn complete(
        &mut self,
        network: &Network,
        mut step: PendingStep,
        requests: &mut [Running<'_>],
    ) -> Result<()> {
        let mut received = Vec::new();
        let is_valid = network.read(&step.ticket, |row, result| {
            let key = step.owners.get(row);
            let request = requests
                .iter_mut()
                .find(|request| Some(&request.key) == key);
            // Of one that has ended nobody wants it.
            if let Some(request) = request
                && let Some(id) = request.generator.receive(result)
            {
                received.push((request.key, id));
            }
        })?;
        if !is_valid {
            self.forget_steps(requests);
            return Ok(());
        }
        // Sequences ask the network, which reading holds.
        for (key, id) in received {
            if let Some(request) = requests.iter_mut().find(|request| request.key == key) {
                request.sequence.learn(id)?;
            }
        }
        self.prompt_tokens += u64::from(step.prompt_rows);
        for request in requests.iter_mut() {
            let (proposed, accepted) = request.generator.settle(request.sequence)?;
            step.drafts.0 += proposed as u32;
            step.drafts.1 += accepted as u32;
        }
        let now = Instant::now();
        let before = self.last.filter(|_| step.phase == Phase::Decode);
        if step.ticket.has_results
            && let Some(last) = self.last.replace(now)
        {
            self.pace = Some(now.saturating_duration_since(last));
        }
        self.note(&mut step, before, now);
        Ok(())
    }

    /// Notes a step, as finely as it was timed.
    fn note(&mut self, pending: &mut PendingStep, before: Option<Instant>, now: Instant) {
        let mode = self.trace.mode;
        let Some(origin) = self.trace.begin.filter(|_| mode != TraceMode::Off) else {
            return;
        };
        let step = |begin: Instant, wall, rows, position, mode, spans| Step {
            phase: pending.phase,
            tokens: rows,
            proposed: pending.drafts.0,
            accepted: pending.drafts.1,
            position,
            begin: begin.saturating_duration_since(origin),
            wall,
            mode,
            spans,
        };
        if let Some(timed) = pending.ticket.timed.take() {
            let (rows, position) = (pending.rows, pending.position);
            let timed = step(timed.begin, timed.wall, rows, position, mode, timed.spans);
            self.trace.steps.push(timed);
            return;
        }
        let begin = before.unwrap_or(pending.begin);
        let unread = self.trace.unread.take();
        let (begin, rows, position) = match unread {
            Some((begin, rows, position)) => (begin, rows + pending.rows, position),
            None => (begin, pending.rows, pending.position),
        };
        if pending.ticket.has_results {
            let wall = now.saturating_duration_since(begin);
            let whole = step(begin, wall, rows, position, TraceMode::Steps, None);
            self.trace.steps.push(whole);
        } else {
            self.trace.unread = Some((begin, rows, position));
        }
    }

    /// Has a sequence hold `ids`, computing as a prompt what it does not hold, and all from the index `keep` on. What `wanted` asks for after
    /// the id at an index goes to `read`; where keys and values become f32 meanwhile all begins anew, and what comes later for an index holds.
    /// Calls `go_on` with the number of ids that are held after each step, which ends it early by returning false.
    ///
    /// # Errors
    /// Those of the device.
    pub fn compute(
        &mut self,
        sequence: &mut Sequence,
        ids: &[u32],
        keep: usize,
        wanted: impl Fn(usize) -> Wants,
        mut read: impl FnMut(usize, RowResult<'_>),
        mut go_on: impl FnMut(usize) -> bool,
    ) -> Result<()> {
        let network = std::sync::Arc::clone(sequence.network());
        let room = network.room();
        self.forget();
        sequence.truncate(common_prefix(sequence.ids(), ids).min(keep))?;
        loop {
            let mut batch = network.batch();
            let first = sequence.len()?;
            for (index, id) in ids.iter().enumerate().skip(first) {
                let (token, wants) = (TokenSource::Id(*id), wanted(index));
                if !room.has_room(&batch, BatchClass::Prompt, &wants) {
                    break;
                }
                sequence.push(&mut batch, token, None, BatchClass::Prompt, wants)?;
            }
            if batch.rows().is_empty() {
                return Ok(());
            }
            let mut step = self.submit(&network, &batch, Vec::new())?;
            let is_valid = network.read(&step.ticket, |row, result| read(first + row, result))?;
            if !is_valid {
                self.forget();
                continue;
            }
            self.note(&mut step, None, Instant::now());
            if !go_on(first + batch.rows().len()) {
                return Ok(());
            }
        }
    }
}
