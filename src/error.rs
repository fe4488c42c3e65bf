//! The one error type. A message says what was wrong and where, in words that are true for whoever reads it; what can be done about
//! it is in the fields, and each face says that in words of its own (`cli/advice.rs`, `window/advice.rs`).

mod form;
mod hub;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::form::ModelForm;
pub use self::hub::HubError;
use crate::dtype::Dtype;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong, by cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or mapped.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// A file or folder could not be written; `cause` tells apart one that is there already.
    #[error("cannot write {}: {cause}", path.display())]
    Write {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// A model name that is neither a folder, nor a GGUF file, nor `demo`, nor `shape:NAME`.
    #[error("{}", model_not_found(model, *is_file))]
    ModelNotFound {
        /// As it was asked for.
        model: String,
        /// Whether there is a file of that name.
        is_file: bool,
    },
    /// A model could not be had by its name on the hub.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// An engine was asked for text before it had a model.
    #[error("no model is loaded")]
    NoModel,
    /// `config.json`, or what a GGUF file has in its place, is absent, malformed, or describes something that is not OpenELM.
    #[error("{}: {what}", path.display())]
    Config { path: PathBuf, what: String },
    /// There is a model or a part of one, but in a form that is not read as it is.
    #[error("{}: {form}", path.display())]
    OtherForm { path: PathBuf, form: ModelForm },
    /// A LoRA adapter is malformed, or does more than add to matrices of the base model.
    #[error("{}: {what}", path.display())]
    Adapter { path: PathBuf, what: String },
    /// A safetensors file, its index or a GGUF file is malformed, or files are missing.
    #[error("{}: {what}", path.display())]
    Checkpoint { path: PathBuf, what: String },
    /// One tensor is missing, superfluous, or has the wrong shape or type.
    #[error("{}: tensor `{name}`: {what}", path.display())]
    Tensor {
        path: PathBuf,
        name: String,
        what: String,
    },
    /// Text was to be read or written, and the model has no tokenizer. Ids need none.
    #[error("`{model}` has no tokenizer. {}", no_tokenizer(*has_sentencepiece))]
    NoTokenizer {
        /// What the model was called when it was loaded.
        model: String,
        /// Whether its folder has one in another form, `tokenizer.model`.
        has_sentencepiece: bool,
    },
    /// A `tokenizer.json` is malformed, or belongs to another model.
    #[error("{}: {what}", path.display())]
    Tokenizer { path: PathBuf, what: String },
    /// The tokenizer cannot express a text, or cannot spell out ids.
    #[error("{0}")]
    Text(String),
    /// A prompt without a single token.
    #[error("the prompt is empty; it needs at least one token (id 1 is the begin-of-text token)")]
    EmptyPrompt,
    /// The prompt does not fit the context, or leaves no position for what is to follow it.
    #[error("{}", prompt_too_long(*tokens, *context_size, *max_context_size))]
    PromptTooLong {
        /// Tokens of the prompt, begin-of-text included.
        tokens: usize,
        /// Positions that there are.
        context_size: usize,
        /// Positions that the model could have, if it were loaded with so many.
        max_context_size: usize,
    },
    /// A token id that the model does not have.
    #[error("token id {id} is out of range: this model has ids 0 to {}", vocab_size.saturating_sub(1))]
    TokenOutOfRange {
        id: u32,
        /// Ids of the model, counted from 0.
        vocab_size: usize,
    },
    /// A text has a token that the tokenizer has and the model has not.
    #[error(
        "the text has `{token}` in it, which is token {id} of the tokenizer; this model has ids 0 to {}",
        vocab_size.saturating_sub(1)
    )]
    TokenBeyondVocabulary {
        /// As the tokenizer spells it.
        token: String,
        id: u32,
        /// Ids of the model, counted from 0.
        vocab_size: usize,
    },
    /// A text is so long that it cannot fit, whatever its tokens are.
    #[error(
        "the prompt has {bytes} bytes, which is far too long for a context of {context_size} tokens"
    )]
    TextTooLong {
        bytes: usize,
        /// Positions that there are.
        context_size: usize,
    },
    /// What several share has failed for all of them: see [`Error::root`].
    #[error(transparent)]
    Shared(Arc<Error>),
    /// A number that was chosen is not one of those that make sense.
    #[error("`{name}` is {value}; {low} to {high} is possible")]
    OptionOutOfRange {
        /// As the field of the parameters is called: `temperature`, `top_p`.
        name: &'static str,
        value: f32,
        low: f32,
        high: f32,
    },
    /// A generation setting has a value that it cannot have.
    #[error("`{key}` is {value}; {expected}")]
    OptionValue {
        /// As Hugging Face's `GenerationConfig` calls it.
        key: String,
        /// The value, or the part of it that is wrong.
        value: String,
        /// What it can be, as a clause.
        expected: String,
    },
    /// There is no generation setting of this name.
    #[error("{}", unknown_option(key, *nearest))]
    UnknownOption {
        key: String,
        /// The most similar name that there is.
        nearest: Option<&'static str>,
    },
    /// A generation setting that Hugging Face has and this crate has not.
    #[error("`{key}` {value}: Hugging Face's `generate` knows that, openelm does not do it")]
    OptionNotHere { key: String, value: String },
    /// The prompt alone has as many tokens as prompt and text may have together.
    #[error(
        "the prompt has {tokens} tokens and `max_length`, which counts them, is {max_length}: nothing can follow"
    )]
    MaxLength { max_length: usize, tokens: usize },
    /// Several texts from one prompt, all of which would be the same.
    #[error(
        "without sampling all of the {count} texts asked for (`num_return_sequences`) would be the same"
    )]
    SequencesNeedSampling { count: usize },
    /// A model was to propose tokens for another whose ids mean something else.
    #[error(
        "{assistant} cannot propose tokens for {model}: they do not have the same vocabulary (of {} and {} ids)",
        sizes[0], sizes[1]
    )]
    OtherVocabulary {
        assistant: String,
        model: String,
        /// Ids of the assistant, and of the model.
        sizes: [usize; 2],
    },
    /// The model computed a logit that is none.
    #[error(
        "the model's logit of token {id} is infinite or no number (NaN): its weights are damaged, or too large for the format they are kept in"
    )]
    NotANumber {
        /// The first such token.
        id: u32,
    },
    /// Everything was forbidden at one place of a text.
    #[error("the generation settings forbid every token at this place of the text")]
    NothingToChoose,
    /// What settings add to logits left none that a token could be drawn by.
    #[error(
        "the generation settings make a token's logit infinite or no number (NaN) at this place of the text: look at sequence_bias, \
         exponential_decay_length_penalty and repetition_penalty"
    )]
    NothingToWeigh,
    /// Keys and values were wanted for more positions than there can be, or for none.
    #[error("{}", context_size(*requested, *possible, adapter.as_deref()))]
    ContextSize {
        /// Positions that were asked for.
        requested: usize,
        /// The most positions that can be had.
        possible: usize,
        /// The adapter, if it allows no more; `None`: the model has no more.
        adapter: Option<String>,
    },
    /// A part of a chat template has no place for the words of a turn, or more than one.
    #[error(
        "the {part} part of the template `{name}` needs {{text}} exactly once: the words of the turn go there"
    )]
    Template {
        name: String,
        /// `system`, `user` or `assistant`.
        part: &'static str,
    },
    /// A chat template in Jinja is malformed, refuses the conversation, or does too much.
    #[error("{}", chat_template(path, *line, what))]
    ChatTemplate {
        /// The file that the template is in.
        path: PathBuf,
        /// Line of the template, from 1, where it is known.
        line: Option<usize>,
        what: String,
    },
    /// No adapter, or none that matches what was requested.
    #[error("{}", no_adapter(requested.as_deref(), found))]
    NoAdapter {
        /// The index or part of a name that was asked for.
        requested: Option<String>,
        /// Names of this machine's adapters, best first; the index of each is its place.
        found: Vec<String>,
    },
    /// The adapter is there but cannot be used.
    #[error("adapter `{adapter}` gives no device: {cause}")]
    NoDevice { adapter: String, cause: String },
    /// The adapter gives results that are not those of arithmetic.
    #[error("adapter `{adapter}` computes wrongly: {what}")]
    ComputesWrongly {
        adapter: String,
        /// Which of the numbers that are known differs, and how.
        what: String,
    },
    /// The adapter lacks something that was asked for or that the model needs.
    #[error("`{adapter}` cannot {feature}: {why}")]
    Unsupported {
        adapter: String,
        feature: Feature,
        why: String,
    },
    /// Activations of eight bits were asked for with weights that they cannot meet.
    #[error("activations of eight bits are for weights in q8, and these are in {dtype}")]
    Int8NeedsQ8 {
        /// Format of the weights.
        dtype: Dtype,
    },
    /// The device has too little memory.
    #[error("{}", out_of_memory(adapter, need.as_ref()))]
    OutOfMemory {
        adapter: String,
        /// What the model needs; `None` where the device only said that it has no more.
        need: Option<MemoryNeed>,
    },
    /// The device went away: driver reset, unplugged, or destroyed.
    #[error("the GPU device was lost ({0}); load the model again")]
    DeviceLost(String),
    /// A file is no saved session, or one that is damaged or of another version.
    #[error("{}: {what}", path.display())]
    SavedSession { path: PathBuf, what: String },
    /// A saved session's keys and values are not those that would be computed here.
    #[error("{}: {}", path.display(), other_origin(*origin, saved, here))]
    OtherOrigin {
        path: PathBuf,
        /// The first thing that differs.
        origin: Origin,
        /// What it was when the session was saved: as a person may ask for it, or a number that tells it from others.
        saved: String,
        /// What it is now.
        here: String,
    },
    /// Data of an evaluation are missing, or not what they should be.
    #[error("{}{}: {what}", path.display(), row.map_or(String::new(), |row| format!(", row {row}")))]
    EvalData {
        /// A file, or the folder that lacks one.
        path: PathBuf,
        /// Counted from 1; of JSON lines it is the line.
        row: Option<usize>,
        what: String,
    },
    /// An item of an evaluation cannot be asked, or has no answer.
    #[error("{task}, item {doc}: {cause}")]
    EvalItem {
        task: String,
        /// Counted from 0, as in results.
        doc: usize,
        cause: Box<Error>,
    },
    /// There is no task of this name.
    #[error("there is no task `{name}`; there are {}", known.join(", "))]
    UnknownTask {
        name: String,
        known: Vec<&'static str>,
    },
    /// Arguments that contradict each other or the model: a mistake of the calling program, not of a person or a file.
    #[error("{0}")]
    Misuse(String),
    /// What cannot be, whatever the caller, the files and the driver do.
    #[error("{0} (this is a bug in openelm: please report it)")]
    Bug(String),
    /// A server cannot listen where it was told to.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// As it was asked for, with the port.
        address: String,
        cause: std::io::Error,
    },
    /// A server was to listen beyond this machine without asking anybody for a key.
    #[error(
        "on {address} everybody who reaches this machine could use the server, which has no key to ask for"
    )]
    OpenToAll {
        /// As it was asked for, with the port.
        address: String,
    },
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// There is no display to open a window on.
    #[error("there is no display to open a window on (DISPLAY and WAYLAND_DISPLAY are not set)")]
    NoDisplay,
    /// The system names no folder for a program's data, and no other was named.
    #[error("the system names no folder for a program's data")]
    NoDataFolder,
    /// Another window keeps its data there.
    #[error(
        "another OpenELM window keeps its conversations in {}, and two would write over each other's",
        folder.display()
    )]
    DataFolderInUse { folder: PathBuf },
    /// The window could not be opened, or keep its data.
    #[error("{0}")]
    Window(String),
    /// The caller cancelled what was going on.
    #[error("cancelled")]
    Cancelled,
    /// A shader of this crate was refused by the driver's compiler.
    #[error("shader {file}:{line}: {what} (this is a bug in openelm: please report it)")]
    Shader {
        file: String,
        line: u32,
        what: String,
    },
    /// wgpu reported an error that this crate did not cause knowingly.
    #[error("GPU error: {0} (this is a bug in openelm or in the driver: please report it)")]
    Gpu(String),
}

