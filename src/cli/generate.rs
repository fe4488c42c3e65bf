//! `openelm generate`: a prompt goes in, text streams out.

use anyhow::Result;
use openelm::hub::TokenizerNeed;
use openelm::text::StreamDecoder;
use openelm::trace::TraceMode;
use openelm::{
    Error, Finish, GenerateOptions, Generation, Model, ModelFiles, Session, Speculation,
    SpeculationSummary, Text, Timing, Token,
};
use serde_json::{Map, Value, json};

use super::args::Generate;
use super::batch;
use super::hub;
pub use super::output::cancel_on_ctrl_c;
use super::output::{self, Bar, TraceFile};
use super::prompt_cache::PromptCache;
use super::request::Request;

/// What the demo model is asked where nobody asks anything.
const DEMO_PROMPT: &str = "Once upon a time";

pub fn run(arguments: &Generate) -> Result<()> {
    let lines = &arguments.batch;
    if let Some(path) = lines.prompts.as_ref().or(lines.jsonl.as_ref()) {
        return batch::run(arguments, path);
    }
    // All that can be a mistake first: loading takes long.
    let files = arguments.prompt.open(&arguments.model)?;
    let fallback = (arguments.model.model == "demo").then_some(DEMO_PROMPT);
    let ids = arguments.prompt.ids(&files, &arguments.model, fallback)?;
    let Request {
        mut options,
        count,
        assistant,
        ..
    } = arguments.request(&files, ids.len())?;
    files.check_request(&ids, &options, arguments.model.ctx_size)?;
    let assistant_files = arguments.open_assistant(&options, &files)?;
    let cache = PromptCache::open(arguments)?;
    let trace = arguments
        .trace
        .as_deref()
        .map(TraceFile::open)
        .transpose()?;
    let model = match arguments.prompt_cache {
        Some(_) => arguments.model.load_to_save(files)?,
        None => arguments.model.load(files)?,
    };
    if let Some(files) = assistant_files {
        // What is not said is a matter of its own file, as with Hugging Face.
        let own = files.generation_config();
        let tokens = assistant.0.unwrap_or(own.num_assistant_tokens);
        let schedule = assistant.1.unwrap_or(own.num_assistant_tokens_schedule);
        let draft = arguments.model.load_beside(&model, files)?;
        let assistant = draft.as_assistant_of(&model, tokens, schedule)?;
        options.speculation = Some(Speculation::Assistant(assistant));
    }
    // From here on; until then Ctrl-C simply ends the program.
    options.cancel = Some(cancel_on_ctrl_c());
    let mut session = model.session()?;
    if let Some(cache) = &cache {
        cache.restore(&mut session, &ids)?;
    }
    if trace.is_some() {
        session.set_trace(TraceMode::Kernels);
    }
    if arguments.show_prompt {
        output::show_prompt(model.tokenizer(), &ids)?;
    }
    let done = match count {
        1 => write(arguments, &model, &mut session, &ids, &options),
        _ => write_several(arguments, &mut session, &ids, &options, count),
    };
    output::notices(&model);
    // What was traced before something went wrong is worth keeping.
    if let Some(trace) = trace {
        trace.write(&session.take_trace(), &model)?;
    }
    // Likewise a prompt.
    let kept = cache.map_or(Ok(()), |cache| cache.save(&mut session, &ids));
    done.and(kept)
}

impl Generate {
    /// Opens the files of the model that is to propose tokens.
    fn open_assistant(
        &self,
        options: &GenerateOptions,
        target: &ModelFiles,
    ) -> Result<Option<ModelFiles>> {
        let Some(name) = &self.assistant_model else {
            return Ok(None);
        };
        if options.speculation.is_some() {
            // As Hugging Face's `generate` has it.
            output::note(
                "openelm: warning: with prompt_lookup_num_tokens the assistant model has nothing to do, and is not loaded",
            );
            return Ok(None);
        }
        let tokenizer = TokenizerNeed::Unneeded;
        let files = hub::open(name, &self.model.hub, None, tokenizer)?;
        let sizes = [&files, target].map(|files| files.config().vocab_size);
        match sizes[0] == sizes[1] {
            true => Ok(Some(files)),
            // It would be found out later too, but after loading.
            false => Err(Error::OtherVocabulary {
                assistant: name.clone(),
                model: self.model.model.clone(),
                sizes,
            }
            .into()),
        }
    }
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
    echo(arguments, model, ids)?;
    generation.prefill(|done, total| bar.set(done as u64, total as u64))?;
    bar.clear();
    stream(model, &mut generation)?;
    print_speed(model, &generation, options.sampling.seed);
    Ok(())
}

/// Writes the prompt, but for a character that it only begins: that comes whole, with what follows.
fn echo(arguments: &Generate, model: &Model, ids: &[u32]) -> Result<()> {
    match model.tokenizer().filter(|_| !arguments.no_echo) {
        Some(tokenizer) => output::write(&StreamDecoder::with_text(tokenizer, ids)?.1),
        None => Ok(()),
    }
}

