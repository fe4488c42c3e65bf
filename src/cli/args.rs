//! The arguments of verbs, as clap parses them. Names follow llama.cpp and Hugging Face.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use openelm::hub::TokenizerNeed;
use openelm::{
    ComputePath, Dtype, Error, LoadOptions, Model, ModelFiles, Progress, SampleOn, SamplingParams,
    Tune, utf8,
};

use super::hub::{self, HubArgs};
use super::output;
#[cfg(feature = "server")]
use super::server_args::ServerArgs;
use super::template::TemplateChoice;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DtypeChoice {
    Auto,
    F32,
    F16,
    Bf16,
    Q8,
    Q4,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KvDtype {
    F16,
    F32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PrefillDtype {
    F32,
    F16,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum PathChoice {
    Auto,
    #[value(alias = "buffer")]
    Gpu,
    #[value(alias = "texture")]
    Software,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Activations {
    Auto,
    F32,
    Int8,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum SampleOnChoice {
    Auto,
    Host,
    Device,
}

/// Which model, and how it is put on the device.
#[derive(Args, Clone)]
pub struct ModelArgs {
    /// A folder with config.json and safetensors; a GGUF file; a name on the Hugging Face hub, such as apple/OpenELM-270M-Instruct; `demo` (embedded);
    /// `shape:270M|450M|1_1B|3B` (random weights, to measure)
    #[arg(short, long, env = "OPENELM_MODEL", default_value = "demo")]
    pub model: String,
    #[command(flatten)]
    pub hub: HubArgs,
    /// tokenizer.json or tokenizer.model, or the folder that holds it, if it is not in the model's folder
    #[arg(long, value_name = "PATH", env = "OPENELM_TOKENIZER")]
    pub tokenizer: Option<PathBuf>,
    /// A LoRA adapter's folder, as PEFT writes it, that is merged into the model while loading; several add up
    #[arg(long, value_name = "DIR")]
    pub lora: Vec<PathBuf>,
    /// Adapter: its number in `openelm devices`, or a part of its name; PyTorch's `cuda:0` and `mps` take the best, `cpu` one that is a program
    #[arg(long, env = "OPENELM_DEVICE", value_parser = NonEmptyStringValueParser::new())]
    pub device: Option<String>,
    /// Format of weights on the device; auto keeps what is stored but turns f32 into f16; q8 and q4 are quantised
    #[arg(long, env = "OPENELM_DTYPE", default_value = "auto")]
    pub dtype: DtypeChoice,
    /// Format of cached keys and values; f32 is exact and takes twice the memory
    #[arg(long, env = "OPENELM_KV_DTYPE", default_value = "f16")]
    pub kv_dtype: KvDtype,
    /// Positions to keep keys and values for [default: all that the model has]
    #[arg(long, short = 'c', value_name = "N", env = "OPENELM_CTX_SIZE")]
    pub ctx_size: Option<usize>,
    /// Which family of kernels computes: those for GPUs, or those for adapters that are programs; auto measures both
    #[arg(
        long,
        alias = "weight-source",
        env = "OPENELM_COMPUTE_PATH",
        default_value = "auto"
    )]
    pub compute_path: PathChoice,
    /// What q8 weights are multiplied with while decoding; auto takes int8 where it measures clearly faster
    #[arg(long, default_value = "auto")]
    pub activations: Activations,
    /// What products of prompts are computed in; f16, with sums in f32, takes cooperative matrices (tensor cores, WMMA, simdgroup matrices), which
    /// `openelm devices` lists
    #[arg(long, env = "OPENELM_PREFILL_DTYPE", default_value = "f32")]
    pub prefill_dtype: PrefillDtype,
    /// Do not measure which kernels suit the adapter, take the usual ones
    #[arg(long, conflicts_with = "retune")]
    pub no_tune: bool,
    /// Use the adapter although its results were not held against known numbers, or are not those
    #[arg(long)]
    pub skip_self_test: bool,
    /// Measure again, although it was done before
    #[arg(long)]
    pub retune: bool,
    /// Use no more device memory than this
    #[arg(long, value_name = "MIB", env = "OPENELM_MAX_MEMORY")]
    pub max_memory: Option<u64>,
}

/// The prompt, as text or as ids.
#[derive(Args)]
pub struct PromptArgs {
    /// Text; `-` reads standard input
    #[arg(short, long, conflicts_with = "token_ids", allow_hyphen_values = true)]
    pub prompt: Option<String>,
    /// Token ids instead of text, such as 1,306,4658; works without a tokenizer
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = token_id)]
    pub token_ids: Option<Vec<u32>>,
}

/// How tokens are chosen.
#[derive(Args, Clone, Debug)]
pub struct SamplingArgs {
    /// 0: always the most probable token [default: the model's generation_config.json, or 0]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// Only the K most probable tokens; 0: all [default: the model's generation_config.json; 50 where that samples and says nothing]
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub top_k: Option<u32>,
    /// Only the most probable tokens that together reach P
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,
    /// Only tokens at least P times as probable as the most probable one
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub min_p: Option<f32>,
    /// Make tokens that occurred less likely; 1: off
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    pub repetition_penalty: Option<f32>,
    /// Of the random numbers; the same seed gives the same text [default: another one each time]
    #[arg(long)]
    pub seed: Option<u64>,
}

/// What is generated, and how.
#[derive(Args, Clone, Debug)]
pub struct GenerationArgs {
    /// The most tokens to generate [default: the model's generation_config.json, or 256; with --generate-kwargs 256 of prompt and text together]
    #[arg(short = 'n', long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// The most tokens of prompt and text together
    #[arg(long, value_name = "N")]
    pub max_length: Option<usize>,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// What Hugging Face's `generate` takes, such as `no_repeat_ngram_size=3 bad_words_ids=[[5],[7,8]]`; values are JSON, Python or text
    #[arg(long, value_name = "KEY=VALUE", num_args = 0.., action = clap::ArgAction::Append)]
    pub generate_kwargs: Vec<String>,
    /// Texts to write from one prompt; needs a temperature above 0
    #[arg(long, value_name = "N")]
    pub num_return_sequences: Option<usize>,
    /// End where the text would contain this; may be given several times
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub stop: Vec<String>,
    /// Go on after the end-of-text token
    #[arg(long)]
    pub ignore_eos: bool,
}

#[derive(Args)]
pub struct Generate {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub prompt: PromptArgs,
    #[command(flatten)]
    pub generation: GenerationArgs,
    /// A smaller model with the same vocabulary that proposes tokens; greedy text stays the same, and comes faster if it is often right
    #[arg(long, value_name = "MODEL")]
    pub assistant_model: Option<String>,
    /// Keep the prompt's keys and values in a file: what the next prompt begins with alike is not computed again
    #[arg(long, value_name = "FILE")]
    pub prompt_cache: Option<PathBuf>,
    /// Use the prompt cache, but leave its file as it is
    #[arg(long, requires = "prompt_cache")]
    pub prompt_cache_ro: bool,
    /// Write what every dispatch cost to a file: .csv, .json, .html (a report), or for anything else what Perfetto and chrome://tracing open
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Do not print the prompt before what follows it
    #[arg(long)]
    pub no_echo: bool,
    /// Print what the model is given, on standard error: its text with special tokens, and its ids
    #[arg(long)]
    pub show_prompt: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub batch: BatchArgs,
}

/// Flags that have no meaning where prompts come as lines.
const ONE_PROMPT: [&str; 9] = [
    "prompt",
    "token_ids",
    "num_return_sequences",
    "assistant_model",
    "prompt_cache",
    "trace",
    "no_echo",
    "show_prompt",
    "json",
];

/// Many prompts at once.
#[derive(Args)]
pub struct BatchArgs {
    /// Many prompts, a line of JSON each: a text, or an object with "prompt" or "token_ids" and, as it likes, "id", "max_tokens", "seed",
    /// "stop" and "generate_kwargs" of its own, or with "token_ids" and "score_from"; `-` reads standard input
    #[arg(long, value_name = "FILE.jsonl", group = "lines", conflicts_with_all = ONE_PROMPT)]
    pub prompts: Option<PathBuf>,
    /// The same lines from a program that waits for answers: each is written as it ends, to standard output, errors too; the exit code
    /// says nothing of them; `-` reads standard input
    #[arg(long, value_name = "FILE.jsonl", group = "lines", conflicts_with_all = ONE_PROMPT)]
    pub jsonl: Option<PathBuf>,
    /// Where the texts go, a line of JSON for each line of --prompts; those that are there already are not written again
    /// [default: standard output, which is also `-`]
    #[arg(
        long,
        value_name = "FILE.jsonl",
        requires = "prompts",
        conflicts_with = "jsonl"
    )]
    pub out: Option<PathBuf>,
    /// Write each text as it ends, not in the order of the prompts
    #[arg(long, requires = "prompts", conflicts_with = "jsonl")]
    pub unordered: bool,
    /// Write the log-probability of each token, too
    #[arg(long, requires = "lines")]
    pub logprobs: bool,
}