/// What an adapter may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Feature {
    /// Weights in textures.
    Textures,
    /// Activations of eight bits that meet weights in textures.
    Int8InTextures,
    /// Prompts in f16, by cooperative matrices.
    F16Prefill,
    /// Kernels with sizes that the caller fixed.
    Layout,
    /// A model as large as this one, whatever its memory.
    Model,
}

impl std::fmt::Display for Feature {
    /// Completes "the adapter cannot".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Textures => "keep weights in textures",
            Self::Int8InTextures => "multiply activations of eight bits with weights in textures",
            Self::F16Prefill => "compute prompts in f16",
            Self::Layout => "run kernels of the sizes asked for",
            Self::Model => "run this model",
        })
    }
}

/// What keys and values depend on beside the ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Configuration and weights.
    Model,
    /// Format of the weights on the device.
    Weights,
    /// Adapter and driver, which may round otherwise.
    Adapter,
    /// The family of kernels.
    ComputePath,
    /// Format of keys and values.
    KvDtype,
    /// What prompts are multiplied in.
    PrefillDtype,
    /// What this crate's kernels compute.
    Kernels,
}

/// What a model needs on a device, and what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryNeed {
    /// Bytes of weights.
    pub weights: u64,
    /// Bytes of keys, values and activations of one session.
    pub session: u64,
    /// Bytes that there are; `None` where the driver does not tell.
    pub available: Option<u64>,
    /// Whether `available` is what the caller allowed, not what is free.
    pub is_limit: bool,
    /// Format of the weights that the need was estimated for.
    pub dtype: Dtype,
    /// Positions that it was estimated for.
    pub context_size: usize,
    /// Whether keys and values were to be f32, which takes twice the memory of f16.
    pub exact_kv: bool,
}

