//! The token rate that the adapter's memory would allow at each format of weights: at most, and estimated.

use super::record::Record;
use super::run::Run;
use crate::checkpoint::Config;
use crate::dtype::Dtype;
use crate::model::kv_bytes;
use crate::trace::{Peaks, Phase};

/// How many formats are told apart: of the two of 16 bits, which take as many bytes, the one in use.
const FORMATS: usize = 4;

fn formats(used: Dtype) -> [Dtype; FORMATS] {
    let half = match used {
        Dtype::F16 => Dtype::F16,
        _ => Dtype::Bf16,
    };
    [Dtype::F32, half, Dtype::Q8, Dtype::Q4]
}

/// Tokens a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WhatIf {
    pub rates: [(Dtype, f64); FORMATS],
    /// The format that the weights have.
    pub dtype: Dtype,
    /// What it is now, where anything was decoded.
    pub now: Option<f64>,
    /// Keys and values that are read reach to here.
    pub position: usize,
    pub is_estimated: bool,
}

impl WhatIf {
    /// Of the run that is shown, or else of the model that is loaded. A file does not say enough of its model.
    pub fn of(record: &Record) -> Option<Self> {
        let run = &record.run;
        if run.file.is_some() {
            return None;
        }
        let info = run.info.as_deref().or(record.info.as_deref())?;
        let peaks = record.peaks_of(Some(info))?;
        let last = run.steps.back();
        let position = last.map_or(0, |step| step.position as usize + step.tokens as usize);
        Some(Self {
            rates: rates(&info.config, info.dtype, position, &peaks),
            dtype: info.dtype,
            now: rate_of(run),
            position,
            is_estimated: peaks.is_estimated,
        })
    }

    /// One line.
    pub fn words(&self) -> String {
        let rates = self.rates.iter();
        let rates: Vec<String> = rates
            .map(|(dtype, rate)| format!("{dtype} {}", rounded(*rate)))
            .collect();
        let now = self.now.map_or(String::new(), |now| {
            format!("; now {} as {}", rounded(now), self.dtype)
        });
        format!(
            "What if (at most, estimated): {} tok/s{now}",
            rates.join(" · ")
        )
    }

    /// How the figures came about.
    pub fn why(&self) -> String {
        format!(
            "Bytes that a token reads, if all matrices had that format, with a KV cache of {} positions in f16, against the bandwidth {} here. \
             Neither arithmetic nor starting kernels is counted, so it is only exceeded where caches serve a part.",
            self.position,
            if self.is_estimated {
                "estimated"
            } else {
                "measured"
            }
        )
    }
}

fn rates(config: &Config, used: Dtype, position: usize, peaks: &Peaks) -> [(Dtype, f64); FORMATS] {
    let cache = kv_bytes(config, position + 1, false);
    formats(used).map(|dtype| {
        let bytes = config.bytes_per_token(dtype) + cache;
        (dtype, peaks.bytes_per_s / bytes.max(1) as f64)
    })
}

/// What a run does a second, of tokens that were not slowed by being timed where there are any.
fn rate_of(run: &Run) -> Option<f64> {
    let seconds = run.untraced.mean().or_else(|| run.traced.mean());
    let seconds = seconds.or_else(|| {
        let steps = run.of_phase(Phase::Decode).map(|(_, step)| step);
        let (wall, tokens) = steps.fold((0.0, 0.0), |(wall, tokens), step| {
            (
                wall + step.wall.as_secs_f64(),
                tokens + f64::from(step.gained()),
            )
        });
        (tokens > 0.0).then(|| wall / tokens)
    })?;
    (seconds > 0.0).then(|| 1.0 / seconds)
}

/// Tokens a second, with as many digits as count.
pub fn rounded(rate: f64) -> String {
    match rate {
        rate if rate < 10.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::shapes;

    #[test]
    fn rates_follow_bytes() {
        let config = shapes::config("270M").unwrap();
        let peaks = Peaks {
            bytes_per_s: 20e9,
            flops_per_s: 1e12,
            is_estimated: false,
        };
        let rates = |position| rates(&config, Dtype::F16, position, &peaks).map(|(_, rate)| rate);
        let [f32, bf16, q8, q4] = rates(0);
        // 271.5 million parameters, nearly all of them read.
        assert!((17.5..18.5).contains(&f32), "{f32}");
        assert!((bf16 / f32 - 2.0).abs() < 0.01, "{bf16}");
        assert!((1.8..2.0).contains(&(q8 / bf16)), "{q8}");
        assert!((1.7..2.0).contains(&(q4 / q8)), "{q4}");
        assert!(rates(2000)[3] < q4);
    }
}