#[derive(Args)]
pub struct Chat {
    #[command(flatten)]
    pub model: ModelArgs,
    /// What the assistant is told beforehand
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub system: Option<String>,
    /// How turns are written: model (its own), instruct (the Instruct models'), inst (Llama 2's [INST]), plain (paragraphs), questions, or a
    /// file in Jinja [default: model where it brings one, instruct where its name says so, else plain]
    #[arg(long, value_name = "NAME|FILE.jinja")]
    pub template: Option<TemplateChoice>,
    /// Continue the conversation in FILE, or begin one there, and save it after every turn
    #[arg(long, value_name = "FILE")]
    pub session: Option<PathBuf>,
    /// Print what the model is given, on standard error: its text with special tokens, and its ids
    #[arg(long)]
    pub show_prompt: bool,
    /// The most tokens of an answer
    #[arg(short = 'n', long, default_value_t = 256, value_name = "N")]
    pub max_tokens: usize,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// End an answer where it would contain this; may be given several times
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub stop: Vec<String>,
    /// Write what every dispatch cost to a file, at the end: .csv, .json, .html (a report), or for anything else what Perfetto opens
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

#[derive(Args)]
pub struct Score {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub prompt: PromptArgs,
    /// How many next tokens to print
    #[arg(long, default_value_t = 10, value_name = "K")]
    pub top: usize,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    pub model: ModelArgs,
}

#[derive(Args)]
pub struct Bench {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Tokens to prefill
    #[arg(short, long, default_value_t = 64, value_name = "N")]
    pub prompt_tokens: usize,
    /// Tokens to decode
    #[arg(short = 'n', long, default_value_t = 32, value_name = "N")]
    pub tokens: usize,
    /// Tokens in the cache beforehand, such as 0,1024 [default: none, a quarter of the context, and all that fits]
    #[arg(short, long, value_delimiter = ',', value_name = "N")]
    pub depth: Vec<usize>,
    /// Who chooses each token; auto is the device, on software adapters the host
    #[arg(long, default_value = "auto")]
    pub sample_on: SampleOnChoice,
    /// How often to measure each, after one round that does not count
    #[arg(short, long, default_value_t = 3, value_name = "N", value_parser = repeats())]
    pub repeats: usize,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Profile {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Tokens to prefill
    #[arg(short, long, default_value_t = 64, value_name = "N")]
    pub prompt_tokens: usize,
    /// Tokens to decode
    #[arg(short = 'n', long, default_value_t = 16, value_name = "N")]
    pub tokens: usize,
    /// Also write the trace to a file: .csv, .json, .html (a report), or for anything else what Perfetto and chrome://tracing open
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Also write a report to show around: one HTML file with pictures that any browser opens, without a network
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub json: bool,
}

#[cfg(feature = "window")]
#[derive(Args)]
pub struct Window {
    /// Model to load instead of the one used last; as for the other verbs
    #[arg(short, long, env = "OPENELM_MODEL")]
    pub model: Option<String>,
    #[command(flatten)]
    pub hub: HubArgs,
    /// tokenizer.json or tokenizer.model, or the folder that holds it, if it is not in the model's folder
    #[arg(long, value_name = "PATH", env = "OPENELM_TOKENIZER")]
    pub tokenizer: Option<PathBuf>,
    /// Adapter: its number in `openelm devices`, or a part of its name; PyTorch's `cuda:0` and `mps` take the best, `cpu` one that is a program
    #[arg(long, env = "OPENELM_DEVICE", value_parser = NonEmptyStringValueParser::new())]
    pub device: Option<String>,
    /// Where conversations and settings are kept [default: where the system keeps a program's data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Show the timings of an earlier run: a trace of this program, written as JSON
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

#[cfg(feature = "server")]
#[derive(Args, Clone)]
pub struct Serve {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Args)]
pub struct Tokenize {
    /// A model's folder, a GGUF file, a name on the Hugging Face hub, or `demo`
    #[arg(short, long, env = "OPENELM_MODEL", default_value = "demo")]
    pub model: String,
    #[command(flatten)]
    pub hub: HubArgs,
    /// tokenizer.json or tokenizer.model, or the folder that holds it, if it is not in the model's folder
    #[arg(long, value_name = "PATH", env = "OPENELM_TOKENIZER")]
    pub tokenizer: Option<PathBuf>,
    /// Text; `-` reads standard input
    #[arg(short, long, allow_hyphen_values = true)]
    pub prompt: String,
    /// Print one JSON object instead of a line a token
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum QuantizedChoice {
    Q8,
    Q4,
}

#[derive(Args)]
pub struct Quantize {
    /// A folder with config.json and safetensors, a GGUF file, a name on the Hugging Face hub, or `demo`
    pub model: String,
    /// The folder to write; it must not exist yet
    pub out: PathBuf,
    #[command(flatten)]
    pub hub: HubArgs,
    /// A LoRA adapter's folder, as PEFT writes it, to merge before; several add up
    #[arg(long, value_name = "DIR")]
    pub lora: Vec<PathBuf>,
    /// Eight or four bits a weight, and a scale for every 32
    #[arg(long, default_value = "q8")]
    pub dtype: QuantizedChoice,
}

#[derive(Args)]
pub struct Show {
    /// A folder with config.json and safetensors, a GGUF file, a name on the Hugging Face hub, `demo`, or `shape:NAME`
    #[arg(env = "OPENELM_MODEL", default_value = "demo")]
    pub model: String,
    #[command(flatten)]
    pub hub: HubArgs,
    /// The same, as other verbs have it
    #[arg(short, long = "model", value_name = "MODEL", hide = true)]
    pub named: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl ModelArgs {
    pub fn options(&self) -> LoadOptions {
        let mut options = LoadOptions::default();
        options.device = self.adapter();
        options.dtype = match self.dtype {
            DtypeChoice::Auto => None,
            DtypeChoice::F32 => Some(Dtype::F32),
            DtypeChoice::F16 => Some(Dtype::F16),
            DtypeChoice::Bf16 => Some(Dtype::Bf16),
            DtypeChoice::Q8 => Some(Dtype::Q8),
            DtypeChoice::Q4 => Some(Dtype::Q4),
        };
        options.exact_kv = self.has_exact_kv();
        options.f16_prefill = self.has_f16_prefill();
        options.compute_path = match self.compute_path {
            PathChoice::Auto => None,
            PathChoice::Gpu => Some(ComputePath::Gpu),
            PathChoice::Software => Some(ComputePath::Software),
        };
        options.int8 = match self.activations {
            Activations::Auto => None,
            Activations::F32 => Some(false),
            Activations::Int8 => Some(true),
        };
        options.tune = match (self.no_tune, self.retune) {
            (true, _) => Tune::Off,
            (_, true) => Tune::Again,
            _ => Tune::Auto,
        };
        options.tuning_cache = openelm::tuning_cache();
        options.skip_self_test = self.skip_self_test;
        options.context_size = self.ctx_size;
        options.memory_limit = self.max_memory.map(|mib| mib.saturating_mul(1 << 20));
        options
    }

    /// The adapter that was asked for.
    pub fn adapter(&self) -> Option<String> {
        self.device.as_deref().and_then(adapter)
    }

    /// Whether prompts are to be multiplied in f16.
    pub fn has_f16_prefill(&self) -> bool {
        matches!(self.prefill_dtype, PrefillDtype::F16)
    }

    /// Whether keys and values are to be f32.
    pub fn has_exact_kv(&self) -> bool {
        matches!(self.kv_dtype, KvDtype::F32)
    }

    /// Positions that a session of this model will have; a request that cannot be met is refused at load.
    pub fn context_size(&self, files: &ModelFiles) -> usize {
        let most = files.config().max_context_length;
        self.ctx_size.unwrap_or(most).min(most)
    }

    /// Opens the model's files, for what works without a tokenizer.
    pub fn open(&self) -> Result<ModelFiles> {
        self.open_with(TokenizerNeed::Unneeded)
    }

    /// Opens the model's files. What can be wrong with a prompt is found out then, before gigabytes are loaded.
    pub fn open_with(&self, tokenizer: TokenizerNeed) -> Result<ModelFiles> {
        let own = self.tokenizer.as_deref();
        let mut files = hub::open(&self.model, &self.hub, own, tokenizer)?;
        for adapter in &self.lora {
            files.merge_lora(adapter)?;
        }
        Ok(files)
    }

    /// Loads the model with a progress bar, and prints its warnings.
    pub fn load(&self, files: ModelFiles) -> Result<Model> {
        self.load_as(files, self.options())
    }

    /// As [`Self::load`], with options that began as [`Self::options`].
    pub fn load_as(&self, files: ModelFiles, options: LoadOptions) -> Result<Model> {
        self.load_with(options, |options, progress| files.load(options, progress))
    }

    /// As [`Self::load`], for sessions that are to be saved.
    pub fn load_to_save(&self, files: ModelFiles) -> Result<Model> {
        let mut options = self.options();
        options.can_save = true;
        self.load_as(files, options)
    }

    /// Loads another model on the device of `model`, in the same way.
    pub fn load_beside(&self, model: &Model, files: ModelFiles) -> Result<Model> {
        self.load_with(self.options(), |options, progress| {
            files.load_beside(model, options, progress)
        })
    }

    fn load_with(
        &self,
        options: LoadOptions,
        load: impl FnOnce(&LoadOptions, &mut dyn FnMut(Progress)) -> openelm::Result<Model>,
    ) -> Result<Model> {
        let bar = output::Bar::new("loading", true);
        let model = load(&options, &mut |progress| {
            bar.set(progress.done, progress.total);
        })?;
        bar.clear();
        for warning in model.warnings() {
            output::note(&format!("openelm: warning: {warning}"));
        }
        Ok(model)
    }
}

impl PromptArgs {
    /// Opens a model for this prompt: text needs a tokenizer.
    pub fn open(&self, model: &ModelArgs) -> Result<ModelFiles> {
        model.open_with(match self.token_ids {
            Some(_) => TokenizerNeed::Wanted,
            None => TokenizerNeed::Needed,
        })
    }