/// Where the tokenizer is to be had; the same for every face.
const HOW_TO_GET_A_TOKENIZER: &str = "OpenELM uses the tokenizer of Llama 2, which Apple's repositories do not carry: accept Meta's licence at \
     huggingface.co/meta-llama/Llama-2-7b-hf, fetch its tokenizer.json (`hf download meta-llama/Llama-2-7b-hf tokenizer.json --local-dir .`), \
     and put it into the model's folder";

fn no_tokenizer(has_sentencepiece: bool) -> &'static str {
    match has_sentencepiece {
        true => {
            "Its folder has tokenizer.model, SentencePiece's form of one, but of a kind that cannot be read; make tokenizer.json of it in Python: \
             `from transformers import AutoTokenizer; AutoTokenizer.from_pretrained(\".\", use_fast=True).save_pretrained(\".\")`"
        }
        false => HOW_TO_GET_A_TOKENIZER,
    }
}

fn chat_template(path: &Path, line: Option<usize>, what: &str) -> String {
    let line = line.map_or(String::new(), |line| format!(", line {line}"));
    format!("the chat template of {}{line}: {what}", path.display())
}

fn model_not_found(model: &str, is_file: bool) -> String {
    if is_file {
        return format!(
            "`{model}` is a file; a model is a GGUF file, or the folder that holds config.json and the .safetensors files"
        );
    }
    match model.strip_prefix("shape:") {
        Some(shape) => format!("no shape `{shape}`; there are 270M, 450M, 1_1B and 3B"),
        None => format!(
            "no folder `{model}`. A model is a folder with config.json and safetensors, a GGUF file, `demo`, or `shape:270M|450M|1_1B|3B`"
        ),
    }
}

