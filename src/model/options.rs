//! What a caller may ask for when a model is loaded.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::dtype::Dtype;
use crate::gpu::adapters;
use crate::kernels::ComputePath;
use crate::kernels::linear::Tuning;

/// How a model is put on a device.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Index, or part of the name, of the adapter; `None`: the best one that works.
    pub device: Option<String>,
    /// Adapters ([`crate::gpu::AdapterSummary::identity`]) that are the last to be tried, because they have failed before, where `device` names none.
    pub distrusted: Vec<String>,
    /// Format of weights on the device; `None`: bf16 and f16 as stored, f32 as f16, or bf16 where f16 cannot hold it.
    pub dtype: Option<Dtype>,
    /// Keys and values in f32 instead of f16: exact, twice the memory.
    pub exact_kv: bool,
    /// Which family of kernels; `None`: whichever is faster on this adapter, by a short measurement.
    pub compute_path: Option<ComputePath>,
    /// Whether activations of generated tokens are quantised to eight bits on the fly where they meet weights in q8; `None`: where that
    /// is clearly faster, by a short measurement.
    pub int8: Option<bool>,
    /// Products of prompts in f16, with sums in f32, by cooperative matrices (tensor cores, WMMA, simdgroup matrices), instead of f32: faster,
    /// and rounded. [`crate::Error::Unsupported`] where the adapter has none; where numbers of the model are too large for f16, prompts become
    /// f32 again ([`crate::Model::WIDENED`]).
    pub f16_prefill: bool,
    /// Whether kernel sizes, and the compute path where it is open, are found by measuring.
    pub tune: Tune,
    /// A file to keep measurements in, so that the next start need not repeat them; compiled kernels are kept beside it. `None`: every load
    /// measures.
    pub tuning_cache: Option<PathBuf>,
    /// Whether to use an adapter untested: what it computes is not held against a few known numbers first.
    pub skip_self_test: bool,
    /// The most positions of a sequence; `None`: the model's `max_context_length`.
    pub context_size: Option<usize>,
    /// At most so many positions, where `context_size` says nothing: more than the model has is no mistake.
    pub context_limit: Option<usize>,
    /// The most device memory to use, in bytes; `None`: what there is.
    pub memory_limit: Option<u64>,
    /// Whether sessions can be saved and restored: all weights are then read once more while loading, for a number that tells the model
    /// from others.
    pub can_save: bool,
    /// Set from another thread to end loading with [`crate::Error::Cancelled`].
    pub cancel: Option<Arc<AtomicBool>>,
}

impl LoadOptions {
    /// Has the next load take another adapter than this ([`crate::gpu::AdapterSummary::identity`]), which was lost again and again. False where there is no other, or one was
    /// asked for.
    pub fn distrust(&mut self, adapter: &str) -> bool {
        let known = adapters().into_iter();
        self.distrust_among(adapter, known.map(|known| known.identity()))
    }

    fn distrust_among(&mut self, adapter: &str, known: impl IntoIterator<Item = String>) -> bool {
        if self.device.is_some() || self.distrusted.iter().any(|other| other == adapter) {
            return false;
        }
        self.distrusted.push(adapter.to_owned());
        let mut known = known.into_iter();
        known.any(|other| !self.distrusted.contains(&other))
    }
}

/// Whether to measure, at load, which kernels suit the adapter. It takes less than a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tune {
    /// Where no earlier measurement is at hand.
    #[default]
    Auto,
    /// Never: usual sizes; [`ComputePath::Software`] on software adapters, [`ComputePath::Gpu`] on others.
    Off,
    /// Always, whatever an earlier measurement said.
    Again,
    /// Never: these, on the path that [`Tune::Off`] would take.
    Fixed(Tuning),
}

/// How far loading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes so far: of weights on the device, or whatever a loader of its own counts.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_is_distrusted_while_there_is_another() {
        let known = || ["a", "b"].map(str::to_owned);
        let mut options = LoadOptions::default();
        assert!(options.distrust_among("a", known()));
        assert!(!options.distrust_among("b", known()));
        assert_eq!(options.distrusted, ["a", "b"]);
    }

    #[test]
    fn an_adapter_that_was_asked_for_is_not_replaced() {
        let known = ["a", "b"].map(str::to_owned);
        let mut options = LoadOptions {
            device: Some("a".into()),
            ..LoadOptions::default()
        };
        assert!(!options.distrust_among("a", known));
        assert!(options.distrusted.is_empty());
    }
}
