//! `openelm perplexity`: how well a model predicts a text, and what other formats of its weights lose of that.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use openelm::Model;
use openelm::eval::perplexity::{Comparison, Perplexity as Found, Windows, compare, perplexity};
use openelm::hub::TokenizerNeed;
use serde_json::{Value, json};

use super::args::{DtypeChoice, ModelArgs, read_text};
use super::files::read_text_file;
use super::output::{self, Bar};

/// No text that is worth the time is longer.
const MOST_BYTES: u64 = 64 << 20;

#[derive(Args)]
pub struct Perplexity {
    /// A file of UTF-8 text; `-` reads standard input
    pub file: PathBuf,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Tokens of a window [default: as many as the model has positions]
    #[arg(long, value_name = "N")]
    pub context: Option<usize>,
    /// From the beginning of a window to that of the next [default: 512, or half a window]
    #[arg(long, value_name = "N")]
    pub stride: Option<usize>,
    /// Compare the predictions of these formats of the weights with those of --dtype, or of f32
    #[arg(long, value_name = "DTYPE", value_delimiter = ',', value_parser = compared())]
    pub compare: Vec<DtypeChoice>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// Formats that a model can be compared in: all but the one that depends on its file.
fn compared() -> impl clap::builder::TypedValueParser<Value = DtypeChoice> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(["f32", "f16", "bf16", "q8", "q4"]).map(|name| {
        match name.as_str() {
            "f16" => DtypeChoice::F16,
            "bf16" => DtypeChoice::Bf16,
            "q8" => DtypeChoice::Q8,
            "q4" => DtypeChoice::Q4,
            _ => DtypeChoice::F32,
        }
    })
}

/// A text that is to be predicted.
struct Text {
    name: String,
    bytes: usize,
    ids: Vec<u32>,
}

pub fn run(arguments: &Perplexity) -> Result<()> {
    let mut of_model = arguments.model.clone();
    if !arguments.compare.is_empty() && of_model.dtype == DtypeChoice::Auto {
        of_model.dtype = DtypeChoice::F32;
    }
    let files = of_model.open_with(TokenizerNeed::Needed)?;
    files.require_tokenizer()?;
    let name = arguments.file.display().to_string();
    let text = match name.as_str() {
        "-" => read_text("-")?,
        _ => read_text_file(&arguments.file, MOST_BYTES)?,
    };
    if text.is_empty() {
        bail!("{name} is empty: there is nothing to predict");
    }
    let text = Text {
        name,
        bytes: text.len(),
        ids: files.encode(&text)?,
    };
    let model = of_model.load(files)?;
    let context = arguments.context.unwrap_or(model.context_size());
    let stride = arguments
        .stride
        .unwrap_or_else(|| Windows::usual_stride(context));
    let windows = Windows::new(context, stride, &model)?;
    match arguments.compare.is_empty() {
        true => predict(arguments, &model, &text, windows),
        false => compare_all(arguments, &of_model, &model, &text, windows),
    }
}

fn predict(arguments: &Perplexity, model: &Model, text: &Text, windows: Windows) -> Result<()> {
    let bar = Bar::new("predicting", false);
    let found = perplexity(model, &text.ids, windows, |done, total| {
        bar.set(done as u64, total as u64);
    })?;
    bar.clear();
    output::notices(model);
    if arguments.json {
        let mut object = heading_json(model, text, windows);
        add(&mut object, &found_json(model, &found, text));
        return output::write(&format!("{object}\n"));
    }
    output::write(&format!(
        "{}perplexity {:.4}, {:.4} bits per byte\n",
        heading(model, text, windows, found.scored),
        found.value(),
        found.bits_per_byte(text.bytes),
    ))
}