/// Writes several texts, one after the other; the first streams.
fn write_several(
    arguments: &Generate,
    session: &mut Session,
    ids: &[u32],
    options: &GenerateOptions,
    count: usize,
) -> Result<()> {
    let model = session.model().clone();
    if !arguments.json {
        echo(arguments, &model, ids)?;
    }
    let mut written = Ok(());
    let texts = session.generate_several(ids, options, count, |index, token| {
        if index == 0 && !arguments.json {
            written = output::write(&piece(&model, token));
        }
        written.is_ok()
    })?;
    written?;
    if arguments.json {
        return print_several_json(&model, ids, &texts);
    }
    output::write("\n")?;
    for text in texts.iter().skip(1) {
        echo(arguments, &model, ids)?;
        let shown = match model.tokenizer() {
            Some(_) => text.text.clone(),
            None => text.ids.iter().map(|id| format!("{id} ")).collect(),
        };
        output::write(&(shown + "\n"))?;
    }
    let tokens: usize = texts.iter().map(|text| text.ids.len()).sum();
    output::note(&format!(
        "[{}, {}; {count} texts of together {tokens} tokens, seed {} for the first, one more for each after it]",
        model.adapter().name,
        model.dtype(),
        options.sampling.seed,
    ));
    Ok(())
}

/// What a token adds to what is shown.
fn piece(model: &Model, token: &Token) -> String {
    match model.tokenizer() {
        Some(_) => token.text.clone(),
        None => format!("{} ", token.id),
    }
}

/// Prints tokens as they come; returns their text.
pub fn stream(model: &Model, generation: &mut Generation<'_>) -> Result<String> {
    let mut text = String::new();
    for token in generation.by_ref() {
        let token = token?;
        output::write(&piece(model, &token))?;
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
        Some(Finish::Time) => "out of time".to_owned(),
        Some(Finish::Cancelled) => "cancelled".to_owned(),
        _ => "unfinished".to_owned(),
    };
    let speculation = timing.speculation.map_or(String::new(), told);
    output::note(&format!(
        "[{}, {}; load {:.2} s, prompt {} tokens{}, text {} tokens{}{speculation}, {end}, seed {seed}]",
        model.adapter().name,
        model.dtype(),
        model.load_time().as_secs_f64(),
        timing.prefill_tokens,
        rate(timing.prefill_tokens, timing.prefill),
        generation.ids().len(),
        rate(timing.decode_tokens, timing.decode),
    ));
}

/// What speculation has come to.
fn told(summary: SpeculationSummary) -> String {
    let SpeculationSummary {
        steps,
        proposed,
        accepted,
        speed_up,
        has_stopped,
        ..
    } = summary;
    if proposed == 0 {
        return ", no token proposed".to_owned();
    }
    // Before that it is mostly what a driver takes to compile.
    let speed_up = speed_up.filter(|_| steps >= 4);
    let speed_up = speed_up.map_or(String::new(), |times| format!(", {times:.1} times as fast"));
    let stopped = match has_stopped {
        true => "; at the end it did not pay and was stopped",
        false => "",
    };
    format!(
        ", {accepted} of {proposed} proposed tokens accepted in {steps} {}{speed_up}{stopped}",
        if steps == 1 { "step" } else { "steps" },
    )
}

fn print_json(model: &Model, prompt: &[u32], mut generation: Generation<'_>) -> Result<()> {
    let mut text = String::new();
    let mut logprobs = Vec::new();
    for token in generation.by_ref() {
        let token = token?;
        text += &token.text;
        logprobs.push(token.logprob);
    }
    let of_text = text_json(
        model,
        generation.ids(),
        &text,
        generation.finish(),
        &logprobs,
    );
    let object = whole_json(model, prompt, of_text, generation.timing());
    output::write(&format!("{}\n", Value::Object(object)))
}

/// All texts as `sequences`, each with the seed that it can be repeated with; the first one's fields as if it were alone.
fn print_several_json(model: &Model, prompt: &[u32], texts: &[Text]) -> Result<()> {
    let of_text =
        |text: &Text| text_json(model, &text.ids, &text.text, text.finish, &text.logprobs);
    let sequences: Vec<Value> = texts
        .iter()
        .map(|text| {
            let mut object = of_text(text);
            object.insert("seed".into(), text.seed.into());
            Value::Object(object)
        })
        .collect();
    let first = texts.first().map(of_text).unwrap_or_default();
    let timing = texts.first().map(|text| text.timing).unwrap_or_default();
    let mut object = whole_json(model, prompt, first, timing);
    object.insert("sequences".into(), sequences.into());
    output::write(&format!("{}\n", Value::Object(object)))
}

fn text_json(
    model: &Model,
    ids: &[u32],
    text: &str,
    finish: Option<Finish>,
    logprobs: &[f32],
) -> Map<String, Value> {
    let fields = [
        ("ids", json!(ids)),
        ("text", json!(model.tokenizer().map(|_| text))),
        ("finish_reason", json!(finish)),
        ("logprobs", json!(logprobs)),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    fields.into_iter().collect()
}

fn whole_json(
    model: &Model,
    prompt: &[u32],
    mut object: Map<String, Value>,
    timing: Timing,
) -> Map<String, Value> {
    if let Some(speculation) = timing.speculation {
        object.insert("speculation".into(), json!(speculation));
    }
    let timing = json!({
        "load_s": model.load_time().as_secs_f64(),
        "prefill_tokens": timing.prefill_tokens,
        "prefill_s": timing.prefill.as_secs_f64(),
        "first_token_s": timing.first_token.as_secs_f64(),
        "decode_tokens": timing.decode_tokens,
        "decode_s": timing.decode.as_secs_f64(),
    });
    for (name, value) in [
        ("model", json!(model.name())),
        ("adapter", json!(model.adapter())),
        ("dtype", json!(model.dtype().name())),
        ("prompt_ids", json!(prompt)),
        ("timing", timing),
    ] {
        object.insert(name.to_owned(), value);
    }
    object
}
