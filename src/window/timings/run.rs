//! The steps of one run, and sums over those that are selected.

use std::collections::VecDeque;

use super::selection::Selection;
use crate::engine::ModelInfo;
use crate::trace::{Explanation, Imported, Peaks, Phase, Step, Subject, Totals, explain};

/// Steps to keep, and how many of the oldest are let go together when there are more: sums over the rest are made anew then.
const MOST_STEPS: usize = 2048;
const LET_GO: usize = 256;

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

/// Where a run was read from.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    /// What that says the adapter could do at best.
    pub peaks: Option<Peaks>,
}

/// The steps of one generation.
#[derive(Debug, Default)]
pub struct Run {
    /// No two runs have the same.
    pub number: u64,
    pub label: String,
    /// The conversation that was written to; empty of a run that was read from a file.
    pub conversation: String,
    /// The model that it was, if that was here.
    pub info: Option<Box<ModelInfo>>,
    pub subject: Subject,
    /// The file that it was read from.
    pub file: Option<Source>,
    /// Seconds a token with and without detailed timing.
    pub traced: Mean,
    pub untraced: Mean,
    pub steps: VecDeque<Step>,
    /// The requests that had a part in each of them.
    pub requests: VecDeque<Vec<u64>>,
    /// Steps that were let go.
    pub dropped: usize,
    /// Requests of which a token has come that took time.
    pub texts: Vec<u64>,
    /// Counts changes.
    pub version: u64,
    /// Spans of all steps: nearly all the memory that a run takes.
    pub spans: usize,
}

impl Run {
    pub fn new(
        number: u64,
        label: String,
        conversation: String,
        info: Option<Box<ModelInfo>>,
    ) -> Self {
        Self {
            number,
            label,
            conversation,
            subject: info.as_deref().map(Subject::from).unwrap_or_default(),
            info,
            ..Self::default()
        }
    }

    /// The last steps of a run that was read from a file of that name.
    pub fn imported(number: u64, name: &str, trace: Imported) -> Self {
        let mut run = Self {
            number,
            label: format!("{name}: {}", trace.subject.words()),
            subject: trace.subject,
            file: Some(Source {
                name: name.to_owned(),
                peaks: trace.peaks,
            }),
            dropped: trace.left_out,
            ..Self::default()
        };
        let requests = trace.requests.into_iter().chain(std::iter::repeat(vec![1]));
        for (step, requests) in trace.steps.into_iter().zip(requests) {
            run.push(step, requests);
        }
        run
    }

    /// What is known of it beside its steps.
    pub fn without_steps(&self) -> Self {
        Self {
            number: self.number,
            label: self.label.clone(),
            conversation: self.conversation.clone(),
            info: self.info.clone(),
            subject: self.subject.clone(),
            file: self.file.clone(),
            traced: self.traced,
            untraced: self.untraced,
            dropped: self.dropped,
            ..Self::default()
        }
    }

    pub fn push(&mut self, step: Step, requests: Vec<u64>) {
        if self.steps.len() == MOST_STEPS {
            for step in self.steps.drain(..LET_GO) {
                self.spans -= step.spans.map_or(0, |spans| spans.len());
            }
            self.requests.drain(..LET_GO);
            self.dropped += LET_GO;
        }
        self.spans += step.spans.as_ref().map_or(0, Vec::len);
        self.steps.push_back(step);
        self.requests.push_back(requests);
        self.version += 1;
    }

    /// Steps that there were, those that were let go included.
    pub fn count(&self) -> usize {
        self.dropped + self.steps.len()
    }

    /// Steps of a phase with their numbers, counted from the begin of the run.
    pub fn of_phase(
        &self,
        phase: Phase,
    ) -> impl DoubleEndedIterator<Item = (usize, &Step)> + Clone {
        let numbered = self.steps.iter().enumerate();
        numbered
            .map(|(i, step)| (self.dropped + i, step))
            .filter(move |(_, step)| step.phase == phase)
    }

    /// Number of the first step of a phase, and the one after the last.
    pub fn ends(&self, phase: Phase) -> Option<(usize, usize)> {
        let (first, _) = self.of_phase(phase).next()?;
        let (last, _) = self.of_phase(phase).next_back()?;
        Some((first, last + 1))
    }

