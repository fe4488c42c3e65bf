//! How tokens are chosen, and ways to choose them by name.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::generate::SamplingParams;

/// How tokens are chosen; as [`SamplingParams`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplingSettings {
    /// Whether the person has changed something; if not, every model brings its own.
    pub own: bool,
    #[serde(deserialize_with = "finite")]
    pub temperature: f32,
    pub top_k: u32,
    #[serde(deserialize_with = "finite")]
    pub top_p: f32,
    #[serde(deserialize_with = "finite")]
    pub min_p: f32,
    #[serde(deserialize_with = "finite")]
    pub repetition_penalty: f32,
    /// `None`: another one each time.
    pub seed: Option<u64>,
}

/// A number that JSON can say again: it has none that are infinite.
pub fn finite<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
    let number = f32::deserialize(from)?;
    match number.is_finite() {
        true => Ok(number),
        false => Err(D::Error::custom("a number that is too large")),
    }
}

impl Default for SamplingSettings {
    fn default() -> Self {
        Self::from(&SamplingParams::default())
    }
}

impl From<&SamplingParams> for SamplingSettings {
    fn from(sampling: &SamplingParams) -> Self {
        Self {
            own: false,
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            min_p: sampling.min_p,
            repetition_penalty: sampling.repetition_penalty,
            seed: None,
        }
    }
}

impl SamplingSettings {
    /// Whether two texts with other seeds may differ.
    pub fn has_chance(&self) -> bool {
        self.temperature > 0.0 && self.top_k != 1 && self.top_p > 0.0
    }

    /// Whether tokens are chosen alike, but for the seed.
    pub fn is_like(&self, other: &Self) -> bool {
        let numbers = |of: &Self| {
            let Self {
                own: _,
                temperature,
                top_k,
                top_p,
                min_p,
                repetition_penalty,
                seed: _,
            } = *of;
            (temperature, top_k, top_p, min_p, repetition_penalty)
        };
        numbers(self) == numbers(other)
    }

    /// With `seed` where the person gave none. What there is no control for is the model's own, `base`.
    pub fn over(&self, base: SamplingParams, seed: u64) -> SamplingParams {
        SamplingParams {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            seed: self.seed.unwrap_or(seed),
            ..base
        }
    }
}

/// A way to choose tokens, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preset {
    pub name: String,
    pub sampling: SamplingSettings,
    /// The system prompt that goes with it in chats, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

/// Those that are always there: name, temperature, top-p, min-p, repetition penalty.
const BUILT_IN: [(&str, f32, f32, f32, f32); 3] = [
    ("Precise", 0.2, 0.9, 0.0, 1.1),
    ("Balanced", 0.7, 0.95, 0.0, 1.1),
    ("Creative", 1.0, 1.0, 0.05, 1.05),
];

impl Preset {
    pub fn built_in() -> impl Iterator<Item = Self> {
        let all = BUILT_IN.into_iter();
        all.map(
            |(name, temperature, top_p, min_p, repetition_penalty)| Self {
                name: name.into(),
                sampling: SamplingSettings {
                    own: true,
                    temperature,
                    top_p,
                    min_p,
                    repetition_penalty,
                    top_k: 0,
                    seed: None,
                },
                system: None,
            },
        )
    }

    pub fn is_built_in(name: &str) -> bool {
        BUILT_IN.iter().any(|(built_in, ..)| *built_in == name)
    }
}
