//! `openelm bench`: how fast a model loads, prefills and decodes here, and how near that comes to what the adapter's memory gives.

use std::fmt::Write;
use std::time::Instant;

use anyhow::{Result, bail};
use openelm::model::AdapterRates;
use openelm::{Model, Session};
use serde_json::{Value, json};

use super::args::{Bench, positions};
use super::output::{self, decode_seconds};

/// Lowest, middle and highest of some rates.
struct Rates {
    min: f64,
    median: f64,
    max: f64,
}

impl Rates {
    fn of(mut rates: Vec<f64>) -> Self {
        rates.sort_by(f64::total_cmp);
        let last = rates.len() - 1;
        Self {
            min: rates[0],
            median: (rates[last / 2] + rates[rates.len() / 2]) / 2.0,
            max: rates[last],
        }
    }

    fn json(&self) -> Value {
        json!({ "min": self.min, "median": self.median, "max": self.max })
    }
}

/// Rates at one depth: tokens a second with so many tokens in the cache already.
struct Row {
    depth: usize,
    prefill: Option<Rates>,
    decode: Option<Rates>,
    /// Bytes that a token in the middle of the decoded ones reads.
    bytes_per_token: u64,
}

pub fn run(arguments: &Bench) -> Result<()> {
    if arguments.prompt_tokens == 0 && arguments.tokens == 0 {
        bail!("nothing to measure: give one of -p and -n at least 1");
    }
    // All that can be a mistake first: loading takes long.
    let files = arguments.model.open()?;
    let depths = depths(arguments, arguments.model.context_size(&files))?;
    let model = arguments.model.load(files)?;
    let mut session = model.session()?;
    let mut rows = Vec::new();
    for depth in depths {
        rows.push(measure(&model, &mut session, arguments, depth)?);
    }
    let host = peak_host_bytes();
    let device = model.network().gpu().allocated_bytes();
    // Last, because it takes memory of its own.
    let rates = model.network().adapter_rates()?;
    let best = rates.peaks().bytes_per_s;
    if arguments.json {
        let object = json!({
            "model": model.name(),
            "adapter": model.adapter(),
            "dtype": model.dtype().name(),
            "compute_path": model.network().path().name(),
            "tuning": {
                "lanes": model.network().tuning().lanes,
                "columns": model.network().tuning().columns,
                "pairs": model.network().tuning().pairs,
                "subgroups": model.network().tuning().subgroups,
                "tile": model.network().tuning().tile,
                "int8": model.network().tuning().int8,
                "f16_prefill": model.network().has_f16_prefill(),
            },
            "load_s": model.load_time().as_secs_f64(),
            "read_bandwidth": rates.reads()
                .map(|(source, rate)| (source.name().to_owned(), json!(rate)))
                .collect::<serde_json::Map<_, _>>(),
            "peak_host_bytes": host,
            "device_bytes": device,
            "results": rows.iter().map(|row| json!({
                "depth": row.depth,
                "prefill_tokens": arguments.prompt_tokens,
                "prefill_tokens_per_s": row.prefill.as_ref().map(Rates::json),
                "decode_tokens": arguments.tokens,
                "decode_tokens_per_s": row.decode.as_ref().map(Rates::json),
                "bytes_per_token": row.bytes_per_token,
                "bandwidth_share": row.decode.as_ref().map(|rate| share(row, rate, best)),
            })).collect::<Vec<_>>(),
        });
        return output::write(&format!("{object}\n"));
    }
    output::write(&table(
        arguments, &model, &rates, &rows, best, host, device,
    )?)
}

fn share(row: &Row, decode: &Rates, best: f64) -> f64 {
    decode.median * row.bytes_per_token as f64 / best
}

