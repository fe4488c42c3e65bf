//! What is found out about an adapter once and remembered: plain data, kept by `tune_cache`.

use serde::{Deserialize, Serialize};

use crate::gpu::Gpu;
use crate::kernels::{self, ComputePath};
use crate::trace::Peaks;

/// What it all depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterKey {
    adapter: String,
    backend: String,
    driver: String,
    address: String,
    shader_compiler: String,
    /// How many threads an adapter that is a program was told to take, if it was.
    threads: String,
    /// This program's version, and a number that changes with its shaders.
    kernels: String,
}

impl AdapterKey {
    pub fn new(gpu: &Gpu) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self {
            adapter: gpu.adapter.name.clone(),
            backend: gpu.adapter.backend.clone(),
            driver: gpu.adapter.driver.clone(),
            address: gpu.adapter.address.clone(),
            shader_compiler: gpu.adapter.features.shader_compiler.clone(),
            threads: match gpu.is_software() {
                // Mesa's, which the command line's `OPENELM_THREADS` sets.
                true => std::env::var("LP_NUM_THREADS").unwrap_or_default(),
                false => String::new(),
            },
            kernels: format!("{version} {:032x}", kernels::fingerprint()),
        }
    }
}

/// What is known of one adapter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterFacts {
    /// What the self-test found; `None`: it was not passed yet.
    pub probed: Option<Probed>,
    /// `None`: not measured yet, or never while the machine was quiet.
    pub rates: Option<AdapterRates>,
}

/// What an adapter that computes rightly may do or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probed {
    /// Whether subgroups are as the driver says, and exchange what they are asked to; `None`: it has none, or they were not asked for.
    pub subgroups: Option<bool>,
    /// Whether its own instructions keep numbers below f16's normal range.
    pub halves: Option<bool>,
    /// Whether its cooperative matrices compute.
    pub matrices: Option<bool>,
}

/// What an adapter can do at best, as measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterRates {
    /// Bytes read a second, by the name of the compute path that reads so.
    reads: Vec<(String, f64)>,
    /// Floating-point operations a second.
    pub flops_per_s: f64,
    /// Whether the host's clock measured it, for want of timestamps.
    pub is_estimated: bool,
}

impl AdapterRates {
    pub(super) fn new(reads: &[(ComputePath, f64)], flops_per_s: f64, is_estimated: bool) -> Self {
        let reads = reads.iter();
        Self {
            reads: reads
                .map(|(path, rate)| (path.name().to_owned(), *rate))
                .collect(),
            flops_per_s,
            is_estimated,
        }
    }

    /// Bytes that a kernel reads a second, for each compute path that the adapter can have.
    pub fn reads(&self) -> impl Iterator<Item = (ComputePath, f64)> {
        let path = |name: &str| {
            ComputePath::ALL
                .into_iter()
                .find(|path| path.name() == name)
        };
        let reads = self.reads.iter();
        reads.filter_map(move |(name, rate)| Some((path(name)?, *rate)))
    }

    /// The best of each.
    pub fn peaks(&self) -> Peaks {
        Peaks {
            bytes_per_s: self.reads().map(|(_, rate)| rate).fold(0.0, f64::max),
            flops_per_s: self.flops_per_s,
            is_estimated: self.is_estimated,
        }
    }

    /// Whether these are numbers of this world.
    pub(super) fn is_possible(&self) -> bool {
        let possible = 1e3..1e18;
        possible.contains(&self.flops_per_s)
            && self.reads().count() > 0
            && self.reads().count() == self.reads.len()
            && self.reads().all(|(_, rate)| possible.contains(&rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_another_world_are_not_believed() {
        let rates = |reads: &[(ComputePath, f64)], flops| AdapterRates::new(reads, flops, false);
        let gpu = |rate| [(ComputePath::Gpu, rate)];
        assert!(rates(&gpu(3e12), 6e13).is_possible());
        for bad in [0.0, -1e9, f64::NAN, f64::INFINITY, 1e300] {
            assert!(!rates(&gpu(bad), 6e13).is_possible(), "{bad}");
            assert!(!rates(&gpu(3e12), bad).is_possible(), "{bad}");
        }
        assert!(!rates(&[], 6e13).is_possible());
        let mut foreign = rates(&gpu(3e12), 6e13);
        foreign.reads.push(("disk".into(), 1e9));
        assert!(!foreign.is_possible());
    }
}
