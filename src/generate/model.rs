//! A loaded model: the network on a device, with its tokenizer and defaults.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use web_time::Instant;

use super::assistant::{Assistant, AssistantSchedule};
use super::config::GenerationConfig;
use super::options::GenerateOptions;
use super::params::SamplingParams;
use crate::checkpoint::{ChatFiles, Checkpoint, Config, LayerConfig, read_tokenizer};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::gpu::{AdapterSummary, Candidate, Gpu, first_that_works};
use crate::model::{LoadOptions, Network, Progress};
use crate::text::Tokenizer;
use crate::trace::LayerShape;

/// A model on a device. A handle: clones are the same model. Sessions keep one; it can be used from several threads.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    name: String,
    network: Arc<Network>,
    tokenizer: Option<Tokenizer>,
    has_sentencepiece: bool,
    generation: GenerationConfig,
    warnings: Vec<String>,
    load_time: Duration,
}

/// A model's files, read and checked, before anything is on a device: mistakes in a prompt need not wait for gigabytes.
pub struct ModelFiles {
    checkpoint: Checkpoint,
    tokenizer: Option<Tokenizer>,
    /// As `generation_config.json` asks.
    generation: GenerationConfig,
    /// Its `stop_strings`, which wait for a tokenizer.
    stop_strings: Vec<String>,
    /// What opening them took.
    time: Duration,
}

impl ModelFiles {
    /// Opens a model's files; names as for [`Model::load`].
    ///
    /// # Errors
    /// Whatever is wrong with the files.
    pub fn open(path: &str) -> Result<Self> {
        Self::open_with_tokenizer(path, None)
    }

    /// As [`ModelFiles::open`], with the tokenizer from elsewhere: a `tokenizer.json`, or a folder that holds one. Whatever is wrong with the
    /// model's own does not matter then.
    ///
    /// # Errors
    /// Whatever is wrong with the files.
    pub fn open_with_tokenizer(path: &str, tokenizer: Option<&Path>) -> Result<Self> {
        let begin = Instant::now();
        let mut checkpoint = Checkpoint::open(path)?;
        if tokenizer.is_some() {
            checkpoint.tokenizer = None;
        }
        let mut files = Self::new(checkpoint)?;
        if let Some(tokenizer) = tokenizer {
            files.set_tokenizer(tokenizer)?;
        }
        files.time = begin.elapsed();
        Ok(files)
    }

    fn new(mut checkpoint: Checkpoint) -> Result<Self> {
        let path = checkpoint.tokenizer_path();
        let tokenizer = match checkpoint.tokenizer.take() {
            Some(bytes) => Some(tokenizer(&bytes, &path, &checkpoint.config)?),
            None => None,
        };
        let (defaults, config) = (&checkpoint.generation, &checkpoint.config);
        let (mut generation, warnings) = GenerationConfig::from_file(
            defaults.file,
            &defaults.entries,
            config.vocab_size,
            &config.eos_token_ids,
        );
        checkpoint.warnings.extend(warnings);
        let stop_strings = match tokenizer {
            Some(_) => Vec::new(),
            None => std::mem::take(&mut generation.stop_strings),
        };
        Ok(Self {
            checkpoint,
            tokenizer,
            generation,
            stop_strings,
            time: Duration::ZERO,
        })
    }

    /// As [`Checkpoint::merge_lora`].
    ///
    /// # Errors
    /// The same.
    pub fn merge_lora(&mut self, folder: &Path) -> Result<()> {
        self.checkpoint.merge_lora(folder)
    }

    /// Takes the tokenizer from elsewhere: a `tokenizer.json`, or a folder that holds one.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Tokenizer`].
    pub fn set_tokenizer(&mut self, path: &Path) -> Result<()> {
        self.tokenizer = Some(tokenizer_at(path, self.config())?);
        let waiting = std::mem::take(&mut self.stop_strings);
        self.generation.stop_strings.extend(waiting);
        Ok(())
    }

    pub fn config(&self) -> &Config {
        &self.checkpoint.config
    }

    /// What the model's files say about chats.
    pub(super) fn chat_files(&self) -> Result<ChatFiles> {
        self.checkpoint.chat_files()
    }

    /// As [`Model::sampling_defaults`].
    pub fn sampling_defaults(&self) -> SamplingParams {
        SamplingParams::from(&self.generation)
    }

    /// As [`Model::generation_config`].
    pub fn generation_config(&self) -> &GenerationConfig {
        &self.generation
    }

    /// As [`Model::require_tokenizer`].
    ///
    /// # Errors
    /// [`Error::NoTokenizer`].
    pub fn require_tokenizer(&self) -> Result<&Tokenizer> {
        let Checkpoint { name, .. } = &self.checkpoint;
        require(self.tokenizer.as_ref(), name, || {
            has_sentencepiece(&self.checkpoint)
        })
    }