fn other_origin(origin: Origin, saved: &str, here: &str) -> String {
    let phrase = |value: &str| match origin {
        Origin::Model => format!("of the model {value}"),
        Origin::Weights => format!("of weights in {value}"),
        Origin::Adapter => format!("computed by {value}"),
        Origin::ComputePath => format!("of the {value} kernels"),
        Origin::KvDtype | Origin::PrefillDtype => format!("in {value}"),
        Origin::Kernels => format!("of kernels in the version {value}"),
    };
    format!(
        "the keys and values in it are {}, and cannot stand in for those {}",
        phrase(saved),
        phrase(here)
    )
}

fn unknown_option(key: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => {
            format!("there is no generation setting `{key}`; did you mean `{nearest}`?")
        }
        None => format!("there is no generation setting `{key}`"),
    }
}

fn prompt_too_long(tokens: usize, context_size: usize, max_context_size: usize) -> String {
    let possible = match max_context_size > context_size {
        true => format!(" (this model can have {max_context_size})"),
        false => String::new(),
    };
    match tokens > context_size {
        true => format!("the prompt has {tokens} tokens, the context {context_size}{possible}"),
        false => format!(
            "the prompt's {tokens} tokens fill the context of {context_size}{possible}: nothing can follow"
        ),
    }
}

