//! What a prompt's keys and values depend on beside its ids: where all of it is the same, so are their bits.
//!
//! Not among it: sizes of kernels, of steps and of the context, and whether activations of generated rows have eight bits, because rows of
//! prompts have the same bits whatever these are (`tests/inside/kv_transfer.rs`).

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use super::resident::Resident;
use super::weights::Layout;
use crate::error::Origin;
use crate::kernels;

/// Where keys and values come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KvOrigin {
    /// A number for the model's configuration and weights.
    model: String,
    /// The format that most weights have on the device, and a number for the others, if there are any.
    weights: String,
    /// With what of the tuning changes bits.
    compute_path: String,
    kv_dtype: String,
    /// What prompts are multiplied in.
    prefill_dtype: String,
    adapter: String,
    /// A number for the text of all kernels.
    kernels: String,
}

impl KvOrigin {
    /// `model` as [`crate::Checkpoint::fingerprint`] has it; `exact`: keys and values are f32; `f16_prefill`: prompts are multiplied in f16.
    pub fn new(resident: &Resident, model: u128, exact: bool, f16_prefill: bool) -> Self {
        let adapter = &resident.gpu.adapter;
        Self {
            model: format!("{model:032x}"),
            weights: weights(&resident.layout),
            compute_path: match resident.tuning.subgroups {
                // Squares of a fused norm (lib/input_shared.wgsl) and attention's sums (lib/group_sums_*.wgsl) then have another order.
                true => format!("{} (subgroups)", resident.path.name()),
                false => resident.path.name().to_owned(),
            },
            kv_dtype: if exact { "f32" } else { "f16" }.to_owned(),
            prefill_dtype: if f16_prefill { "f16" } else { "f32" }.to_owned(),
            // Another device, or its driver, may round otherwise.
            adapter: format!("{} ({}, {})", adapter.name, adapter.backend, adapter.driver),
            kernels: format!("{:032x}", kernels::fingerprint()),
        }
    }

    /// The first thing in which `other` differs: what it is here, and there.
    pub fn difference<'a>(&'a self, other: &'a Self) -> Option<(Origin, &'a str, &'a str)> {
        [
            (Origin::Model, &self.model, &other.model),
            (Origin::Weights, &self.weights, &other.weights),
            (Origin::Adapter, &self.adapter, &other.adapter),
            (Origin::ComputePath, &self.compute_path, &other.compute_path),
            (Origin::KvDtype, &self.kv_dtype, &other.kv_dtype),
            (
                Origin::PrefillDtype,
                &self.prefill_dtype,
                &other.prefill_dtype,
            ),
            (Origin::Kernels, &self.kernels, &other.kernels),
        ]
        .into_iter()
        .find(|(_, here, there)| here != there)
        .map(|(origin, here, there)| (origin, here.as_str(), there.as_str()))
    }
}

fn weights(layout: &Layout) -> String {
    let main = layout.main_dtype();
    let mut hash = XxHash3_128::new();
    for matrix in layout.all() {
        hash.write(matrix.dtype.name().as_bytes());
    }
    match layout.all().all(|matrix| matrix.dtype == main) {
        true => main.name().to_owned(),
        false => format!("{main} and others ({:08x})", hash.finish_128() as u32),
    }
}
