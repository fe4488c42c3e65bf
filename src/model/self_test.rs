//! Whether an adapter computes: a few kernels on numbers whose results are known, once for each driver and version of the kernels. What
//! drivers may do or not is probed along the way.

use std::path::Path;
use std::sync::Mutex;

use super::adapter_facts::{AdapterFacts, AdapterKey, Probed};
use super::known_numbers::Known;
use super::tune_cache;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Readback};
use crate::kernels::probe::{EXACT_HALVES, NATIVE_HALVES};
use crate::kernels::{ComputePath, FILES};

/// What this process has found out, for those who keep no file.
static PASSED: Mutex<Vec<(AdapterKey, Probed)>> = Mutex::new(Vec::new());

/// Makes sure that `gpu` computes, and that it is used only as far as it keeps its promises. `file` remembers it.
///
/// # Errors
/// [`Error::ComputesWrongly`]; those of the device.
pub fn pass(gpu: &mut Gpu, file: Option<&Path>) -> Result<()> {
    let key = AdapterKey::new(gpu);
    // With other files than the usual ones nothing that was found out counts.
    let is_usual = gpu.stand_ins.is_empty();
    let known = known(&key, file).filter(|_| is_usual);
    let is_enough = |known: &Probed| known.matrices.is_some() || gpu.matrices.is_none();
    let probed = match known.filter(is_enough) {
        Some(probed) => probed,
        None => {
            let probed = run(gpu)?;
            if is_usual {
                remember(key, probed, file);
            }
            probed
        }
    };
    heed(gpu, probed);
    Ok(())
}

fn known(key: &AdapterKey, file: Option<&Path>) -> Option<Probed> {
    let passed = PASSED.lock().unwrap_or_else(|poison| poison.into_inner());
    let here = passed.iter().rev().find(|(other, _)| other == key);
    let here = here.map(|(_, probed)| *probed);
    here.or_else(|| tune_cache::facts(file?, key).probed)
}

fn remember(key: AdapterKey, probed: Probed, file: Option<&Path>) {
    let mut passed = PASSED.lock().unwrap_or_else(|poison| poison.into_inner());
    passed.push((key.clone(), probed));
    drop(passed);
    if let Some(file) = file {
        let change = |facts: &mut AdapterFacts| facts.probed = Some(probed);
        tune_cache::change_facts(file, key, change);
    }
}

/// Does without what the adapter was found not to do.
fn heed(gpu: &mut Gpu, probed: Probed) {
    if !probed.subgroups {
        gpu.subgroup_lanes = 0;
    }
    if !probed.halves {
        gpu.stand_ins.push((NATIVE_HALVES, EXACT_HALVES));
    }
    if probed.matrices == Some(false) {
        gpu.matrices = None;
    }
}

/// Runs all of it in one submission.
fn run(gpu: &Gpu) -> Result<Probed> {
    let path = match gpu.is_software() && gpu.max_texel_store_bytes() > 0 {
        true => ComputePath::Software,
        false => ComputePath::Gpu,
    };
    let known = Known::all(gpu, path);
    let specs: Vec<_> = known.iter().map(|known| known.spec.clone()).collect();
    let pipelines = gpu.compile(FILES, &specs)?;
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    let bytes: u64 = known.iter().map(Known::bytes).sum();
    let readback = Readback::new(gpu, bytes);
    let mut at = 0;
    for (known, pipeline) in known.iter().zip(&pipelines) {
        known.record(gpu, pipeline, &mut encoder);
        readback.record_at(&mut encoder, &known.output, known.bytes(), at);
        at += known.bytes();
    }
    let submission = gpu.queue.submit([encoder.finish()]);
    let found = readback.read(gpu, submission, bytes as usize / 4, <[f32]>::to_vec)?;
    gpu.check()?;
    let mut probed = Probed {
        subgroups: true,
        halves: true,
        matrices: gpu.matrices.map(|_| true),
    };
    let mut rest = &found[..];
    for known in &known {
        let (own, others) = rest.split_at(rest.len().min(known.bytes() as usize / 4));
        rest = others;
        if let Some(what) = known.differs(own) {
            match known.name {
                Known::SUBGROUPS => probed.subgroups = false,
                Known::HALVES => probed.halves = false,
                Known::MATRICES => probed.matrices = Some(false),
                _ => {
                    return Err(Error::ComputesWrongly {
                        adapter: gpu.adapter.name.clone(),
                        what,
                    });
                }
            }
        }
    }
    Ok(probed)
}
