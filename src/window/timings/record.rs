//! What was timed, as plain data: the run that is shown, earlier ones, what adapters can do at best, and what of it is chosen.

use std::collections::HashMap;

use super::run::{Mean, Run};
use super::selection::{Selection, Tab};
use crate::engine::{ModelInfo, TokenEvent};
use crate::trace::{Peaks, Phase, Step, TraceMode};

/// Runs to compare with.
const EARLIER: usize = 3;

/// All that the timings panel shows.
#[derive(Debug)]
pub struct Record {
    /// The run that is shown.
    pub run: Run,
    /// Those before it, latest first.
    pub earlier: Vec<Run>,
    /// The one of them that it is compared with.
    pub compared: usize,
    /// While it is set nothing is timed, and what is shown stays.
    pub is_paused: bool,
    pub tab: Tab,
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
    /// The name of a run of which nothing was timed yet, because it is paused.
    pending: Option<String>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            run: Run::default(),
            earlier: Vec::new(),
            compared: 0,
            is_paused: false,
            tab: Tab::default(),
            phase: Phase::Decode,
            selection: Selection::default(),
            info: None,
            frame: Mean::default(),
            peaks: HashMap::new(),
            is_recording: false,
            pending: None,
        }
    }
}

impl Record {
    /// What the adapter of a model can do at best, once that was measured.
    pub fn peaks_of(&self, info: Option<&ModelInfo>) -> Option<Peaks> {
        self.peaks.get(&info?.adapter.name).copied()
    }

    /// As [`Record::peaks_of`], for the run that is shown.
    pub fn run_peaks(&self) -> Option<Peaks> {
        self.peaks_of(self.run.info.as_deref())
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

    /// A new run begins. If it is not timed, what was timed before stays in sight.
    pub fn begin(&mut self, label: &str, mode: TraceMode) {
        self.is_recording = false;
        let label = (mode != TraceMode::Off).then(|| label.to_owned());
        match label {
            Some(label) if !self.is_paused => self.record(&label),
            label => self.pending = label,
        }
    }

    fn record(&mut self, label: &str) {
        self.pending = None;
        self.is_recording = true;
        let model = self.info.as_ref().map_or(String::new(), |info| {
            format!("{} {}", info.name, info.dtype)
        });
        let label = format!("{model}: {label}");
        let run = Run::new(self.run.number + 1, label, self.info.clone());
        let before = std::mem::replace(&mut self.run, run);
        if !before.steps.is_empty() {
            self.earlier.insert(0, before);
            self.earlier.truncate(EARLIER);
        }
        self.selection.steps = None;
    }

    pub fn step(&mut self, step: Step) {
        if self.is_paused {
            return;
        }
        if let Some(label) = self.pending.take() {
            self.record(&label);
        }
        if self.is_recording {
            self.run.push(step);
        }
    }

    pub fn token(&mut self, token: &TokenEvent) {
        if !self.is_recording {
            return;
        }
        // Tokens that were given took no time, and that of the first other is the prompt's.
        if token.token.time.is_zero() {
            return;
        }
        let is_first = self.run.tokens == 0;
        self.run.tokens += 1;
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
