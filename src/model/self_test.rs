//! Whether an adapter computes: a few kernels on numbers whose results are known, once for each driver and version of the kernels. What
//! drivers may do or not is probed along the way.

use std::path::Path;
use std::sync::Mutex;

use super::adapter_facts::{AdapterFacts, AdapterKey, Probed};
use super::known_numbers::Known;
use super::tune_cache;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Pipeline, Readback};
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
    let is_enough = |known: &Probed| {
        (known.matrices.is_some() || gpu.matrices.is_none())
            && (known.subgroups.is_some() || gpu.subgroup_lanes == 0)
    };
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
    if probed.subgroups == Some(false) {
        gpu.subgroup_lanes = 0;
    }
    if probed.halves == Some(false) {
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
    let mut probed = Probed {
        subgroups: None,
        halves: None,
        matrices: None,
    };
    let known = compile(gpu, Known::all(gpu, path), &mut probed)?;
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    let bytes: u64 = known.iter().map(|(known, _)| known.bytes()).sum();
    let readback = Readback::new(gpu, bytes);
    let mut at = 0;
    for (known, pipeline) in &known {
        known.record(gpu, pipeline, &mut encoder);
        readback.record_at(&mut encoder, &known.output, known.bytes(), at);
        at += known.bytes();
    }
    let submission = gpu.queue.submit([encoder.finish()]);
    let found = readback.read(gpu, submission, bytes as usize / 4, <[f32]>::to_vec)?;
    gpu.check()?;
    let mut rest = &found[..];
    for (known, _) in &known {
        let (own, others) = rest.split_at(rest.len().min(known.bytes() as usize / 4));
        rest = others;
        let fault = known.differs(own);
        match (probed.of(known.name), fault) {
            (Some(optional), fault) => *optional = Some(fault.is_none()),
            (None, None) => {}
            (None, Some(what)) => {
                return Err(Error::ComputesWrongly {
                    adapter: gpu.adapter.name.clone(),
                    what,
                });
            }
        }
    }
    Ok(probed)
}

/// The kernels with what they were compiled to. What is not needed and does not compile is left out, and known not to work.
fn compile(gpu: &Gpu, all: Vec<Known>, probed: &mut Probed) -> Result<Vec<(Known, Pipeline)>> {
    let mut compiled = Vec::new();
    for known in all {
        match gpu.compile(FILES, std::slice::from_ref(&known.spec)) {
            Ok(pipelines) => compiled.extend(pipelines.into_iter().next().map(|one| (known, one))),
            Err(error @ Error::Shader { .. }) => match probed.of(known.name) {
                Some(optional) => *optional = Some(false),
                None => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
    Ok(compiled)
}

impl Probed {
    /// What a kernel tells of that is not needed.
    fn of(&mut self, name: &str) -> Option<&mut Option<bool>> {
        match name {
            Known::SUBGROUPS => Some(&mut self.subgroups),
            Known::HALVES => Some(&mut self.halves),
            Known::MATRICES => Some(&mut self.matrices),
            _ => None,
        }
    }
}