    /// The step of that number, if it is there and of the phase.
    pub fn step(&self, number: usize, phase: Phase) -> Option<&Step> {
        let step = self.steps.get(number.checked_sub(self.dropped)?)?;
        (step.phase == phase).then_some(step)
    }

    /// The requests that had a part in a step.
    pub fn requests_of(&self, number: usize) -> &[u64] {
        let at = number.checked_sub(self.dropped);
        at.and_then(|at| self.requests.get(at))
            .map_or(&[], Vec::as_slice)
    }

    /// Those of a phase that are selected.
    pub fn selected(
        &self,
        phase: Phase,
        selection: &Selection,
    ) -> impl DoubleEndedIterator<Item = (usize, &Step)> + Clone {
        let range = selection.steps;
        self.of_phase(phase).filter(move |(number, _)| {
            range.is_none_or(|(first, last)| (first..=last).contains(number))
        })
    }
}

/// What sums depend on beside the steps that have come: the run, how many of its steps were let go, the phase, the steps chosen.
type Key = (u64, usize, Phase, Option<(usize, usize)>);

/// Sums over the selected steps, to which new ones are added as they come.
#[derive(Default)]
pub struct Sums {
    key: Option<Key>,
    /// Steps of the run that were looked at.
    seen: usize,
    peaks: Option<Peaks>,
    pub totals: Totals,
    /// What took the time.
    pub explanation: Option<Explanation>,
}

impl Sums {
    pub fn update(&mut self, run: &Run, phase: Phase, selection: &Selection, peaks: Option<Peaks>) {
        let key = Some((run.number, run.dropped, phase, selection.steps));
        let is_new = self.key != key;
        if is_new {
            *self = Self {
                key,
                ..Self::default()
            };
        }
        let has_come = run.count() > self.seen;
        if has_come {
            let seen = self.seen;
            let steps = run.selected(phase, selection).rev();
            let new: Vec<&Step> = steps
                .take_while(|(number, _)| *number >= seen)
                .map(|(_, step)| step)
                .collect();
            new.iter().rev().for_each(|step| self.totals.add(step));
            self.seen = run.count();
        }
        if is_new || has_come || self.peaks != peaks {
            self.peaks = peaks;
            self.explanation = explain(&self.totals, phase, peaks.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::TraceMode;
    use std::time::Duration;

    fn step(phase: Phase, milliseconds: u64) -> Step {
        Step {
            phase,
            tokens: 1,
            proposed: 0,
            accepted: 0,
            position: 0,
            begin: Duration::ZERO,
            wall: Duration::from_millis(milliseconds),
            mode: TraceMode::Steps,
            spans: None,
        }
    }

    #[test]
    fn sums_follow_a_run_that_grows_and_forgets() {
        let mut run = Run::new(1, String::new(), String::new(), None);
        let mut sums = Sums::default();
        let all = Selection::default();
        run.push(step(Phase::Prefill, 9), vec![1]);
        for i in 0..MOST_STEPS + 10 {
            run.push(step(Phase::Decode, i as u64 % 7), vec![1]);
            sums.update(&run, Phase::Decode, &all, None);
            if i % 500 == 3 || i > MOST_STEPS - 3 {
                let fresh = Totals::of(run.of_phase(Phase::Decode).map(|(_, step)| step));
                assert_eq!(sums.totals.all.steps, fresh.all.steps, "{i}");
                assert!((sums.totals.all.seconds - fresh.all.seconds).abs() < 1e-9);
            }
        }
        assert_eq!(run.dropped, LET_GO);
        assert_eq!(run.ends(Phase::Decode), Some((LET_GO, MOST_STEPS + 11)));
        let steps = Some((LET_GO, LET_GO + 1));
        let two = Selection { steps, ..all };
        sums.update(&run, Phase::Decode, &two, None);
        assert_eq!(sums.totals.all.steps, 2);
        assert_eq!(run.requests_of(LET_GO), [1]);
        assert_eq!(run.requests_of(0), [0; 0]);
    }
}
