//! What the page shows of a server at work, as plain data: counts and rates of the last two minutes, second by second, and what each
//! layer and kernel costs. Steps are timed in detail only while somebody looks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::budget::{Budget, SHARE};
use super::openai::{Context, usual};
use crate::trace::{LayerSum, Phase, Step, TraceMode, by_layer};

/// Seconds that are kept.
pub const SECONDS: usize = 120;

/// Timed steps of a phase that are added up.
const MOST_STEPS: usize = 32;

/// Whoever has not asked for so long has stopped looking.
const WATCHED_FOR: Duration = Duration::from_secs(5);

/// The model and where it runs; does not change while a server lives.
#[derive(Debug, Clone, Serialize)]
pub struct Card {
    /// As requests name it.
    pub name: String,
    pub version: &'static str,
    pub adapter: String,
    pub driver: String,
    pub dtype: String,
    pub context_size: usize,
    pub has_tokenizer: bool,
    /// Whether conversations can be written for it; a base model only continues texts.
    pub has_chat_template: bool,
    pub layers: Vec<Layer>,
    pub defaults: Defaults,
}

/// Sizes of a layer.
#[derive(Debug, Clone, Serialize)]
pub struct Layer {
    pub q_heads: usize,
    pub kv_heads: usize,
    pub ffn_dim: usize,
}

/// What holds where a request says nothing.
#[derive(Debug, Clone, Serialize)]
pub struct Defaults {
    pub temperature: f32,
    pub top_p: f32,
    pub top_k: u32,
}

impl Card {
    /// Of what is served.
    pub fn new(served: &Context) -> Self {
        let model = &served.model;
        let layers = model.config().layers.iter();
        let defaults = usual(model.generation_config());
        Self {
            name: served.name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            adapter: model.adapter().name.clone(),
            driver: model.adapter().driver.clone(),
            dtype: model.dtype().to_string(),
            context_size: model.context_size(),
            has_tokenizer: model.tokenizer().is_some(),
            has_chat_template: served.template.is_some(),
            layers: layers
                .map(|layer| Layer {
                    q_heads: layer.q_heads,
                    kv_heads: layer.kv_heads,
                    ffn_dim: layer.ffn_dim,
                })
                .collect(),
            defaults: Defaults {
                temperature: defaults.temperature,
                top_p: defaults.top_p,
                top_k: defaults.top_k,
            },
        }
    }
}

/// How much there is at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Texts that are being written.
    pub running: usize,
    /// Those whose turn has not come.
    pub waiting: usize,
    /// Rows of the KV cache that somebody uses, kept prompts left out, and rows that there are. It grows when it is full.
    pub kv_used: usize,
    pub kv_rows: usize,
}

/// A step, as whoever stepped saw it.
#[derive(Debug)]
pub struct Tick {
    pub begin: Instant,
    pub end: Instant,
    /// Tokens of prompts that were computed in it; those that were there already do not count.
    pub prompt_tokens: u64,
    pub generated_tokens: u64,
    /// What was timed of it.
    pub steps: Vec<Step>,
}

/// What happened in a second.
#[derive(Debug, Clone, Copy, Default)]
struct Second {
    prefill: u64,
    decode: u64,
    /// As it was last in it, but for `running` and `waiting`: the most.
    load: Load,
}

/// What is known of a server at work.
#[derive(Debug)]
pub struct Record {
    card: Card,
    began: Instant,
    /// The last is the one that is under way; `number` counts from the beginning.
    seconds: VecDeque<Second>,
    number: u64,
    load: Load,
    prompt_tokens: u64,
    generated_tokens: u64,
    watched: Option<Instant>,
    budget: Budget,
    prefill: Timed,
    decode: Timed,
}

/// The last steps of a phase that were timed.
#[derive(Debug, Default)]
struct Timed {
    steps: VecDeque<Step>,
    last: Option<Instant>,
}

/// All of it at a moment. Rates are tokens of each second, the oldest first; the last second is not over.
#[derive(Debug, Serialize)]
pub struct Snapshot {
    pub model: Card,
    /// Seconds since the server began.
    pub uptime_s: f64,
    #[serde(flatten)]
    pub load: Load,
    pub prompt_tokens: u64,
    pub generated_tokens: u64,
    pub seconds: Seconds,
    /// `None`: no step of the kind was timed as yet.
    pub prefill: Option<Costs>,
    pub decode: Option<Costs>,
    /// How much longer a step takes for being timed, and how much longer all may take for it, as shares.
    pub timing_cost: Option<f64>,
    pub timing_budget: f64,
}