fn context_size(requested: usize, possible: usize, adapter: Option<&str>) -> String {
    match adapter {
        None => format!(
            "a context of {requested} positions is not possible: this model takes 1 to {possible}"
        ),
        Some(adapter) => format!(
            "a context of {requested} positions needs more than `{adapter}` can bind at once, which is enough for {possible}"
        ),
    }
}

fn no_adapter(requested: Option<&str>, found: &[String]) -> String {
    match requested {
        Some(requested) if !found.is_empty() => {
            let names: Vec<String> = (0..)
                .zip(found)
                .map(|(index, name): (usize, _)| format!("{index}: {name}"))
                .collect();
            format!(
                "no adapter matches `{requested}`; this machine has {}",
                names.join(", ")
            )
        }
        _ => format!("no GPU adapter was found; {}", how_to_get_an_adapter()),
    }
}

/// The system's own remedy, the same for every face.
fn how_to_get_an_adapter() -> &'static str {
    if cfg!(target_os = "linux") {
        "install a Vulkan driver: for software rendering `apt install libvulkan1 mesa-vulkan-drivers` (Debian, Ubuntu), \
         `dnf install vulkan-loader mesa-vulkan-drivers` (Fedora) or `pacman -S vulkan-icd-loader vulkan-swrast` (Arch); \
         for a GPU its vendor's driver"
    } else if cfg!(target_os = "windows") {
        "install your GPU vendor's driver, which brings DirectX 12 and Vulkan"
    } else {
        "Metal is part of macOS: this machine seems to have no usable GPU, as some virtual machines"
    }
}

fn out_of_memory(adapter: &str, need: Option<&MemoryNeed>) -> String {
    const MIB: u64 = 1 << 20;
    let Some(need) = need else {
        return format!("`{adapter}` has no memory left");
    };
    let has = match need.available {
        Some(bytes) if need.is_limit => format!("{} MiB are allowed", bytes / MIB),
        Some(bytes) => format!("{} MiB are free", bytes / MIB),
        None => "it has less".into(),
    };
    format!(
        "the model does not fit on `{adapter}`: {} MiB of weights ({}) and {} MiB for a context of {} are needed, {has}",
        need.weights / MIB,
        need.dtype,
        need.session / MIB,
        need.context_size,
    )
}

