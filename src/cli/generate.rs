//! `openelm generate`: a prompt goes in, text streams out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use openelm::text::StreamDecoder;
use openelm::trace::TraceMode;
use openelm::{Finish, GenerateOptions, Generation, Model, Session};
use serde_json::json;

use super::args::Generate;
use super::output::{self, Bar, TraceFile};

/// What the demo model is asked where nobody asks anything.
const DEMO_PROMPT: &str = "Once upon a time";

pub fn run(arguments: &Generate) -> Result<()> {
    // All that can be a mistake first: loading takes long.
    let files = arguments.prompt.open(&arguments.model)?;
    let fallback = (arguments.model.model == "demo").then_some(DEMO_PROMPT);
    let ids = arguments.prompt.ids(&files, &arguments.model, fallback)?;
    if !arguments.stop.is_empty() {
        // Stop strings are looked for in text.
        files.require_tokenizer()?;
    }
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(arguments.max_tokens);
    options.sampling = arguments.sampling.over(&files);
    options.sampling.check()?;
    options.stop.clone_from(&arguments.stop);
    options.ignore_eos = arguments.ignore_eos;
    let trace = arguments
        .trace
        .as_deref()
        .map(TraceFile::open)
        .transpose()?;
    let model = arguments.model.load(files)?;
    // From here on; until then Ctrl-C simply ends the program.
    options.cancel = Some(cancel_on_ctrl_c());
    let mut session = model.session()?;
    if trace.is_some() {
        session.set_trace(TraceMode::Kernels);
    }
    let done = write(arguments, &model, &mut session, &ids, &options);
    output::notices(&model);
    // What was traced before something went wrong is worth keeping.
    if let Some(trace) = trace {
        trace.write(&session.take_trace(), &model)?;
    }
    done
}

fn write(
    arguments: &Generate,
    model: &Model,
    session: &mut Session,
    ids: &[u32],
    options: &GenerateOptions,
) -> Result<()> {
    let mut generation = session.generate(ids, options)?;
    let bar = Bar::new("prompt", false);
    if arguments.json {
        generation.prefill(|done, total| bar.set(done as u64, total as u64))?;
        bar.clear();
        return print_json(model, ids, generation);
    }
    if let (Some(tokenizer), false) = (model.tokenizer(), arguments.no_echo) {
        // But for a character that the prompt only begins: it comes whole, with what follows.
        output::write(&StreamDecoder::with_text(tokenizer, ids)?.1)?;
    }
    generation.prefill(|done, total| bar.set(done as u64, total as u64))?;
    bar.clear();
    stream(model, &mut generation)?;
    print_speed(model, &generation, options.sampling.seed);
    Ok(())
}

/// The first Ctrl-C ends generation, the second the program.
pub fn cancel_on_ctrl_c() -> Arc<AtomicBool> {
    let cancel = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancel);
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    // Without a handler Ctrl-C ends the program, as it always did.
    let _ = ctrlc::set_handler(handler);
    cancel
}

/// Prints tokens as they come; returns their text.
pub fn stream(model: &Model, generation: &mut Generation<'_>) -> Result<String> {
    let mut text = String::new();
    for token in generation.by_ref() {
        let token = token?;
        match model.tokenizer() {
            Some(_) => output::write(&token.text)?,
            None => output::write(&format!("{} ", token.id))?,
        }
        text += &token.text;
    }
    output::write("\n")?;
    Ok(text)
}

/// How fast it was and why it ended. A rate that was not measured is left out.
pub fn print_speed(model: &Model, generation: &Generation<'_>, seed: u64) {
    let timing = generation.timing();
    let rate = |tokens: usize, time: std::time::Duration| match tokens {
        0 => String::new(),
        _ => format!(" {:.1} tok/s", tokens as f64 / time.as_secs_f64().max(1e-9)),
    };
    let end = match generation.finish() {
        Some(Finish::Eos) => "end of text".to_owned(),
        Some(Finish::Stop) => "stop string".to_owned(),
        Some(Finish::Length) => "as many tokens as asked for".to_owned(),
        Some(Finish::Context) => format!("the context of {} is full", model.context_size()),
        Some(Finish::Cancelled) => "cancelled".to_owned(),
        _ => "unfinished".to_owned(),
    };
    output::note(&format!(
        "[{}, {}; load {:.2} s, prompt {} tokens{}, text {} tokens{}, {end}, seed {seed}]",
        model.adapter().name,
        model.dtype(),
        model.load_time().as_secs_f64(),
        timing.prefill_tokens,
        rate(timing.prefill_tokens, timing.prefill),
        generation.ids().len(),
        rate(timing.decode_tokens, timing.decode),
    ));
}

fn print_json(model: &Model, prompt: &[u32], mut generation: Generation<'_>) -> Result<()> {
    let mut text = String::new();
    let mut logprobs = Vec::new();
    for token in generation.by_ref() {
        let token = token?;
        text += &token.text;
        logprobs.push(token.logprob);
    }
    let timing = generation.timing();
    let object = json!({
        "model": model.name(),
        "adapter": model.adapter(),
        "dtype": model.dtype().name(),
        "prompt_ids": prompt,
        "ids": generation.ids(),
        "text": model.tokenizer().map(|_| text),
        "finish_reason": generation.finish(),
        "logprobs": logprobs,
        "timing": {
            "load_s": model.load_time().as_secs_f64(),
            "prefill_tokens": timing.prefill_tokens,
            "prefill_s": timing.prefill.as_secs_f64(),
            "first_token_s": timing.first_token.as_secs_f64(),
            "decode_tokens": timing.decode_tokens,
            "decode_s": timing.decode.as_secs_f64(),
        },
    });
    output::write(&format!("{object}\n"))
}
