//! `openelm profile`: what every layer and kernel costs, beside what the layer is and what the adapter could do.

use std::fmt::Write;

use anyhow::{Result, bail};
use openelm::Model;
use openelm::trace::{self, KernelSum, LayerSum, Peaks, Phase, Step, Sum, TraceMode};
use serde_json::json;

use super::args::{Profile, positions};
use super::output::{self, LateFile, TraceFile, decode_seconds};
use super::report;

/// The columns of the layer table, and the kernels that each adds up. Norms are part of qkv and proj_1 while decoding.
const COLUMNS: [(&str, &[&str]); 5] = [
    ("qkv", &["qkv"]),
    ("rope", &["qk_norm_rope"]),
    ("attn", &["attention"]),
    ("out", &["out"]),
    ("ffn", &["proj_1", "proj_2"]),
];

/// Times with and without the instrument are taken in turns, so often; the least counts.
const ROUNDS: usize = 2;

/// Seconds that a decoded token takes without and with the instrument.
struct Cost {
    plain: f64,
    traced: f64,
}

impl Cost {
    fn describe(&self) -> String {
        let share = 100.0 * (self.traced / self.plain.max(1e-9) - 1.0);
        match share {
            1.0.. => format!("{share:.0} %"),
            _ => "too little to be seen here".to_owned(),
        }
    }
}

pub fn run(arguments: &Profile) -> Result<()> {
    if arguments.tokens == 0 {
        bail!("nothing to decode: give -n at least 1");
    }
    // All that can be a mistake first: loading takes long.
    let files = arguments.model.open()?;
    let prompt_tokens = arguments.prompt_tokens.max(1);
    let room = arguments.model.context_size(&files);
    positions(0, prompt_tokens, arguments.tokens, room)?;
    if arguments.html.is_some() && arguments.html == arguments.trace {
        bail!("--html and --trace name the same file");
    }
    let trace = arguments.trace.as_deref().map(TraceFile::open);
    let trace = trace.transpose()?;
    let html = arguments.html.as_deref().map(LateFile::open);
    let html = html.transpose()?;
    let model = arguments.model.load(files)?;
    let vocab = model.config().vocab_size;
    let ids: Vec<u32> = (0..prompt_tokens)
        .map(|i| (i * 31 % vocab) as u32)
        .collect();
    let mut session = model.session()?;
    // Once for what the driver puts off until then.
    decode_seconds(&mut session, &ids, 2, None)?;
    // With and without the instrument, in turns.
    let mut least = [f64::INFINITY; 2];
    let mut steps = Vec::new();
    for _ in 0..ROUNDS {
        for (mode, least) in [TraceMode::Off, TraceMode::Kernels]
            .into_iter()
            .zip(&mut least)
        {
            session.rewind(0);
            session.set_trace(mode);
            let seconds = decode_seconds(&mut session, &ids, arguments.tokens, None)?;
            *least = least.min(seconds);
        }
        steps = session.take_trace();
    }
    let cost = Cost {
        plain: least[0],
        traced: least[1],
    };
    if let Some(trace) = trace {
        trace.write(&steps, &model)?;
    }
    let peaks = model.network().adapter_rates()?.peaks();
    if let Some(html) = html {
        let mut about = report::about(&model, Some(peaks));
        about.cost = Some((cost.plain, cost.traced));
        let run = format!(
            "{prompt_tokens} tokens of a made-up prompt, then {} decoded, {ROUNDS} times with and without timing in turns; the last timed round is shown",
            arguments.tokens
        );
        about.facts.insert(0, ("Run", run));
        html.write(&trace::html(&steps, &about))?;
    }
    if arguments.json {
        let phase = |phase| {
            let steps = of_phase(&steps, phase);
            json!({
                "steps": steps.len(),
                "tokens": tokens(&steps),
                "wall_s": wall(&steps),
                "device_s": device(&steps),
                "kernels": trace::by_kernel(&steps),
                "layers": trace::by_layer(&steps),
            })
        };
        let object = json!({
            "model": model.name(),
            "adapter": model.adapter(),
            "dtype": model.dtype().name(),
            "peaks": peaks,
            "decode_without_trace_s": cost.plain,
            "decode_with_trace_s": cost.traced,
            "prefill": phase(Phase::Prefill),
            "decode": phase(Phase::Decode),
        });
        return output::write(&format!("{object}\n"));
    }
    output::write(&report(&model, &steps, &cost, &peaks)?)
}

fn of_phase(steps: &[Step], phase: Phase) -> Vec<Step> {
    let wanted = |step: &&Step| step.phase == phase;
    steps.iter().filter(wanted).cloned().collect()
}

fn wall(steps: &[Step]) -> f64 {
    steps.iter().map(|step| step.wall.as_secs_f64()).sum()
}

fn tokens(steps: &[Step]) -> u32 {
    steps.iter().map(|step| step.tokens).sum()
}

/// Seconds within dispatches, of steps that all have timestamps.
fn device(steps: &[Step]) -> Option<f64> {
    let all: Option<u64> = steps.iter().map(Step::device_ns).sum();
    all.map(|nanoseconds| 1e-9 * nanoseconds as f64)
}

