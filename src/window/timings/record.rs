//! What was timed, as plain data: the run that is shown, earlier ones, what adapters can do at best, and what of it is chosen.

use std::collections::HashMap;

use super::run::{Mean, Run};
use super::selection::{Pair, Selection, Tab};
use crate::engine::{ModelInfo, TokenEvent};
use crate::trace::{Imported, Peaks, Phase, Step, TraceMode};

/// Runs to compare with.
const EARLIER: usize = 8;

/// Spans that these may have together, of some 64 bytes each; the oldest runs are let go before there are more.
const MOST_SPANS: usize = 1 << 20;

/// All that the timings panel shows.
#[derive(Debug)]
pub struct Record {
    /// The run that is shown.
    pub run: Run,
    /// Those before it, latest first.
    pub earlier: Vec<Run>,
    /// Which of all are compared.
    pub compared: Pair,
    /// While it is set nothing is timed, and what is shown stays.
    pub is_paused: bool,
    pub tab: Tab,
    /// The view beside it, where there is room for two.
    pub beside: Tab,
    pub phase: Phase,
    pub selection: Selection,
    /// The model that was loaded last.
    pub info: Option<Box<ModelInfo>>,
    /// Seconds that a frame of the window takes.
    pub frame: Mean,
    /// What adapters can do, by name.
    peaks: HashMap<String, Peaks>,
    /// Whether what comes now belongs to the run that is shown.
    is_recording: bool,
    /// A run of which nothing was timed yet, because it is paused.
    pending: Option<Written>,
    /// How many runs there were.
    runs: u64,
}

/// What a run writes: what it is called, and the conversation.
#[derive(Debug)]
struct Written {
    label: String,
    conversation: String,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            run: Run::default(),
            earlier: Vec::new(),
            compared: Pair::default(),
            is_paused: false,
            tab: Tab::default(),
            beside: Tab::Layers,
            phase: Phase::Decode,
            selection: Selection::default(),
            info: None,
            frame: Mean::default(),
            peaks: HashMap::new(),
            is_recording: false,
            pending: None,
            runs: 0,
        }
    }
}

impl Record {
    /// What the adapter of a model can do at best, once that was measured.
    pub fn peaks_of(&self, info: Option<&ModelInfo>) -> Option<Peaks> {
        self.peaks.get(&info?.adapter.name).copied()
    }

    /// As [`Record::peaks_of_run`], for the run that is shown.
    pub fn run_peaks(&self) -> Option<Peaks> {
        self.peaks_of_run(&self.run)
    }

    /// As [`Record::peaks_of`]. Of a run from a file as that says, or else as this adapter was measured, if it is the same.
    pub fn peaks_of_run(&self, run: &Run) -> Option<Peaks> {
        let subject = &run.subject;
        let Some(file) = &run.file else {
            return self.peaks_of(run.info.as_deref());
        };
        let is_same = |info: &&ModelInfo| {
            info.adapter.name == subject.adapter && info.adapter.driver == subject.driver
        };
        let here = self.info.as_deref().filter(is_same);
        file.peaks.or_else(|| self.peaks_of(here))
    }

    pub fn model_loaded(&mut self, info: &ModelInfo) {
        self.info = Some(Box::new(info.clone()));
    }

    /// Whether it is not known yet what the adapter can do.
    pub fn needs_peaks(&self) -> bool {
        self.info.is_some() && self.peaks_of(self.info.as_deref()).is_none()
    }

    pub fn set_peaks(&mut self, peaks: Peaks) {
        if let Some(info) = &self.info {
            self.peaks.insert(info.adapter.name.clone(), peaks);
        }
    }

    /// A new run begins, which writes to the conversation of that id. If it is not timed, what was timed before stays in sight.
    pub fn begin(&mut self, label: &str, conversation: &str, mode: TraceMode) {
        self.is_recording = false;
        let written = (mode != TraceMode::Off).then(|| Written {
            label: label.to_owned(),
            conversation: conversation.to_owned(),
        });
        match written {
            Some(written) if !self.is_paused => self.record(written),
            written => self.pending = written,
        }
    }

    fn record(&mut self, written: Written) {
        self.pending = None;
        self.is_recording = true;
        let model = self.info.as_ref().map_or(String::new(), |info| {
            format!("{} {}", info.name, info.dtype)
        });
        let label = format!("{model}: {}", written.label);
        let info = self.info.clone();
        let run = Run::new(self.next_number(), label, written.conversation, info);
        self.show(run);
        self.selection.steps = None;
    }

    /// No two runs have the same.
    fn next_number(&mut self) -> u64 {
        self.runs += 1;
        self.runs
    }

    /// Shows a run; the one that was shown is kept.
    fn show(&mut self, run: Run) {
        let before = std::mem::replace(&mut self.run, run);
        if !before.steps.is_empty() {
            self.earlier.insert(0, before);
            self.forget();
        }
    }