/// Each of the formats against the reference, one after the other: no more than two models are on the device at once.
fn compare_all(
    arguments: &Perplexity,
    of_reference: &ModelArgs,
    reference: &Model,
    text: &Text,
    windows: Windows,
) -> Result<()> {
    let mut rows = Vec::new();
    for (index, dtype) in arguments.compare.iter().enumerate() {
        if *dtype == of_reference.dtype || arguments.compare[..index].contains(dtype) {
            continue;
        }
        let of_other = ModelArgs {
            dtype: *dtype,
            ..of_reference.clone()
        };
        let files = of_other.open()?;
        let other = of_other.load_beside(reference, files).with_context(|| {
            format!(
                "cannot have this model twice on the device, in {} and in {}",
                reference.dtype(),
                format!("{dtype:?}").to_lowercase()
            )
        })?;
        let bar = Bar::new("comparing", false);
        let comparison = compare(reference, &other, &text.ids, windows, |done, total| {
            bar.say(other.dtype().name());
            bar.set(done as u64, total as u64);
        })?;
        bar.clear();
        output::notices(reference);
        output::notices(&other);
        rows.push((other.dtype(), comparison));
    }
    let Some((_, first)) = rows.first() else {
        bail!(
            "--compare names only {}, which is what others are compared with; name others, such as --compare q8,q4",
            reference.dtype()
        );
    };
    let found = first.reference;
    if arguments.json {
        let mut object = heading_json(reference, text, windows);
        add(&mut object, &found_json(reference, &found, text));
        let others: Vec<Value> = rows
            .iter()
            .map(|(dtype, comparison)| comparison_json(dtype.name(), comparison, text))
            .collect();
        add(&mut object, &json!({ "compared": others }));
        return output::write(&format!("{object}\n"));
    }
    let mut table = heading(reference, text, windows, found.scored);
    writeln!(
        table,
        "{:>7}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}  {:>8}",
        "weights", "perplexity", "bits/byte", "KL mean", "median", "99 %", "most", "same top"
    )?;
    let figures = |found: &Found| {
        format!(
            "{:>10.4}  {:>10.4}",
            found.value(),
            found.bits_per_byte(text.bytes)
        )
    };
    writeln!(
        table,
        "{:>7}  {}",
        reference.dtype().name(),
        figures(&found)
    )?;
    for (dtype, comparison) in &rows {
        let kl = comparison.divergence;
        writeln!(
            table,
            "{:>7}  {}  {:>10.2e}  {:>10.2e}  {:>10.2e}  {:>10.2e}  {:>6.2} %",
            dtype.name(),
            figures(&comparison.other),
            kl.mean,
            kl.median,
            kl.percentile_99,
            kl.max,
            100.0 * share(comparison),
        )?;
    }
    output::write(&table)
}

fn heading(model: &Model, text: &Text, windows: Windows, scored: usize) -> String {
    format!(
        "{}{}: {} bytes, {} tokens, {scored} of them predicted; windows of {}, every {}\n",
        output::heading(model),
        text.name,
        text.bytes,
        text.ids.len(),
        windows.context(),
        windows.stride(),
    )
}

fn heading_json(model: &Model, text: &Text, windows: Windows) -> Value {
    json!({
        "model": model.name(),
        "adapter": model.adapter(),
        "file": text.name,
        "bytes": text.bytes,
        "tokens": text.ids.len(),
        "context": windows.context(),
        "stride": windows.stride(),
    })
}

fn found_json(model: &Model, found: &Found, text: &Text) -> Value {
    json!({
        "dtype": model.dtype().name(),
        "scored": found.scored,
        "nll": found.nll_per_token(),
        "perplexity": found.value(),
        "bits_per_byte": found.bits_per_byte(text.bytes),
    })
}

fn comparison_json(dtype: &str, comparison: &Comparison, text: &Text) -> Value {
    let (found, kl) = (&comparison.other, comparison.divergence);
    json!({
        "dtype": dtype,
        "nll": found.nll_per_token(),
        "perplexity": found.value(),
        "bits_per_byte": found.bits_per_byte(text.bytes),
        "kl": { "mean": kl.mean, "median": kl.median, "p99": kl.percentile_99, "max": kl.max },
        "same_top": share(comparison),
    })
}

/// At what share of the positions both models have the same most probable token.
fn share(comparison: &Comparison) -> f64 {
    comparison.same_top as f64 / comparison.reference.scored as f64
}

fn add(object: &mut Value, more: &Value) {
    if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
        object.extend(more.clone());
    }
}