/// One number a second.
#[derive(Debug, Default, Serialize)]
pub struct Seconds {
    pub prefill: Vec<u64>,
    pub decode: Vec<u64>,
    pub running: Vec<usize>,
    pub waiting: Vec<usize>,
    pub kv_used: Vec<usize>,
}

/// What some steps cost.
#[derive(Debug, Serialize)]
pub struct Costs {
    /// Seconds since the last of them.
    pub age_s: f64,
    pub steps: usize,
    /// In all of them together.
    pub tokens: u64,
    /// Their time by the host's clock.
    pub wall_ns: u64,
    /// Sums by the device's clock, what lies outside the layers first; empty where the device tells no times.
    pub layers: Vec<LayerSum>,
}

impl Record {
    pub fn new(card: Card, now: Instant) -> Self {
        Self {
            card,
            began: now,
            seconds: VecDeque::from([Second::default()]),
            number: 0,
            load: Load::default(),
            prompt_tokens: 0,
            generated_tokens: 0,
            watched: None,
            budget: Budget::default(),
            prefill: Timed::default(),
            decode: Timed::default(),
        }
    }

    /// How finely the next step is to be timed.
    pub fn mode(&self, now: Instant) -> TraceMode {
        let is_watched = self
            .watched
            .is_some_and(|last| now.saturating_duration_since(last) < WATCHED_FOR);
        match is_watched && self.budget.allows() {
            true => TraceMode::Kernels,
            false => TraceMode::Off,
        }
    }

    /// Takes in a step.
    pub fn add(&mut self, tick: Tick) {
        self.go_on(tick.end);
        self.prompt_tokens += tick.prompt_tokens;
        self.generated_tokens += tick.generated_tokens;
        if let Some(second) = self.seconds.back_mut() {
            second.prefill += tick.prompt_tokens;
            second.decode += tick.generated_tokens;
        }
        let is_timed = tick.steps.iter().any(|step| step.mode.is_detailed());
        let took = tick.end.saturating_duration_since(tick.begin);
        let texts = self.load.running;
        self.budget.add(is_timed, tick.prompt_tokens, texts, took);
        for step in tick.steps {
            if !step.mode.is_detailed() {
                continue;
            }
            let timed = match step.phase {
                Phase::Prefill => &mut self.prefill,
                Phase::Decode => &mut self.decode,
            };
            timed.add(step, tick.end);
        }
    }

    /// Notes what there is at a moment, such as a request that has come.
    pub fn set_load(&mut self, load: Load, now: Instant) {
        self.go_on(now);
        self.load = load;
        if let Some(second) = self.seconds.back_mut() {
            second.load = Load {
                running: second.load.running.max(load.running),
                waiting: second.load.waiting.max(load.waiting),
                ..load
            };
        }
    }

    /// Everything; whoever asks is taken to look, and what they look at is timed from here on.
    pub fn look(&mut self, now: Instant) -> Snapshot {
        self.watched = Some(now);
        self.go_on(now);
        let each = |of: fn(&Second) -> usize| self.seconds.iter().map(of).collect();
        Snapshot {
            model: self.card.clone(),
            uptime_s: now.saturating_duration_since(self.began).as_secs_f64(),
            load: self.load,
            prompt_tokens: self.prompt_tokens,
            generated_tokens: self.generated_tokens,
            seconds: Seconds {
                prefill: self.seconds.iter().map(|second| second.prefill).collect(),
                decode: self.seconds.iter().map(|second| second.decode).collect(),
                running: each(|second| second.load.running),
                waiting: each(|second| second.load.waiting),
                kv_used: each(|second| second.load.kv_used),
            },
            prefill: self.prefill.costs(now),
            decode: self.decode.costs(now),
            timing_cost: self.budget.cost(),
            timing_budget: SHARE,
        }
    }

    /// Begins the seconds that have come since. Nothing happened in those between, so all is as it was last.
    fn go_on(&mut self, now: Instant) {
        let number = now.saturating_duration_since(self.began).as_secs();
        let passed = number.saturating_sub(self.number).min(SECONDS as u64);
        for _ in 0..passed {
            if self.seconds.len() == SECONDS {
                self.seconds.pop_front();
            }
            self.seconds.push_back(Second {
                load: self.load,
                ..Second::default()
            });
        }
        self.number = self.number.max(number);
    }
}

impl Timed {
    fn add(&mut self, step: Step, now: Instant) {
        if self.steps.len() == MOST_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
        self.last = Some(now);
    }