    /// The prompt's ids, checked for the model. `fallback` is the prompt where none is given, if there is one.
    pub fn ids(
        &self,
        files: &ModelFiles,
        model: &ModelArgs,
        fallback: Option<&str>,
    ) -> Result<Vec<u32>> {
        let ids = self.encoded(files, model.ctx_size, fallback)?;
        files.check_prompt(&ids, model.ctx_size)?;
        Ok(ids)
    }

    fn encoded(
        &self,
        files: &ModelFiles,
        context_size: Option<usize>,
        fallback: Option<&str>,
    ) -> Result<Vec<u32>> {
        if let Some(ids) = &self.token_ids {
            return Ok(ids.clone());
        }
        let Some(text) = self.prompt.as_deref().or(fallback) else {
            bail!(
                "no prompt; give one with --prompt TEXT, `--prompt -` for standard input, or --token-ids 1,2,3"
            );
        };
        // Before standard input is waited for.
        files.require_tokenizer()?;
        let text = read_text(text)?;
        if text.is_empty() {
            return Err(Error::EmptyPrompt.into());
        }
        files.check_text(&text, context_size)?;
        Ok(files.encode(&text)?)
    }
}

/// An id of a list, which people may have copied with spaces.
fn token_id(text: &str) -> Result<u32, std::num::ParseIntError> {
    text.trim().parse()
}

/// The adapter that somebody means who may have written what PyTorch calls it: `cuda:1` is the second.
pub fn adapter(device: &str) -> Option<String> {
    match device.split_once(':').unwrap_or((device, "0")) {
        ("cuda" | "mps", "0") => None,
        ("cuda" | "mps", index) => Some(index.to_owned()),
        _ => Some(device.to_owned()),
    }
}

/// As often as somebody might wait for.
fn repeats() -> clap::builder::RangedU64ValueParser<usize> {
    clap::builder::RangedU64ValueParser::new().range(1..=1000)
}

/// Positions that a prefill and a decode take, which are to fit a context of `room` behind `depth` tokens; any number may have been
/// typed.
pub fn positions(depth: usize, prefill: usize, decode: usize, room: usize) -> Result<usize> {
    // The last decoded token has a successor, which ends the measurement.
    let needed = prefill.saturating_add(decode).saturating_add(1);
    match depth.saturating_add(needed) <= room {
        true => Ok(needed),
        false => {
            let behind = match depth {
                0 => String::new(),
                _ => format!(" behind {depth} others"),
            };
            bail!(
                "{prefill} tokens to prefill and {decode} to decode{behind} do not fit the context of {room}; together {} are possible",
                room.saturating_sub(1).saturating_sub(depth)
            )
        }
    }
}

/// `text` itself, or standard input for `-`: without a byte order mark, and with ends of lines as the model knows them.
pub fn read_text(text: &str) -> Result<String> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    // No context is this long: what is more is a mistake, not a prompt.
    const MOST: u64 = 64 << 20;
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(MOST + 1)
        .read_to_end(&mut bytes)
        .context("cannot read standard input")?;
    if bytes.len() as u64 > MOST {
        bail!(
            "standard input has more than {} MiB; that is no prompt",
            MOST >> 20
        );
    }
    let text = utf8::text(bytes).context("standard input")?;
    let text = text.replace("\r\n", "\n");
    if text.ends_with('\n') {
        output::note(
            "openelm: the prompt ends with a newline, which the model is given too; --prompt \"$(cat FILE)\" would leave it out",
        );
    }
    Ok(text)
}

impl Bench {
    pub fn sample_on(&self) -> Option<SampleOn> {
        match self.sample_on {
            SampleOnChoice::Auto => None,
            SampleOnChoice::Host => Some(SampleOn::Host),
            SampleOnChoice::Device => Some(SampleOn::Device),
        }
    }
}

impl SamplingArgs {
    /// Settings with what the person requested over them.
    pub fn over(&self, mut sampling: SamplingParams) -> SamplingParams {
        sampling.temperature = self.temperature.unwrap_or(sampling.temperature);
        sampling.top_k = self.top_k.unwrap_or(sampling.top_k);
        sampling.top_p = self.top_p.unwrap_or(sampling.top_p);
        sampling.min_p = self.min_p.unwrap_or(sampling.min_p);
        sampling.repetition_penalty = self
            .repetition_penalty
            .unwrap_or(sampling.repetition_penalty);
        sampling.seed = self.seed.unwrap_or_else(openelm::clock_seed);
        sampling
    }

    /// Which flags take tokens out of what is drawn from.
    pub fn cuts(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            ("top_k", self.top_k.is_some_and(|k| k > 0)),
            ("top_p", self.top_p.is_some_and(|p| p < 1.0)),
            ("min_p", self.min_p.is_some_and(|p| p > 0.0)),
        ];
        given
            .into_iter()
            .filter_map(|(name, is_given)| is_given.then_some(name))
    }
}
