//! A loaded model: the network on a device, with its tokenizer and defaults.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sampling::Sampling;
use super::session::Session;
use crate::checkpoint::{Checkpoint, Config, GenerationDefaults, read_tokenizer};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::gpu::{AdapterSummary, Gpu};
use crate::model::{LoadOptions, Network, Progress};
use crate::text::Tokenizer;

/// A model on a device. Sessions share it; it can be used from several threads.
pub struct Model {
    name: String,
    network: Arc<Network>,
    tokenizer: Option<Tokenizer>,
    generation: GenerationDefaults,
    warnings: Vec<String>,
    load_time: Duration,
}

impl Model {
    /// Loads a model: a folder with `config.json` and safetensors, `demo` (embedded), or `shape:270M|450M|1_1B|3B`.
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
        let begin = Instant::now();
        // Files first: a mistake in them should not cost the opening of a device.
        let checkpoint = Checkpoint::open(path)?;
        let gpu = Gpu::open(options.device.as_deref())?;
        Self::from_checkpoint(checkpoint, gpu, options, progress, begin)
    }

    /// Puts an opened checkpoint on an opened device.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_parts(checkpoint: Checkpoint, gpu: Gpu, options: &LoadOptions) -> Result<Self> {
        Self::from_checkpoint(checkpoint, gpu, options, |_| {}, Instant::now())
    }

    fn from_checkpoint(
        checkpoint: Checkpoint,
        gpu: Gpu,
        options: &LoadOptions,
        progress: impl FnMut(Progress),
        begin: Instant,
    ) -> Result<Self> {
        let tokenizer = match &checkpoint.tokenizer {
            Some(bytes) => Some(tokenizer(bytes, &checkpoint.config)?),
            None => None,
        };
        let (network, warnings) = Network::load(gpu, &checkpoint, options, progress)?;
        Ok(Self {
            name: checkpoint.name,
            network: Arc::new(network),
            tokenizer,
            generation: checkpoint.generation,
            warnings,
            load_time: begin.elapsed(),
        })
    }

    /// Takes the tokenizer from elsewhere: a `tokenizer.json`, or a folder that holds one.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Tokenizer`].
    pub fn set_tokenizer(&mut self, path: &Path) -> Result<()> {
        self.tokenizer = Some(tokenizer(&read_tokenizer(path)?, self.config())?);
        Ok(())
    }

    /// A session: one timeline of tokens with its own KV cache.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the device has no room for its cache.
    pub fn session(&self) -> Result<Session<'_>> {
        Session::new(self)
    }

    /// Ids of `text`, bos first.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the model has no tokenizer.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.require_tokenizer()?.encode(text)
    }

    /// The tokenizer, if there is one.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_ref()
    }

    /// The tokenizer, or advice on how to get one.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] with that advice.
    pub fn require_tokenizer(&self) -> Result<&Tokenizer> {
        self.tokenizer.as_ref().ok_or_else(|| {
            Error::Tokenizer(format!(
                "`{}` has no tokenizer. {}",
                self.name,
                crate::text::HOW_TO_GET_ONE
            ))
        })
    }

    /// What the model was called when it was loaded.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn config(&self) -> &Config {
        &self.network.config
    }

    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    pub fn adapter(&self) -> &AdapterSummary {
        &self.network.gpu.adapter
    }

    /// Format of the weights on the device.
    pub fn dtype(&self) -> Dtype {
        self.network.dtype
    }

    /// Positions that a session can hold.
    pub fn context_size(&self) -> usize {
        self.network.context_size
    }

    /// How to sample where the caller has no wish: as `generation_config.json` says, greedy without it.
    pub fn sampling_defaults(&self) -> Sampling {
        Sampling::from_defaults(&self.generation)
    }

    /// Things about the files that are odd but not wrong.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// From the beginning of [`Model::load`] to its end.
    pub fn load_time(&self) -> Duration {
        self.load_time
    }
}

fn tokenizer(bytes: &[u8], config: &Config) -> Result<Tokenizer> {
    Tokenizer::from_bytes(bytes, config.bos_token_id, config.vocab_size)
}