    /// Takes in a run that was read from a file of that name, and shows it. While another `is_coming` it is compared with that instead.
    pub fn read(&mut self, name: &str, trace: Imported, is_coming: bool) {
        let run = Run::imported(self.next_number(), name, trace);
        if is_coming {
            self.compared = Pair {
                now: None,
                then: Some(run.number),
            };
            self.tab = Tab::Compare;
            self.earlier.insert(0, run);
            self.forget();
            return;
        }
        self.is_recording = false;
        self.selection = Selection::default();
        if run.of_phase(self.phase).next().is_none() {
            self.phase = match self.phase {
                Phase::Decode => Phase::Prefill,
                Phase::Prefill => Phase::Decode,
            };
        }
        self.show(run);
    }

    /// Lets a run go that was read from a file, and shows the one before it.
    pub fn close(&mut self) {
        if self.run.file.is_none() {
            return;
        }
        self.selection = Selection::default();
        self.run = match self.earlier.is_empty() {
            true => Run::default(),
            false => self.earlier.remove(0),
        };
    }

    /// Lets the oldest runs go where there are too many, or where they take too much memory.
    fn forget(&mut self) {
        self.earlier.truncate(EARLIER);
        let mut spans: usize = self.earlier.iter().map(|run| run.spans).sum();
        while spans > MOST_SPANS
            && self.earlier.len() > 1
            && let Some(oldest) = self.earlier.pop()
        {
            spans -= oldest.spans;
        }
    }

    /// The run of that number, if it is kept.
    pub fn run_of(&self, number: u64) -> Option<&Run> {
        let mut runs = std::iter::once(&self.run).chain(&self.earlier);
        runs.find(|run| run.number == number)
    }

    /// The last run of a conversation that was timed, if it is kept.
    pub fn last_of(&self, conversation: &str) -> Option<&Run> {
        let runs = std::iter::once(&self.run).chain(&self.earlier);
        let mut own = runs.filter(|run| run.conversation == conversation && !run.steps.is_empty());
        own.next()
    }

    /// The two runs that are compared; `None` if there is one so far.
    pub fn pair(&self) -> Option<(&Run, &Run)> {
        let wanted = |number: Option<u64>| number.and_then(|number| self.run_of(number));
        let now = wanted(self.compared.now).unwrap_or(&self.run);
        let others = || std::iter::once(&self.run).chain(&self.earlier);
        let then = wanted(self.compared.then).filter(|then| then.number != now.number);
        let then = then.or_else(|| {
            let mut before = others().filter(|run| run.number < now.number);
            before.next()
        });
        let then = then.or_else(|| others().find(|run| run.number != now.number))?;
        Some((now, then))
    }

    /// Notes a step in which these requests had a part.
    pub fn step(&mut self, step: Step, requests: Vec<u64>) {
        if self.is_paused {
            return;
        }
        if let Some(written) = self.pending.take() {
            self.record(written);
        }
        if self.is_recording {
            self.run.push(step, requests);
        }
    }

    pub fn token(&mut self, request: u64, token: &TokenEvent) {
        if !self.is_recording {
            return;
        }
        // Tokens that were given took no time, and that of the first other of each text is the prompt's.
        if token.token.time.is_zero() {
            return;
        }
        let is_first = !self.run.texts.contains(&request);
        if is_first {
            self.run.texts.push(request);
        }
        if !is_first && !self.is_paused {
            let mean = match token.traced {
                true => &mut self.run.traced,
                false => &mut self.run.untraced,
            };
            mean.add(token.token.time.as_secs_f64());
        }
    }

    /// Shows steps that were of another phase.
    pub fn show_phase(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            // Steps are of one phase or the other.
            self.selection.steps = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::made_up::{decode, span};

    fn step(spans: usize) -> Step {
        decode(vec![span(None, "head", 1, 0); spans])
    }

    fn numbers(record: &Record) -> Vec<u64> {
        record.earlier.iter().map(|run| run.number).collect()
    }

    #[test]
    fn eight_earlier_runs_are_kept_but_no_more_than_fit() {
        let mut record = Record::default();
        for _ in 0..12 {
            record.begin("a text", "1", TraceMode::Kernels);
            record.step(step(3), vec![1]);
        }
        assert_eq!(numbers(&record), [11, 10, 9, 8, 7, 6, 5, 4]);
        for _ in 0..3 {
            record.begin("a long text", "2", TraceMode::Kernels);
            record.step(step(MOST_SPANS / 2 + 1), vec![1]);
        }
        assert_eq!(numbers(&record), [14]);
    }

    #[test]
    fn two_runs_are_compared_whichever_were_chosen() {
        let mut record = Record::default();
        for _ in 0..3 {
            record.begin("a text", "1", TraceMode::Kernels);
            record.step(step(1), vec![1]);
        }
        let pair = |record: &Record| record.pair().map(|(now, then)| (now.number, then.number));
        assert_eq!(pair(&record), Some((3, 2)));
        record.compared.then = Some(1);
        assert_eq!(pair(&record), Some((3, 1)));
        record.compared.now = Some(1);
        // Not with itself.
        assert_eq!(pair(&record), Some((1, 3)));
        // What was let go is no longer meant.
        record.compared = Pair {
            now: Some(99),
            then: Some(98),
        };
        assert_eq!(pair(&record), Some((3, 2)));
        record.earlier.clear();
        assert_eq!(pair(&record), None);
    }
}
