//! How much a cost varies from step to step, and which differences between two runs are more than that.
//!
//! A median's uncertainty is half the notch of a box plot, 1.57 interquartile ranges over the root of the number of steps (McGill, Tukey
//! and Larsen, "Variations of box plots", 1978): medians whose notches do not overlap differ, at about the 95 % level. That holds for steps
//! that have nothing to do with each other. Neighbours here share a clock frequency, a cache and whatever else the machine is doing, so
//! however many there are, they count as [`INDEPENDENT`] at most. Nothing below [`LEAST`] of the larger median counts as a change.

use super::step::Step;

/// So many steps at most are taken for independent of each other.
pub const INDEPENDENT: usize = 16;

/// Differences of less than this share are none, however little the steps vary.
pub const LEAST: f64 = 0.01;

/// With fewer steps than this nothing is said about a difference.
pub const FEWEST: usize = 8;

/// The rule in words.
pub const NOISE_RULE: &str = "Medians over the latest 512 steps. A difference counts where it is more than both medians' uncertainties together (each 1.57 \
    interquartile ranges over the root of the number of steps, of which 16 at most count as independent), more than 1 %, and of eight steps or more.";

/// The latest so many steps of a run tell what it costs.
const LATEST: usize = 512;

/// Where the middle of some values is, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Spread {
    pub count: usize,
    pub median: f64,
    /// A quarter of the values is below, and a quarter above.
    pub low: f64,
    pub high: f64,
}

impl Spread {
    /// `None` of no values; those that are no number are left out.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.retain(|value| value.is_finite());
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        // Between the two values that are nearest.
        let quantile = |share: f64| {
            let at = share * last as f64;
            let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
            below + (above - below) * at.fract()
        };
        Some(Self {
            count: values.len(),
            median: quantile(0.5),
            low: quantile(0.25),
            high: quantile(0.75),
        })
    }

    /// How far off the median may be.
    pub fn uncertainty(&self) -> f64 {
        let independent = self.count.clamp(1, INDEPENDENT) as f64;
        1.57 * (self.high - self.low) / independent.sqrt()
    }
}

/// What a difference between two runs amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Slower,
    Faster,
    /// No more than the spread over the steps explains.
    WithinNoise,
    /// There are too few steps to tell.
    TooFew,
}

/// How much more a run takes than another.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Difference {
    /// Of the medians; below zero: less.
    pub delta: f64,
    /// The same as a share of the other.
    pub ratio: f64,
    /// Below this a difference says nothing.
    pub noise: f64,
    pub verdict: Verdict,
}

impl Difference {
    /// `now` against `then`.
    pub fn of(now: &Spread, then: &Spread) -> Self {
        let delta = now.median - then.median;
        let spread = now.uncertainty() + then.uncertainty();
        let noise = spread.max(LEAST * now.median.max(then.median));
        let verdict = match delta {
            _ if now.count.min(then.count) < FEWEST => Verdict::TooFew,
            delta if delta > noise => Verdict::Slower,
            delta if delta < -noise => Verdict::Faster,
            _ => Verdict::WithinNoise,
        };
        Self {
            delta,
            ratio: delta / then.median.max(f64::MIN_POSITIVE),
            noise,
            verdict,
        }
    }

    /// Such as `8 % slower`.
    pub fn words(&self) -> String {
        let percent = 100.0 * self.ratio.abs();
        let percent = match percent {
            _ if self.ratio > 9.0 => format!("{:.0} times", self.ratio + 1.0),
            10.0.. => format!("{percent:.0} %"),
            _ => format!("{percent:.1} %"),
        };
        match self.verdict {
            Verdict::Slower => format!("{percent} slower"),
            Verdict::Faster => format!("{percent} faster"),
            Verdict::WithinNoise => "within the noise".to_owned(),
            Verdict::TooFew => "too few steps to tell".to_owned(),
        }
    }
}

/// Nanoseconds a token, of the latest steps of a phase.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Costs {
    /// By the host's clock: steps that were timed as a whole, and those timed in detail, which takes longer.
    pub whole: Option<Spread>,
    pub detailed: Option<Spread>,
    /// Between and around the kernels of those.
    pub gap: Option<Spread>,
    /// In the order in which a step runs them.
    pub kernels: Vec<(&'static str, Spread)>,
    /// What lies outside the layers first.
    pub layers: Vec<(Option<u32>, Spread)>,
}

