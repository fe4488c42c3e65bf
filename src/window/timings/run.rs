//! The steps of one run, and sums over those that are selected.

use std::collections::VecDeque;

use super::selection::Selection;
use crate::engine::ModelInfo;
use crate::trace::{KernelSum, LayerSum, Phase, Step, by_kernel, by_layer};

/// Steps to keep: what is older is let go.
const MOST_STEPS: usize = 2048;

/// An arithmetic mean in the making.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    /// Adds a value and lets older ones fade.
    pub fn add_recent(&mut self, value: f64) {
        self.sum *= 0.95;
        self.count *= 0.95;
        self.add(value);
    }

    pub fn count(&self) -> f64 {
        self.count
    }

    pub fn mean(&self) -> Option<f64> {
        (self.count > 0.5).then(|| self.sum / self.count)
    }
}

/// The steps of one generation.
#[derive(Debug, Default)]
pub struct Run {
    /// No two runs have the same.
    pub number: u64,
    pub label: String,
    /// The model that it was.
    pub info: Option<Box<ModelInfo>>,
    /// Seconds a token with and without detailed timing.
    pub traced: Mean,
    pub untraced: Mean,
    pub steps: VecDeque<Step>,
    /// Steps that were let go.
    pub dropped: usize,
    /// Tokens that took time.
    pub tokens: usize,
    /// Counts changes.
    pub version: u64,
}

impl Run {
    pub fn new(number: u64, label: String, info: Option<Box<ModelInfo>>) -> Self {
        Self {
            number,
            label,
            info,
            ..Self::default()
        }
    }

    pub fn push(&mut self, step: Step) {
        if self.steps.len() == MOST_STEPS {
            self.steps.pop_front();
            self.dropped += 1;
        }
        self.steps.push_back(step);
        self.version += 1;
    }

    /// Steps of a phase with their numbers, counted from the begin of the run.
    pub fn of_phase(&self, phase: Phase) -> impl Iterator<Item = (usize, &Step)> + Clone {
        (self.dropped..)
            .zip(&self.steps)
            .filter(move |(_, step)| step.phase == phase)
    }

    /// Those of a phase that are selected.
    pub fn selected(
        &self,
        phase: Phase,
        selection: &Selection,
    ) -> impl Iterator<Item = (usize, &Step)> + Clone {
        let range = selection.steps;
        self.of_phase(phase).filter(move |(number, _)| {
            range.is_none_or(|(first, last)| (first..=last).contains(number))
        })
    }
}

/// What sums depend on: the run and its version, the phase, the steps.
type Key = (u64, u64, Phase, Option<(usize, usize)>);

/// Sums over the selected steps, kept until something changes.
#[derive(Default)]
pub struct Sums {
    key: Option<Key>,
    pub layers: Vec<LayerSum>,
    pub kernels: Vec<KernelSum>,
    /// All selected steps.
    pub all: Wall,
    /// Those that the device's clock has timed, which `layers` and `kernels` add up.
    pub timed: Wall,
    /// Seconds within their dispatches.
    pub device_s: f64,
    /// Whether the device was asked for its clock and had none.
    pub has_no_clock: bool,
}

/// Some steps by the host's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Wall {
    pub steps: usize,
    pub tokens: u64,
    pub seconds: f64,
}

impl Wall {
    fn of<'a>(steps: impl Iterator<Item = &'a Step>) -> Self {
        let mut wall = Self::default();
        for step in steps {
            wall.steps += 1;
            wall.tokens += u64::from(step.tokens);
            wall.seconds += step.wall.as_secs_f64();
        }
        wall
    }

    /// Seconds a token.
    pub fn per_token(&self) -> f64 {
        self.seconds / self.tokens.max(1) as f64
    }
}

impl Sums {
    pub fn update(&mut self, run: &Run, phase: Phase, selection: &Selection) {
        let key = Some((run.number, run.version, phase, selection.steps));
        if self.key == key {
            return;
        }
        *self = Self::of(run, phase, selection);
        self.key = key;
    }

    pub fn of(run: &Run, phase: Phase, selection: &Selection) -> Self {
        let steps = || run.selected(phase, selection).map(|(_, step)| step);
        let device: u64 = steps().filter_map(Step::device_ns).sum();
        let mut asked = steps().filter(|step| step.mode.is_detailed()).peekable();
        Self {
            key: None,
            layers: by_layer(steps()),
            kernels: by_kernel(steps()),
            all: Wall::of(steps()),
            timed: Wall::of(steps().filter(|step| step.spans.is_some())),
            device_s: device as f64 * 1e-9,
            has_no_clock: asked.peek().is_some() && asked.all(|step| step.spans.is_none()),
        }
    }
}
