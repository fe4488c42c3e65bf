//! `openelm doctor`: what a report of a fault needs, and how far this machine comes: each step is named before it is tried, so that the
//! last line tells where a driver hangs or ends the program.

use std::fmt::Display;
use std::time::Instant;

use anyhow::{Result, bail};
use openelm::{GenerateOptions, Gpu, Model, adapters};

use super::args::Doctor;
use super::{devices, output, version};

/// What the demo model continues, and the log-probability of its first two tokens there, as Apple's code computes it.
const PROMPT: [u32; 5] = [1, 1946, 761, 261, 507];
const EXPECTED: [(u32, f32); 2] = [(435, -0.3798), (1008, -0.5149)];

/// Formats and kernels round differently by less than this.
const TOLERANCE: f32 = 0.02;

/// Variables that change what drivers and this program do; what they hold is of no use to a thief.
const VARIABLES: [&str; 5] = ["OPENELM_", "WGPU_", "VK_", "LP_", "MESA_"];

pub fn run(arguments: &Doctor) -> Result<()> {
    line("openelm", version::LONG.replace('\n', "; "))?;
    line(
        "processors",
        std::thread::available_parallelism().map_or(0, |count| count.get()),
    )?;
    let tuning_cache = openelm::tuning_cache();
    line(
        "measurements in",
        tuning_cache.map_or("no folder".into(), |path| path.display().to_string()),
    )?;
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if VARIABLES.iter().any(|begin| name.starts_with(begin)) {
            line(&name, value.to_string_lossy())?;
        }
    }
    for (index, adapter) in step("looking for adapters", || Ok(adapters()))?
        .iter()
        .enumerate()
    {
        line(&format!("adapter {index}"), devices::described(adapter))?;
        line("", devices::features(&adapter.features))?;
    }
    let device = arguments.model.adapter();
    let gpu = step("opening the device", || Ok(Gpu::open(device.as_deref())?))?;
    line("device", &gpu.adapter.name)?;
    for (name, value) in gpu.report() {
        line(name, value)?;
    }
    drop(gpu);
    let files = step("reading the model's files", || arguments.model.open())?;
    let model = step("measuring kernels, loading the model", || {
        arguments.model.load(files)
    })?;
    let network = model.network();
    line("model", model.name())?;
    line(
        "weights",
        format!("{}, {} bytes", model.dtype(), network.weight_bytes()),
    )?;
    line("kernels", network.path().name())?;
    line("tuning", format!("{:?}", network.tuning()))?;
    let found = step("computing two tokens", || tokens(&model))?;
    let is_demo = model.name() == "demo";
    for ((id, logprob), expected) in found.iter().zip(EXPECTED) {
        line("token", format!("{id}, log-probability {logprob:.4}"))?;
        let is_near = *id == expected.0 && (logprob - expected.1).abs() < TOLERANCE;
        if is_demo && !is_near {
            bail!(
                "this adapter computes wrongly: token {} with {:.4} was expected. Try --compute-path software or gpu, --activations f32, \
                 --no-tune and another --device, and report what this command prints",
                expected.0,
                expected.1
            );
        }
    }
    output::notices(&model);
    let all_is_well = match is_demo {
        true => "all is well: the tokens are those that they should be\n",
        false => "it works; whether the tokens are right is known of the demo model only\n",
    };
    output::write(all_is_well)
}

/// A few tokens after a prompt that any model has, with their log-probabilities.
fn tokens(model: &Model) -> Result<Vec<(u32, f32)>> {
    let mut session = model.session()?;
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(EXPECTED.len());
    options.ignore_eos = true;
    let most = model.config().vocab_size as u32 - 1;
    let prompt = PROMPT.map(|id| id.min(most));
    let tokens = session.generate(&prompt, &options)?;
    tokens
        .map(|token| {
            token
                .map(|token| (token.id, token.logprob))
                .map_err(Into::into)
        })
        .collect()
}

/// Does something, said before and after.
fn step<T>(what: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    output::write(&format!("{what} ... "))?;
    let begin = Instant::now();
    let done = run();
    let end = match &done {
        Ok(_) => format!("done in {:.2} s\n", begin.elapsed().as_secs_f64()),
        Err(_) => "failed\n".to_owned(),
    };
    output::write(&end)?;
    done
}

fn line(name: &str, value: impl Display) -> Result<()> {
    output::write(&format!("  {name:<24} {value}\n"))
}