fn report(model: &Model, steps: &[Step], cost: &Cost, peaks: &Peaks) -> Result<String> {
    let mut text = output::heading(model);
    writeln!(
        text,
        "at best reads {:.1} GB/s, computes {:.0} GFLOP/s{}",
        peaks.bytes_per_s / 1e9,
        peaks.flops_per_s / 1e9,
        output::estimated(peaks.is_estimated)
    )?;
    let phases = [("decode", Phase::Decode), ("prefill", Phase::Prefill)];
    let phases = phases.map(|(name, phase)| (name, of_phase(steps, phase)));
    let [(_, decode), _] = &phases;
    if decode.iter().any(|step| step.spans.is_some()) {
        writeln!(
            text,
            "\ndecode, microseconds a token, mean of {}:",
            decode.len()
        )?;
        layers(&mut text, model, decode, peaks)?;
        for (name, steps) in &phases {
            if !steps.is_empty() {
                kernels(&mut text, name, steps, peaks)?;
            }
        }
    } else {
        writeln!(
            text,
            "\nThis adapter has no timestamps, or none that make sense: only whole steps were timed, by the host's clock (approximate)."
        )?;
    }
    writeln!(text)?;
    for (name, steps) in phases.iter().filter(|(_, steps)| !steps.is_empty()) {
        let each = 1e3 / f64::from(tokens(steps));
        write!(text, "{name}: {:.3} ms a token", each * wall(steps))?;
        if let Some(device) = device(steps) {
            let gap = (wall(steps) - device).max(0.0);
            write!(
                text,
                ", {:.3} ms of it within dispatches, {:.3} ms ({:.0} %) between and before them",
                each * device,
                each * gap,
                100.0 * gap / wall(steps).max(1e-9)
            )?;
        }
        writeln!(text)?;
    }
    writeln!(
        text,
        "A decoded token takes {:.2} ms from one to the next, and {:.2} ms while it is timed: timing costs {}.",
        1e3 * cost.plain,
        1e3 * cost.traced,
        cost.describe(),
    )?;
    Ok(text)
}

fn layers(text: &mut String, model: &Model, steps: &[Step], peaks: &Peaks) -> Result<()> {
    let count = steps.len() as f64;
    let micros = |sum: &Sum| sum.duration_ns as f64 / 1e3 / count;
    write!(
        text,
        "{:>6} {:>7} {:>4} {:>6}",
        "layer", "q heads", "kv", "ffn"
    )?;
    for (name, _) in COLUMNS {
        write!(text, " {name:>8}")?;
    }
    writeln!(text, " {:>9} {:>7} {:>10}", "total", "GB/s", "bandwidth")?;
    let tail = |sum: &Sum| {
        format!(
            " {:>9.1} {:>7} {:>10}",
            micros(sum),
            giga(sum.bytes_per_s()),
            share(sum.bytes_per_s(), peaks)
        )
    };
    let sums = trace::by_layer(steps);
    for LayerSum {
        layer,
        sum,
        kernels,
    } in &sums
    {
        let Some(index) = *layer else { continue };
        let shape = &model.config().layers[index as usize];
        write!(
            text,
            "{index:>6} {:>7} {:>4} {:>6}",
            shape.q_heads, shape.kv_heads, shape.ffn_dim
        )?;
        for (_, names) in COLUMNS {
            let column: f64 = kernels
                .iter()
                .filter(|kernel| names.contains(&kernel.kernel))
                .map(|kernel| micros(&kernel.sum))
                .sum();
            write!(text, " {column:>8.1}")?;
        }
        writeln!(text, "{}", tail(sum))?;
    }
    let inside = sums.iter().filter(|sum| sum.layer.is_some());
    if let Some(all) = inside.map(|sum| sum.sum).reduce(|a, b| a.and(&b)) {
        writeln!(text, "{:<71}{}", "layers together", tail(&all))?;
    }
    for outside in sums.iter().filter(|sum| sum.layer.is_none()) {
        let what = " other  (embedding, final norm, head)";
        writeln!(text, "{what:<71}{}", tail(&outside.sum))?;
    }
    Ok(())
}

fn kernels(text: &mut String, name: &str, steps: &[Step], peaks: &Peaks) -> Result<()> {
    let mut sums = trace::by_kernel(steps);
    let all: u64 = sums.iter().map(|kernel| kernel.sum.duration_ns).sum();
    writeln!(
        text,
        "\n{name} by kernel, {} tokens in {} steps:",
        tokens(steps),
        steps.len()
    )?;
    writeln!(
        text,
        "{:>14} {:>7} {:>10} {:>9} {:>7} {:>9} {:>9} {:>10}  bound by",
        "kernel", "calls", "total ms", "mean us", "share", "GB/s", "GFLOP/s", "bandwidth"
    )?;
    sums.sort_by_key(|kernel| std::cmp::Reverse(kernel.sum.duration_ns));
    for KernelSum { kernel, sum } in sums {
        writeln!(
            text,
            "{kernel:>14} {:>7} {:>10.2} {:>9.1} {:>5.1} % {:>9} {:>9} {:>10}  {}",
            sum.calls,
            sum.duration_ns as f64 / 1e6,
            sum.duration_ns as f64 / 1e3 / sum.calls as f64,
            100.0 * sum.duration_ns as f64 / all.max(1) as f64,
            giga(sum.bytes_per_s()),
            giga(sum.flops_per_s()),
            share(sum.bytes_per_s(), peaks),
            sum.bound_by(peaks).name(),
        )?;
    }
    Ok(())
}

/// A rate in thousand millions a second; a dash for none.
fn giga(rate: Option<f64>) -> String {
    rate.map_or("-".to_owned(), |rate| format!("{:.2}", rate / 1e9))
}

/// A rate as a share of the best bandwidth.
fn share(rate: Option<f64>, peaks: &Peaks) -> String {
    rate.map_or(String::new(), |rate| {
        format!("{:.0} %", 100.0 * rate / peaks.bytes_per_s)
    })
}