    /// As [`Model::encode`].
    ///
    /// # Errors
    /// [`Error::NoTokenizer`]; [`Error::Text`] if the tokenizer cannot express the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.require_tokenizer()?.encode(text)
    }

    /// Checks that a text could fit a context of `context_size` (`None`: all that the model has), before it is encoded: that takes seconds
    /// where somebody gives megabytes.
    ///
    /// # Errors
    /// [`Error::TextTooLong`]; [`Error::NoTokenizer`].
    pub fn check_text(&self, text: &str, context_size: Option<usize>) -> Result<()> {
        check_text(
            self.require_tokenizer()?,
            text,
            self.context_size(context_size),
        )
    }

    /// Checks that a prompt can be used with a context of `context_size`; `None`: all that the model has.
    ///
    /// # Errors
    /// One that [`Error::is_of_prompt`].
    pub fn check_prompt(&self, ids: &[u32], context_size: Option<usize>) -> Result<()> {
        check_ids(ids, self.config(), self.context_size(context_size))
    }

    /// As [`Model::check_request`], with a context as for [`ModelFiles::check_prompt`].
    ///
    /// # Errors
    /// As [`Model::check_request`].
    pub fn check_request(
        &self,
        ids: &[u32],
        options: &GenerateOptions,
        context_size: Option<usize>,
    ) -> Result<()> {
        self.check_options(options)?;
        check_length(ids, options, self.config(), self.context_size(context_size))
    }

    fn context_size(&self, asked: Option<usize>) -> usize {
        let most = self.config().max_context_length;
        asked.unwrap_or(most).min(most)
    }

    /// Checks that a text can be generated as `options` say.
    ///
    /// # Errors
    /// [`Error::OptionOutOfRange`], [`Error::OptionValue`]; [`Error::NoTokenizer`] where text is to be looked for.
    pub fn check_options(&self, options: &GenerateOptions) -> Result<()> {
        let tokenizer = || self.require_tokenizer();
        check_options(options, self.config(), &self.generation, tokenizer)
    }

    /// Puts the model on a device, calling `progress` as bytes arrive there. Where no adapter was asked for, one that fails or computes
    /// wrongly is passed over for the next, and [`Model::warnings`] says so.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load(self, options: &LoadOptions, progress: impl FnMut(Progress)) -> Result<Model> {
        let mut candidates = Candidate::of(options.device.as_deref(), options.f16_prefill)?;
        candidates.sort_by_key(|candidate| options.distrusted.contains(&candidate.identity));
        self.load_on_first(&candidates, options, progress)
    }

    /// Puts the model on the first of `candidates` that works.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub(crate) fn load_on_first(
        self,
        candidates: &[Candidate],
        options: &LoadOptions,
        mut progress: impl FnMut(Progress),
    ) -> Result<Model> {
        let begin = Instant::now();
        let name = |candidate: &Candidate| candidate.identity.clone();
        let (network, mut passed_over) = first_that_works(candidates, name, |candidate| {
            Network::load(candidate.open()?, &self.checkpoint, options, &mut progress)
        })?;
        let mut model = self.loaded(network, begin);
        let unused = options.distrusted.iter();
        let unused = unused.filter(|other| **other != model.adapter().identity());
        passed_over.extend(unused.map(|name| format!("`{name}` is not used: it failed before")));
        if let Some(inner) = Arc::get_mut(&mut model.0) {
            inner.warnings.splice(0..0, passed_over);
        }
        Ok(model)
    }

    /// As [`ModelFiles::load`], on the device that `other` is on. Of `options.memory_limit` it gets what `other` leaves.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_beside(
        self,
        other: &Model,
        options: &LoadOptions,
        progress: impl FnMut(Progress),
    ) -> Result<Model> {
        let network = other.network();
        let taken = network.weight_bytes() + network.kv_cache_bytes() + network.scratch_bytes();
        let options = LoadOptions {
            memory_limit: options
                .memory_limit
                .map(|limit| limit.saturating_sub(taken)),
            ..options.clone()
        };
        self.put_on(network.gpu().clone(), Instant::now(), &options, progress)
    }

    fn put_on(
        self,
        gpu: Gpu,
        begin: Instant,
        options: &LoadOptions,
        progress: impl FnMut(Progress),
    ) -> Result<Model> {
        let network = Network::load(gpu, &self.checkpoint, options, progress)?;
        Ok(self.loaded(network, begin))
    }

    /// With what was odd about its tensors.
    fn loaded(self, (network, mut warnings): (Network, Vec<String>), begin: Instant) -> Model {
        warnings.extend(self.tokenizer.as_ref().and_then(Tokenizer::warning));
        if !self.stop_strings.is_empty() {
            warnings.push(
                "generation_config.json: `stop_strings` need a tokenizer; they are ignored".into(),
            );
        }
        Model(Arc::new(Inner {
            has_sentencepiece: has_sentencepiece(&self.checkpoint),
            name: self.checkpoint.name,
            network: Arc::new(network),
            tokenizer: self.tokenizer,
            generation: self.generation,
            warnings,
            load_time: self.time + begin.elapsed(),
        }))
    }
}

