//! What goes in and comes out of an engine: plain data.

use std::path::PathBuf;

use crate::checkpoint::Config;
use crate::dtype::Dtype;
use crate::error::Error;
use crate::generate::{Finish, GenerateOptions, SamplingParams, Timing, Token};
use crate::gpu::AdapterSummary;
use crate::model::LoadOptions;
use crate::text::{ChatTemplate, Jinja, Turn};
use crate::trace::{Peaks, Step, TracePlan};

/// What to load.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Comes back with every event of this load.
    pub id: u64,
    /// As for [`crate::Model::load`].
    pub model: String,
    /// Takes the place of the model's own tokenizer; as for [`crate::ModelFiles::set_tokenizer`].
    pub tokenizer: Option<PathBuf>,
    /// A repository on the hub whose tokenizer stands for the models' own; `None`: Llama 2's, which is gated.
    pub tokenizer_repo: Option<String>,
    /// Whether nothing may be fetched for it.
    pub local: bool,
    /// Set `cancel` in it to end loading.
    pub options: LoadOptions,
}

/// What is to be continued.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The text; for a model without a tokenizer token ids, such as `1, 9038`.
    pub text: String,
    /// The conversation that the text was made of. A model with a tokenizer takes that in the text's place: only the conversation tells what was
    /// said from what the template wrote, and can be shortened.
    pub chat: Option<Chat>,
}

/// A conversation, and how it is written.
#[derive(Debug, Clone)]
pub struct Chat {
    pub template: ChatTemplate,
    pub turns: Vec<Turn>,
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self { text, chat: None }
    }
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl std::fmt::Display for Prompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl AsRef<str> for Prompt {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl std::ops::Deref for Prompt {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl<T: AsRef<str> + ?Sized> PartialEq<T> for Prompt {
    fn eq(&self, other: &T) -> bool {
        self.text == other.as_ref()
    }
}

/// A prompt to continue.
#[derive(Debug, Clone)]
pub struct Request {
    /// Comes back with every event of this request.
    pub id: u64,
    pub prompt: Prompt,
    /// Ids that the answer begins with; they come back as its first tokens.
    pub given: Vec<u32>,
    /// Set `cancel` in it to end the request within a step.
    pub options: GenerateOptions,
    pub trace: TracePlan,
}

/// What the worker is to do. Requests run side by side; a load waits until those before it have ended.
#[derive(Debug, Clone)]
pub enum Command {
    /// Drops the model that is loaded, and loads this one; if something is wrong with its files, the other stays.
    Load(Box<Load>),
    Generate(Box<Request>),
    /// How many tokens a prompt has; `id` comes back.
    Count {
        id: u64,
        text: Prompt,
    },
    /// Measures what the adapter can do at best.
    Measure,
}

/// What a loaded model is.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    pub name: String,
    pub adapter: AdapterSummary,
    /// Whether the adapter is a program on the same processor that everything else needs.
    pub is_software: bool,
    pub dtype: Dtype,
    pub config: Config,
    pub context_size: usize,
    pub has_tokenizer: bool,
    pub sampling: SamplingParams,
    /// Texts that end what it writes, as its `generation_config.json` says.
    pub stop_strings: Vec<String>,
    /// The chat template that the model brings along.
    pub chat_template: Option<Jinja>,
    pub warnings: Vec<String>,
    pub load_s: f64,
    pub memory: Memory,
}

/// Bytes on the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    pub weights: u64,
    /// Keys and values of the whole context.
    pub kv_cache: u64,
    /// Activations and logits.
    pub scratch: u64,
    /// All that the device has handed out, where the backend counts it.
    pub allocated: Option<u64>,
}

/// A token with what else could have stood there.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEvent {
    pub token: Token,
    /// The token as it would be written.
    pub piece: String,
    /// The most probable tokens at this place.
    pub alternatives: Vec<Alternative>,
    /// Whether the step was timed by the device's clock, which costs a little.
    pub traced: bool,
    /// Whether it was given with the request; then it has no probability of its own.
    pub is_given: bool,
}

/// A token that could have stood at a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative {
    pub id: u32,
    /// As it would be written.
    pub piece: String,
    /// Natural logarithm.
    pub logprob: f32,
}

/// What is being fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Files from a network: for loaders that fetch them.
    Download,
    /// Weights to the device.
    Upload,
}

/// What has happened.
#[derive(Debug)]
pub enum Event {
    Loading {
        load: u64,
        stage: Stage,
        done: u64,
        total: u64,
    },
    Loaded {
        load: u64,
        info: Box<ModelInfo>,
    },
    LoadFailed {
        load: u64,
        error: Error,
        /// The load whose model is still there, and what that is; `None`: no model is loaded now.
        kept: Option<(u64, Box<ModelInfo>)>,
    },
    /// The device went away or can no longer be used; the model is being loaded again.
    DeviceLost {
        load: u64,
        error: Error,
    },
    /// A conversation is longer than the context: the oldest turns were left out, so many of them.
    LeftOut {
        request: u64,
        turns: usize,
    },
    /// Prompt tokens computed so far.
    Prompt {
        request: u64,
        /// Those before these that were computed for an earlier request.
        kept: usize,
        done: usize,
        total: usize,
    },
    Token {
        request: u64,
        token: Box<TokenEvent>,
    },
    /// A step was timed, of the requests that had a part in it.
    Step {
        requests: Vec<u64>,
        step: Box<Step>,
    },
    Finished {
        request: u64,
        finish: Finish,
        timing: Timing,
        /// Positions in use.
        positions: usize,
    },
    /// The request came to nothing, or to nothing more.
    Failed {
        request: u64,
        error: Error,
    },
    Counted {
        id: u64,
        count: usize,
    },
    /// What the adapter can do at best that a model is on.
    Measured {
        load: u64,
        peaks: Peaks,
    },
    /// Something about the model that is odd but not wrong, and that showed only now.
    Notice {
        load: u64,
        text: String,
    },
    /// The worker has ended without being told to; nothing more will come.
    Stopped,
}