/// Checks an option that is a number.
///
/// # Errors
/// [`Error::OptionOutOfRange`]; NaN lies in no range.
pub(crate) fn in_range(name: &'static str, value: f32, low: f32, high: f32) -> Result<()> {
    match (low..=high).contains(&value) {
        true => Ok(()),
        false => Err(Error::OptionOutOfRange {
            name,
            value,
            low,
            high,
        }),
    }
}

impl Error {
    pub(crate) fn read(path: &Path, cause: std::io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            cause,
        }
    }

    pub(crate) fn write(path: &Path, cause: std::io::Error) -> Self {
        Self::Write {
            path: path.to_owned(),
            cause,
        }
    }

    pub(crate) fn config(path: &Path, what: impl Into<String>) -> Self {
        Self::Config {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn checkpoint(path: &Path, what: impl Into<String>) -> Self {
        Self::Checkpoint {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn tensor(path: &Path, name: &str, what: impl Into<String>) -> Self {
        Self::Tensor {
            path: path.to_owned(),
            name: name.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn adapter(path: &Path, what: impl Into<String>) -> Self {
        Self::Adapter {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn tokenizer(path: &Path, what: impl Into<String>) -> Self {
        Self::Tokenizer {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// What went wrong, whoever else was told of it as well.
    pub fn root(&self) -> &Self {
        match self {
            Self::Shared(error) => error.root(),
            error => error,
        }
    }

    /// Whether another adapter may do what this one did not, whatever is asked of it.
    pub fn is_of_adapter(&self) -> bool {
        matches!(
            self.root(),
            Self::NoDevice { .. }
                | Self::ComputesWrongly { .. }
                | Self::DeviceLost(_)
                | Self::Shader { .. }
                | Self::Gpu(_)
        )
    }

    /// Whether a shorter or another prompt would do: whatever was computed before is still good.
    pub fn is_of_prompt(&self) -> bool {
        matches!(
            self.root(),
            Self::EmptyPrompt
                | Self::PromptTooLong { .. }
                | Self::TokenOutOfRange { .. }
                | Self::TokenBeyondVocabulary { .. }
                | Self::TextTooLong { .. }
                | Self::ChatTemplate { .. }
                | Self::Text(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn too_long(tokens: usize, context_size: usize, max_context_size: usize) -> String {
        Error::PromptTooLong {
            tokens,
            context_size,
            max_context_size,
        }
        .to_string()
    }

    #[test]
    fn a_prompt_is_too_long_for_what_there_is() {
        assert_eq!(
            too_long(600, 512, 512),
            "the prompt has 600 tokens, the context 512"
        );
        assert_eq!(
            too_long(512, 512, 2048),
            "the prompt's 512 tokens fill the context of 512 (this model can have 2048): nothing can follow"
        );
    }

    #[test]
    fn a_missing_adapter_is_another_matter_than_a_wrong_name() {
        let none = |requested: Option<&str>, found: &[&str]| {
            Error::NoAdapter {
                requested: requested.map(str::to_owned),
                found: found.iter().map(|name| (*name).to_owned()).collect(),
            }
            .to_string()
        };
        assert_eq!(
            none(Some("x"), &["A", "B"]),
            "no adapter matches `x`; this machine has 0: A, 1: B"
        );
        for requested in [None, Some("x")] {
            assert!(none(requested, &[]).starts_with("no GPU adapter was found; "));
        }
    }

    #[test]
    fn fields_that_make_no_sense_are_still_words() {
        let error = Error::TokenOutOfRange {
            id: 3,
            vocab_size: 0,
        };
        assert!(error.to_string().ends_with("ids 0 to 0"));
        let error = Error::Template {
            name: "Mine".into(),
            part: "user",
        };
        assert!(
            error
                .to_string()
                .starts_with("the user part of the template `Mine` needs {text} exactly once")
        );
    }
}