impl Costs {
    pub fn of<'a>(steps: impl DoubleEndedIterator<Item = &'a Step>) -> Self {
        let mut kernels = Series::default();
        let mut layers = Series::default();
        let [mut whole, mut detailed, mut gap] = [const { Vec::new() }; 3];
        for step in steps.rev().take(LATEST) {
            let tokens = f64::from(step.gained());
            let wall = step.wall.as_secs_f64() * 1e9 / tokens;
            let Some(spans) = &step.spans else {
                whole.push(wall);
                continue;
            };
            detailed.push(wall);
            let mut device = 0.0;
            for span in spans {
                let time = span.duration_ns as f64 / tokens;
                kernels.add(span.kernel, time);
                layers.add(span.layer, time);
                device += time;
            }
            gap.push((wall - device).max(0.0));
            kernels.end_step();
            layers.end_step();
        }
        let mut layers = layers.spreads();
        layers.sort_by_key(|(layer, _)| *layer);
        Self {
            whole: Spread::of(whole),
            detailed: Spread::of(detailed),
            gap: Spread::of(gap),
            kernels: kernels.spreads(),
            layers,
        }
    }
}

/// What several things took, step by step.
struct Series<K> {
    values: Vec<(K, Vec<f64>)>,
    /// Of the step that is being added up.
    step: Vec<(K, f64)>,
}

impl<K> Default for Series<K> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            step: Vec::new(),
        }
    }
}

impl<K: Copy + PartialEq> Series<K> {
    fn add(&mut self, key: K, value: f64) {
        // The same as the one before, mostly.
        match self.step.iter_mut().rev().find(|(own, _)| *own == key) {
            Some((_, sum)) => *sum += value,
            None => self.step.push((key, value)),
        }
    }

    fn end_step(&mut self) {
        for (key, sum) in self.step.drain(..) {
            match self.values.iter_mut().find(|(own, _)| *own == key) {
                Some((_, values)) => values.push(sum),
                None => self.values.push((key, vec![sum])),
            }
        }
    }

    fn spreads(self) -> Vec<(K, Spread)> {
        let series = self.values.into_iter();
        series
            .filter_map(|(key, values)| Some((key, Spread::of(values)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::made_up::{decode, layer_spans};

    fn spread(values: impl IntoIterator<Item = f64>) -> Spread {
        Spread::of(values.into_iter().collect()).unwrap()
    }

    /// Values that lie evenly within ten percent around `middle`.
    fn around(middle: f64, count: usize) -> Spread {
        spread((0..count).map(|i| middle * (0.9 + 0.2 * (i * 7 % count) as f64 / count as f64)))
    }

    #[test]
    fn medians_and_quartiles_are_those_of_the_values() {
        let spread = spread([5.0, 1.0, 3.0, 2.0, 4.0, f64::NAN]);
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 3.0, 4.0));
        assert_eq!(spread.count, 5);
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn a_change_is_more_than_the_spread_explains() {
        let verdict = |now, then| Difference::of(&around(now, 40), &around(then, 40)).verdict;
        assert_eq!(verdict(100.0, 100.0), Verdict::WithinNoise);
        assert_eq!(verdict(104.0, 100.0), Verdict::WithinNoise);
        assert_eq!(verdict(115.0, 100.0), Verdict::Slower);
        assert_eq!(verdict(85.0, 100.0), Verdict::Faster);
    }

    #[test]
    fn many_steps_of_one_machine_do_not_make_noise_a_change() {
        let (few, many) = (around(103.0, 16), around(103.0, 5000));
        let then = around(100.0, 5000);
        let noise = |now| Difference::of(now, &then).noise;
        assert!((noise(&few) - noise(&many)).abs() < 2.0);
        assert_eq!(Difference::of(&many, &then).verdict, Verdict::WithinNoise);
    }

    #[test]
    fn steps_without_any_spread_need_a_percent() {
        let [a, b, c] = [100.0, 100.9, 101.5].map(|value| spread([value; 20]));
        assert_eq!(Difference::of(&b, &a).verdict, Verdict::WithinNoise);
        assert_eq!(Difference::of(&c, &a).words(), "1.5 % slower");
        let few = spread([300.0; 3]);
        assert_eq!(Difference::of(&few, &a).verdict, Verdict::TooFew);
        let long = spread([2_000.0; 9]);
        assert_eq!(Difference::of(&long, &a).words(), "20 times slower");
    }

    #[test]
    fn costs_are_by_kernel_and_layer_and_token() {
        let mut steps: Vec<_> = (0..8).map(|_| decode(layer_spans(2, 100))).collect();
        for step in &mut steps {
            (step.tokens, step.proposed, step.accepted) = (3, 2, 1);
        }
        let costs = Costs::of(steps.iter());
        // Two tokens gained a step; two kernels of 100 ns, or one in each of two layers.
        let kernel = |name| costs.kernels.iter().find(|(own, _)| *own == name);
        assert_eq!(kernel("proj_1").unwrap().1.median, 100.0);
        assert_eq!(kernel("head").unwrap().1.median, 50.0);
        let layers: Vec<_> = costs.layers.iter().map(|(l, s)| (*l, s.median)).collect();
        assert_eq!(layers, [(None, 50.0), (Some(0), 200.0), (Some(1), 200.0)]);
        assert_eq!(costs.whole, None);
        assert_eq!(costs.gap.unwrap().median, 0.0);
    }
}