impl Model {
    /// What is to be said where [`Network::take_widened`] is true.
    pub const WIDENED: &'static str = "this model's keys, values or activations are too large for f16: they are f32 from now on, which \
        takes more memory";

    /// Loads a model: a folder with `config.json` and safetensors, a GGUF file, `demo` (embedded), or `shape:270M|450M|1_1B|3B`.
    ///
    /// # Errors
    /// Whatever is wrong with the files, the adapter or its memory; see [`Error`].
    pub fn load(path: &str, options: &LoadOptions) -> Result<Self> {
        Self::load_with_progress(path, options, |_| {})
    }

    /// As [`Model::load`], calling `progress` as bytes arrive on the device.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with_progress(
        path: &str,
        options: &LoadOptions,
        progress: impl FnMut(Progress),
    ) -> Result<Self> {
        ModelFiles::open(path)?.load(options, progress)
    }

    /// Puts an opened checkpoint on an opened device.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_parts(checkpoint: Checkpoint, gpu: Gpu, options: &LoadOptions) -> Result<Self> {
        ModelFiles::new(checkpoint)?.put_on(gpu, Instant::now(), options, |_| {})
    }

    /// This model, to propose tokens for `target` (see [`crate::Speculation`]): at first `tokens` of them at once.
    ///
    /// # Errors
    /// [`Error::OtherVocabulary`] where its ids are not those of `target`.
    pub fn as_assistant_of(
        &self,
        target: &Self,
        tokens: usize,
        schedule: AssistantSchedule,
    ) -> Result<Assistant> {
        let differs = match (self.tokenizer(), target.tokenizer()) {
            (Some(ours), Some(theirs)) => !ours.has_ids_of(theirs),
            _ => false,
        };
        let sizes = [self, target].map(|model| model.config().vocab_size);
        if differs || sizes[0] != sizes[1] {
            return Err(Error::OtherVocabulary {
                assistant: self.name().to_owned(),
                model: target.name().to_owned(),
                sizes,
            });
        }
        let network = Arc::clone(self.network());
        let name = self.name().to_owned();
        Ok(Assistant::new(network, name, tokens, schedule))
    }

    /// As [`ModelFiles::check_text`], with the context that the model was loaded with.
    ///
    /// # Errors
    /// The same.
    pub fn check_text(&self, text: &str) -> Result<()> {
        check_text(self.require_tokenizer()?, text, self.context_size())
    }

    /// Ids of `text`, bos first.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`]; [`Error::Text`] if the tokenizer cannot express the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.require_tokenizer()?.encode(text)
    }

    /// The tokenizer, if there is one.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.0.tokenizer.as_ref()
    }

    /// The tokenizer, or an error that says where to get one.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`].
    pub fn require_tokenizer(&self) -> Result<&Tokenizer> {
        require(self.0.tokenizer.as_ref(), &self.0.name, || {
            self.0.has_sentencepiece
        })
    }

    /// As [`ModelFiles::check_options`].
    ///
    /// # Errors
    /// The same.
    pub fn check_options(&self, options: &GenerateOptions) -> Result<()> {
        let tokenizer = || self.require_tokenizer();
        check_options(options, self.config(), self.generation_config(), tokenizer)
    }

    /// Checks that `ids` can be continued as `options` say.
    ///
    /// # Errors
    /// As [`crate::Session::generate`].
    pub fn check_request(&self, ids: &[u32], options: &GenerateOptions) -> Result<()> {
        self.check_options(options)?;
        check_length(ids, options, self.config(), self.context_size())
    }

    /// What the model was called when it was loaded.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn config(&self) -> &Config {
        self.0.network.config()
    }

    pub fn network(&self) -> &Arc<Network> {
        &self.0.network
    }

    pub fn adapter(&self) -> &AdapterSummary {
        &self.0.network.gpu().adapter
    }

    /// Format of the weights on the device.
    pub fn dtype(&self) -> Dtype {
        self.0.network.dtype()
    }

    /// Positions that a session can hold.
    pub fn context_size(&self) -> usize {
        self.0.network.context_size()
    }

    /// How to sample where the caller requests nothing: as `generation_config.json` says, greedy without it.
    pub fn sampling_defaults(&self) -> SamplingParams {
        SamplingParams::from(&self.0.generation)
    }

    /// How to generate where the caller requests nothing: Hugging Face's defaults with those of `generation_config.json` over them.
    pub fn generation_config(&self) -> &GenerationConfig {
        &self.0.generation
    }

    /// Ids that end a text: those of `config.json` and of `generation_config.json`.
    pub fn eos_token_ids(&self) -> &[u32] {
        eos_token_ids(&self.0.generation, self.config())
    }

    /// Things about the files that are odd but not wrong, and adapters that were passed over.
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// From the beginning of [`Model::load`] to its end.
    pub fn load_time(&self) -> Duration {
        self.0.load_time
    }
}

