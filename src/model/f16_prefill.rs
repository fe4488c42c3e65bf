//! Prompts in f16, by cooperative matrices, if that was asked for: whether an adapter can, and which matrices f16 holds.

use super::sizes::StepSizes;
use super::weights::Layout;
use crate::checkpoint::Checkpoint;
use crate::dtype::Dtype;
use crate::error::{Error, Feature, Result};
use crate::gpu::{CooperativeMatrices, Gpu};
use crate::kernels::ComputePath;

/// Bytes of workgroup memory that the kernel takes: two tiles in f16 and results of four subgroups.
pub const WORKGROUP_BYTES: u32 = 2 * 64 * 40 * 2 + 4 * 512 * 4;

/// The matrices to take.
///
/// # Errors
/// [`Error::Unsupported`].
pub fn matrices(gpu: &Gpu, path: ComputePath) -> Result<CooperativeMatrices> {
    let lanes = gpu.limits.max_compute_invocations_per_workgroup;
    let why = match gpu.matrices {
        _ if path == ComputePath::Software => "weights are kept in textures".to_owned(),
        None => match gpu.adapter.features.cooperative_matrices {
            0 => "it has no cooperative matrices of f16 with sums in f32, or its driver does not show them".to_owned(),
            _ => "its cooperative matrices compute wrongly, or were not asked for when it was opened".to_owned(),
        },
        Some(matrices)
            if gpu.limits.max_compute_workgroup_storage_size < WORKGROUP_BYTES
                || lanes < 4 * matrices.subgroup_lanes =>
        {
            format!("its workgroups have fewer than {WORKGROUP_BYTES} bytes, or too few threads")
        }
        Some(matrices) => return Ok(matrices),
    };
    Err(unsupported(gpu, why))
}

/// Makes sure that a step has room for whole tiles.
///
/// # Errors
/// [`Error::Unsupported`].
pub fn check_sizes(gpu: &Gpu, sizes: &StepSizes) -> Result<()> {
    match sizes.has_large_tiles() {
        true => Ok(()),
        false => Err(unsupported(
            gpu,
            "it binds too little memory at once for so wide a model".to_owned(),
        )),
    }
}

fn unsupported(gpu: &Gpu, why: String) -> Error {
    Error::Unsupported {
        adapter: gpu.adapter.name.clone(),
        feature: Feature::F16Prefill,
        why,
    }
}

/// Notes which matrices f16 does not hold, which stay with f32. Reads those that are kept in a format of wider range. What is quantised has
/// scales in f16 anyway; if a number of it is too large all the same, the kernel notices.
///
/// # Errors
/// Those of reading the checkpoint.
pub fn note_range(layout: &mut Layout, checkpoint: &Checkpoint) -> Result<()> {
    for matrix in layout.in_layers_mut() {
        let tensor = checkpoint.tensor(&matrix.spec)?;
        checkpoint.check_lengths()?;
        let is_wide = matches!(matrix.dtype, Dtype::F32 | Dtype::Bf16);
        matrix.suits_f16 = !is_wide || tensor.fits_f16();
    }
    Ok(())
}

/// Says which matrices prompts are not multiplied with in f16, because it does not hold their numbers.
pub fn warning(layout: &Layout) -> Option<String> {
    let mut others = layout.all().filter(|matrix| !matrix.suits_f16);
    let first = &others.next()?.spec.name;
    let others = match others.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Some(format!(
        "the numbers of `{first}`{others} are too large or too small for f16: prompts are multiplied with them in f32"
    ))
}
