//! Models that are on this machine, as the page of models shows them: plain data, and what fits.

use crate::checkpoint::LayerConfig;
use crate::dtype::Dtype;

/// Names and shapes of the models that Apple has on the hub.
pub const APPLES: [&str; 4] = ["270M", "450M", "1_1B", "3B"];

/// Where a model lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In this program.
    BuiltIn,
    /// In a folder, or a file, of the person's own.
    Folder,
    /// In the hub's cache.
    Cache,
}

/// What a model's files say.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub parameters: u64,
    pub layers: Vec<LayerConfig>,
    pub model_dim: usize,
    pub head_dim: usize,
    /// Positions.
    pub context: usize,
    /// What the files are: `GGUF`, `safetensors`.
    pub container: &'static str,
    /// Most weights' format in the files.
    pub stored: Dtype,
    /// Bytes of the weights on a device, by the format asked for; `None` asks for none.
    pub weights: Vec<(Option<Dtype>, u64)>,
    /// Bytes of keys and values for one position.
    pub position: u64,
}

/// A model that is here.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// What it is loaded by.
    pub model: String,
    pub place: Place,
    /// Bytes on disk; 0 for what is built in.
    pub bytes: u64,
    /// What is wrong with it, if it cannot be loaded.
    pub facts: Result<Facts, String>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Catalog {
    pub models: Vec<Listed>,
    /// Whether they are being looked for.
    pub is_searching: bool,
    /// Bytes of memory for a model on the adapter in use, where its driver tells; `None`: unknown.
    pub room: Option<u64>,
}

/// A model that is being fetched, beside whatever else goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// As on the hub.
    pub name: String,
    /// Bytes so far, and in all; 0 until that is known.
    pub done: u64,
    pub total: u64,
    pub is_ending: bool,
}

/// What is loaded where the person asks for no format: as stored, or the largest that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// That fits, for all that is known.
    Fits(Option<Dtype>),
    /// Nothing is known of the memory, so the first is tried.
    Unknown,
    /// Not even the smallest fits.
    TooLarge,
}

/// Formats that are tried in turn where the person asks for none.
pub const AUTOMATIC: [Option<Dtype>; 3] = [None, Some(Dtype::Q8), Some(Dtype::Q4)];

impl Facts {
    /// Bytes of weights, keys and values on a device.
    pub fn need(&self, dtype: Option<Dtype>, context: Option<usize>) -> Option<u64> {
        let (_, weights) = self.weights.iter().find(|(other, _)| *other == dtype)?;
        let positions = context.unwrap_or(self.context).min(self.context) as u64;
        Some(weights.saturating_add(self.position.saturating_mul(positions)))
    }

    /// The format that a device with so much room gets.
    pub fn choice(&self, room: Option<u64>, context: Option<usize>) -> Choice {
        let Some(room) = room else {
            return Choice::Unknown;
        };
        let fits = |dtype: &Option<Dtype>| {
            let need = self.need(*dtype, context);
            need.is_some_and(|need| Self::fits(need, room))
        };
        match AUTOMATIC.into_iter().find(fits) {
            Some(dtype) => Choice::Fits(dtype),
            None => Choice::TooLarge,
        }
    }

    /// Whether what needs so much memory has room in so much.
    pub fn fits(need: u64, room: u64) -> bool {
        need.saturating_add(SCRATCH) <= room
    }

    /// What the weights are on the device, where that format is asked for.
    pub fn on_device(&self, dtype: Option<Dtype>) -> Dtype {
        match (dtype, self.stored) {
            (Some(dtype), _) => dtype,
            // f32 needs twice the memory for what nobody can tell apart.
            (None, Dtype::F32) => Dtype::F16,
            (None, stored) => stored,
        }
    }
}

/// Room for activations and logits, which no file tells: more than the published sizes take.
const SCRATCH: u64 = 96 << 20;

impl Catalog {
    pub fn get(&self, model: &str) -> Option<&Listed> {
        self.models.iter().find(|listed| listed.model == model)
    }
}

/// Bytes as people say them.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// A number of parameters as people say it.
pub fn count(parameters: u64) -> String {
    match parameters {
        0..1_000_000 => format!("{} thousand", parameters / 1000),
        1_000_000..10_000_000 => format!("{:.1} million", parameters as f64 / 1e6),
        10_000_000..1_000_000_000 => format!("{} million", parameters / 1_000_000),
        _ => format!("{:.1} billion", parameters as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            parameters: 1_000_000_000,
            layers: Vec::new(),
            model_dim: 1280,
            head_dim: 64,
            context: 2000,
            container: "safetensors",
            stored: Dtype::F32,
            weights: vec![
                (None, 2_000_000_000),
                (Some(Dtype::Q8), 1_000_000_000),
                (Some(Dtype::Q4), 500_000_000),
            ],
            position: 100_000,
        }
    }

    #[test]
    fn the_largest_format_that_fits_is_chosen() {
        let facts = facts();
        assert_eq!(facts.need(None, None), Some(2_200_000_000));
        assert_eq!(facts.need(None, Some(1000)), Some(2_100_000_000));
        assert_eq!(facts.need(None, Some(9000)), facts.need(None, None));
        assert_eq!(facts.need(Some(Dtype::F32), None), None);
        let choice = |room| facts.choice(room, None);
        assert_eq!(choice(None), Choice::Unknown);
        assert_eq!(choice(Some(8_000_000_000)), Choice::Fits(None));
        // Weights and cache alone would fit.
        assert_eq!(choice(Some(2_250_000_000)), Choice::Fits(Some(Dtype::Q8)));
        assert_eq!(choice(Some(1_000_000_000)), Choice::Fits(Some(Dtype::Q4)));
        assert_eq!(choice(Some(1_000)), Choice::TooLarge);
        assert_eq!(facts.on_device(None), Dtype::F16);
        assert_eq!(facts.on_device(Some(Dtype::Q4)), Dtype::Q4);
    }

    #[test]
    fn sizes_are_said_as_people_say_them() {
        assert_eq!(size(1), "1 kB");
        assert_eq!(size(543_000_000), "543 MB");
        assert_eq!(size(12_100_000_000), "12.1 GB");
        assert_eq!(count(2_800_000), "2.8 million");
        assert_eq!(count(271_000_000), "271 million");
        assert_eq!(count(3_036_000_000), "3.0 billion");
    }
}