fn depths(arguments: &Bench, room: usize) -> Result<Vec<usize>> {
    let needed = |depth| positions(depth, arguments.prompt_tokens, arguments.tokens, room);
    if !arguments.depth.is_empty() {
        for depth in &arguments.depth {
            needed(*depth)?;
        }
        return Ok(arguments.depth.clone());
    }
    let needed = needed(0)?;
    let mut depths = vec![0, room / 4, room - needed];
    depths.retain(|depth| depth + needed <= room);
    depths.dedup();
    Ok(depths)
}

fn measure(model: &Model, session: &mut Session, arguments: &Bench, depth: usize) -> Result<Row> {
    // Any ids do: the work is the same.
    let vocab = model.config().vocab_size;
    let ids: Vec<u32> = (0..depth + arguments.prompt_tokens)
        .map(|i| (i * 31 % vocab) as u32)
        .collect();
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    // The first round pays for what the driver puts off until then, and is not counted.
    for round in 0..=arguments.repeats {
        if depth > 0 {
            session.prefill(&ids[..depth], |_, _| true)?;
        }
        session.rewind(depth);
        let begin = Instant::now();
        if arguments.prompt_tokens > 0 {
            session.prefill(&ids, |_, _| true)?;
            prefill.push(arguments.prompt_tokens as f64 / begin.elapsed().as_secs_f64());
        }
        if arguments.tokens > 0 {
            // From nothing, one token stands in for the prompt.
            let prompt = if ids.is_empty() { &[1][..] } else { &ids };
            decode.push(
                1.0 / decode_seconds(session, prompt, arguments.tokens, arguments.sample_on())?,
            );
        }
        if round == 0 {
            prefill.clear();
            decode.clear();
        }
    }
    let network = model.network();
    let middle = depth + arguments.prompt_tokens + arguments.tokens / 2;
    let spread = |rates: Vec<f64>| (!rates.is_empty()).then(|| Rates::of(rates));
    Ok(Row {
        depth,
        prefill: spread(prefill),
        decode: spread(decode),
        bytes_per_token: network.weight_bytes_per_token() + network.cache_bytes_per_token(middle),
    })
}

fn table(
    arguments: &Bench,
    model: &Model,
    rates: &AdapterRates,
    rows: &[Row],
    best: f64,
    host: Option<u64>,
    device: Option<u64>,
) -> Result<String> {
    let mut text = output::heading(model);
    write!(
        text,
        "load {:.2} s; read bandwidth",
        model.load_time().as_secs_f64()
    )?;
    for (source, rate) in rates.reads() {
        write!(text, " {} {:.1} GB/s", source.name(), rate / 1e9)?;
    }
    text += output::estimated(rates.is_estimated);
    let mib = |bytes: Option<u64>| {
        bytes.map_or_else(|| "unknown".into(), |bytes| format!("{} MiB", bytes >> 20))
    };
    writeln!(
        text,
        "; memory at peak: host {}, device {}",
        mib(host),
        mib(device)
    )?;
    writeln!(
        text,
        "\n{:>6}  {:>26}  {:>26}  {:>9}  {:>9}",
        "depth",
        format!("prefill of {} (tok/s)", arguments.prompt_tokens),
        format!("decode of {} (tok/s)", arguments.tokens),
        "MB/token",
        "bandwidth",
    )?;
    let spread = |rates: &Option<Rates>| match rates {
        Some(rates) => format!("{:.2} ({:.2} to {:.2})", rates.median, rates.min, rates.max),
        None => "-".into(),
    };
    for row in rows {
        let share = row.decode.as_ref().map_or_else(
            || "-".into(),
            |decode| format!("{:.0} %", 100.0 * share(row, decode, best)),
        );
        writeln!(
            text,
            "{:>6}  {:>26}  {:>26}  {:>9.1}  {share:>9}",
            row.depth,
            spread(&row.prefill),
            spread(&row.decode),
            row.bytes_per_token as f64 / 1e6,
        )?;
    }
    Ok(text)
}

/// The most memory that this process has held, mapped files included; known on Linux.
fn peak_host_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