    fn costs(&self, now: Instant) -> Option<Costs> {
        let age = now.saturating_duration_since(self.last?);
        let wall: u128 = self.steps.iter().map(|step| step.wall.as_nanos()).sum();
        Some(Costs {
            age_s: age.as_secs_f64(),
            steps: self.steps.len(),
            tokens: self.steps.iter().map(|step| u64::from(step.tokens)).sum(),
            wall_ns: wall.try_into().unwrap_or(u64::MAX),
            layers: by_layer(&self.steps),
        })
    }
}

/// The record, for the thread that computes and for those who look.
#[derive(Debug, Clone)]
pub struct Live(Arc<Mutex<Record>>);

impl Live {
    pub fn new(card: Card) -> Self {
        Self(Arc::new(Mutex::new(Record::new(card, Instant::now()))))
    }

    /// To be held shortly: the thread that computes waits for it.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Span;

    fn card() -> Card {
        Card {
            name: "m".into(),
            version: "1",
            adapter: "a".into(),
            driver: "d".into(),
            dtype: "f16".into(),
            context_size: 8,
            has_tokenizer: true,
            has_chat_template: false,
            layers: Vec::new(),
            defaults: Defaults {
                temperature: 1.0,
                top_p: 1.0,
                top_k: 0,
            },
        }
    }

    fn step(mode: TraceMode) -> Step {
        let span = |layer, kernel, duration_ns| Span {
            layer,
            kernel,
            start_ns: 0,
            duration_ns,
            read: 0,
            written: 0,
            flops: 0,
        };
        Step {
            phase: Phase::Decode,
            tokens: 2,
            proposed: 0,
            accepted: 0,
            position: 0,
            begin: Duration::ZERO,
            wall: Duration::from_nanos(100),
            mode,
            spans: Some(vec![span(None, "head", 30), span(Some(0), "qkv", 50)]),
        }
    }

    fn tick(begin: Instant, tokens: u64, steps: Vec<Step>) -> Tick {
        Tick {
            begin,
            end: begin + Duration::from_millis(100),
            prompt_tokens: 3 * tokens,
            generated_tokens: tokens,
            steps,
        }
    }

    #[test]
    fn seconds_come_and_go() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut record = Record::new(card(), begin);
        record.add(tick(at(0), 5, Vec::new()));
        record.add(tick(at(2), 7, Vec::new()));
        record.add(tick(at(2), 1, Vec::new()));
        let load = |running, waiting| Load {
            running,
            waiting,
            kv_used: 4,
            kv_rows: 8,
        };
        record.set_load(load(3, 1), at(2));
        record.set_load(load(1, 0), at(2));
        let seen = record.look(at(4));
        assert_eq!(seen.seconds.decode, [5, 0, 8, 0, 0]);
        assert_eq!(seen.seconds.prefill, [15, 0, 24, 0, 0]);
        // The most of the second, and from then on as it was last.
        assert_eq!(seen.seconds.running, [0, 0, 3, 1, 1]);
        assert_eq!(seen.seconds.waiting, [0, 0, 1, 0, 0]);
        assert_eq!(seen.seconds.kv_used, [0, 0, 4, 4, 4]);
        assert_eq!((seen.prompt_tokens, seen.generated_tokens), (39, 13));
        // No more than two minutes are kept, whatever passes.
        let seen = record.look(at(1_000_000));
        assert_eq!(seen.seconds.decode, [0; SECONDS]);
        assert_eq!(seen.generated_tokens, 13);
    }

    #[test]
    fn steps_are_timed_while_somebody_looks() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut record = Record::new(card(), begin);
        record.add(tick(begin, 1, Vec::new()));
        assert_eq!(record.mode(at(1)), TraceMode::Off);
        assert!(record.look(at(1)).decode.is_none());
        assert_eq!(record.mode(at(1)), TraceMode::Kernels);
        assert_eq!(record.mode(at(6)), TraceMode::Off);
        // Only what was timed in detail is added up, and no more than the last steps.
        record.add(tick(at(6), 1, vec![step(TraceMode::Steps)]));
        assert!(record.look(at(7)).decode.is_none());
        for _ in 0..MOST_STEPS + 5 {
            record.add(tick(at(7), 1, vec![step(TraceMode::Kernels)]));
        }
        let seen = record.look(at(9));
        let costs = seen.decode.unwrap();
        assert_eq!(costs.steps, MOST_STEPS);
        assert_eq!(costs.tokens, 2 * MOST_STEPS as u64);
        let sums: Vec<u64> = costs
            .layers
            .iter()
            .map(|layer| layer.sum.duration_ns)
            .collect();
        assert_eq!(sums, [30 * MOST_STEPS as u64, 50 * MOST_STEPS as u64]);
        assert!(seen.prefill.is_none());
        // What timing has cost is paid back before there is more of it.
        assert_eq!(record.mode(at(9)), TraceMode::Off);
    }
}