fn check_text(tokenizer: &Tokenizer, text: &str, context_size: usize) -> Result<()> {
    match tokenizer.least_tokens(text) > context_size {
        true => Err(Error::TextTooLong {
            bytes: text.len(),
            context_size,
        }),
        false => Ok(()),
    }
}

fn tokenizer(bytes: &[u8], path: &Path, config: &Config) -> Result<Tokenizer> {
    Tokenizer::from_bytes(bytes, path, config.bos_token_id, config.vocab_size)
}

fn tokenizer_at(path: &Path, config: &Config) -> Result<Tokenizer> {
    let (path, bytes) = read_tokenizer(path)?;
    tokenizer(&bytes, &path, config)
}

fn require<'a>(
    tokenizer: Option<&'a Tokenizer>,
    name: &str,
    has_sentencepiece: impl FnOnce() -> bool,
) -> Result<&'a Tokenizer> {
    tokenizer.ok_or_else(|| Error::NoTokenizer {
        model: name.into(),
        has_sentencepiece: has_sentencepiece(),
    })
}

/// Whether a model's folder has its tokenizer in another form.
fn has_sentencepiece(checkpoint: &Checkpoint) -> bool {
    checkpoint.folder.join("tokenizer.model").is_file()
}

fn eos_token_ids<'a>(generation: &'a GenerationConfig, config: &'a Config) -> &'a [u32] {
    let both = generation.eos_token_ids.as_ref();
    both.unwrap_or(&config.eos_token_ids)
}

/// The ids that end a text of this request.
pub(super) fn eos_of<'a>(
    options: &'a GenerateOptions,
    config: &'a Config,
    generation: &'a GenerationConfig,
) -> &'a [u32] {
    match &options.eos_token_ids {
        _ if options.ignore_eos => &[],
        Some(ids) => ids,
        None => eos_token_ids(generation, config),
    }
}

/// Checks that a model can generate as `options` say.
fn check_options<'a>(
    options: &GenerateOptions,
    config: &Config,
    generation: &GenerationConfig,
    tokenizer: impl FnOnce() -> Result<&'a Tokenizer>,
) -> Result<()> {
    options.sampling.check()?;
    if let Some(scores) = options.prompt_logprobs {
        scores.check()?;
    }
    let eos = eos_of(options, config, generation);
    options.sampling.processors.check(config.vocab_size, eos)?;
    match options.looks_for_text() {
        true => tokenizer().map(|_| ()),
        false => Ok(()),
    }
}

/// Checks that a model can take these ids.
pub(super) fn check_ids(ids: &[u32], config: &Config, context_size: usize) -> Result<()> {
    if ids.is_empty() {
        return Err(Error::EmptyPrompt);
    }
    let vocab_size = config.vocab_size;
    if let Some(id) = ids.iter().find(|id| **id as usize >= vocab_size) {
        return Err(Error::TokenOutOfRange {
            id: *id,
            vocab_size,
        });
    }
    if ids.len() > context_size {
        return Err(prompt_too_long(ids, config, context_size));
    }
    Ok(())
}

/// Whether what `options` ask for has room behind a prompt, in a context of so many positions.
fn check_length(
    ids: &[u32],
    options: &GenerateOptions,
    config: &Config,
    context_size: usize,
) -> Result<()> {
    // The last token is never fed: where no more than that is asked for, a prompt may fill the context, and where none is, all but its last id.
    let most = match options.max_tokens {
        Some(0) if options.prompt_logprobs.is_some() => context_size + 1,
        Some(0 | 1) => context_size,
        _ => context_size.saturating_sub(1),
    };
    check_ids(ids, config, usize::MAX)?;
    match ids.len() > most {
        true => Err(prompt_too_long(ids, config, context_size)),
        false => Ok(()),
    }
}

fn prompt_too_long(ids: &[u32], config: &Config, context_size: usize) -> Error {
    Error::PromptTooLong {
        tokens: ids.len(),
        context_size,
        max_context_size: config.max_context_length,
    }
}

impl From<&LayerConfig> for LayerShape {
    fn from(layer: &LayerConfig) -> Self {
        Self {
            q_heads: layer.q_heads,
            kv_heads: layer.kv_heads,
            ffn_dim: layer.ffn_dim,
        }
    }
}
