//! What the window remembers from one day to the next.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::dtype::Dtype;
use crate::generate::SamplingParams;
use crate::text::{ChatTemplate, Template};
use crate::trace::TraceMode;

/// Name of [`ChatTemplate::inst`].
pub const INST: &str = "[INST]";

/// Models to offer again.
const MOST_RECENT: usize = 8;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Appearance {
    #[default]
    System,
    Dark,
    Light,
}

/// How tokens are chosen; as [`SamplingParams`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplingSettings {
    /// Whether the person has changed something; if not, every model brings its own.
    pub own: bool,
    pub temperature: f32,
    pub top_k: u32,
    pub top_p: f32,
    pub min_p: f32,
    pub repetition_penalty: f32,
    /// `None`: another one each time.
    pub seed: Option<u64>,
}

impl Default for SamplingSettings {
    fn default() -> Self {
        Self::from(&SamplingParams::default())
    }
}

impl From<&SamplingParams> for SamplingSettings {
    fn from(sampling: &SamplingParams) -> Self {
        Self {
            own: false,
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            min_p: sampling.min_p,
            repetition_penalty: sampling.repetition_penalty,
            seed: None,
        }
    }
}

impl SamplingSettings {
    /// With `seed` where the person gave none.
    pub fn sampling(&self, seed: u64) -> SamplingParams {
        SamplingParams {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            seed: self.seed.unwrap_or(seed),
            ..SamplingParams::default()
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// As for `openelm -m`.
    pub model: String,
    /// Models loaded before, latest first.
    pub recent: Vec<String>,
    pub tokenizer: Option<PathBuf>,
    /// Name of the weights' format; `None`: as stored.
    pub dtype: Option<String>,
    pub context_size: Option<usize>,
    pub sampling: SamplingSettings,
    pub max_tokens: usize,
    /// Generation ends before one of these, beside the template's own.
    pub stop: Vec<String>,
    pub ignore_eos: bool,
    /// Propose what followed where the text was the same before.
    pub prompt_lookup: bool,
    /// The person's own templates.
    pub templates: Vec<Template>,
    /// What templates of other names are called now, for conversations that name those.
    pub renamed_templates: BTreeMap<String, String>,
    pub appearance: Appearance,
    pub sidebar: bool,
    pub timings: bool,
    /// Tint the text by probability.
    pub probabilities: bool,
    pub trace: TraceMode,
    /// Time every step, whatever it costs.
    pub trace_all: bool,
    /// What was written but not sent.
    pub draft: String,
    /// Messages that were being edited.
    pub edits: Vec<Edit>,
}

/// A message that is being edited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// Id of the conversation.
    pub conversation: String,
    /// Index of the message, as on disk.
    pub message: usize,
    pub text: String,
}

/// A setting, and what it becomes.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// Name of the weights' format.
    Dtype(Option<String>),
    ContextSize(Option<usize>),
    SamplingParams(SamplingSettings),
    MaxTokens(usize),
    Stop(Vec<String>),
    IgnoreEos(bool),
    PromptLookup(bool),
    Appearance(Appearance),
    Probabilities(bool),
    Trace(TraceMode),
    TraceAll(bool),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: "demo".into(),
            recent: Vec::new(),
            tokenizer: None,
            dtype: None,
            context_size: None,
            sampling: SamplingSettings::default(),
            max_tokens: 256,
            stop: Vec::new(),
            ignore_eos: false,
            prompt_lookup: false,
            templates: Vec::new(),
            renamed_templates: BTreeMap::new(),
            appearance: Appearance::System,
            sidebar: true,
            timings: true,
            probabilities: false,
            trace: TraceMode::Kernels,
            trace_all: false,
            draft: String::new(),
            edits: Vec::new(),
        }
    }
}

impl Settings {
    /// The template of that name; the Instruct models' own if there is none.
    pub fn template(&self, name: &str) -> ChatTemplate {
        let mut parts = Template::built_in()
            .into_iter()
            .chain(self.templates.clone());
        match parts.find(|template| template.name == name) {
            Some(template) => template.into(),
            None if name == INST => ChatTemplate::inst(),
            None => Template::instruct().into(),
        }
    }

    /// Names of the built-in templates, then of the person's own.
    pub fn template_names(&self) -> impl Iterator<Item = String> {
        let built_in = Template::built_in()
            .into_iter()
            .map(|template| template.name);
        let own = self.templates.iter().map(|template| template.name.clone());
        built_in.chain([INST.to_owned()]).chain(own)
    }

    pub fn set(&mut self, setting: Setting) {
        match setting {
            Setting::Dtype(name) => self.dtype = name,
            Setting::ContextSize(size) => self.context_size = size,
            Setting::SamplingParams(sampling) => self.sampling = sampling,
            Setting::MaxTokens(most) => self.max_tokens = most,
            Setting::Stop(texts) => self.stop = texts,
            Setting::IgnoreEos(ignores) => self.ignore_eos = ignores,
            Setting::PromptLookup(looks) => self.prompt_lookup = looks,
            Setting::Appearance(appearance) => self.appearance = appearance,
            Setting::Probabilities(shows) => self.probabilities = shows,
            Setting::Trace(mode) => self.trace = mode,
            Setting::TraceAll(all) => self.trace_all = all,
        }
    }

    pub fn dtype(&self) -> Option<Dtype> {
        let name = self.dtype.as_deref()?;
        Dtype::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Remembers that conversations which name one template are to use another.
    pub fn template_renamed(&mut self, from: &str, to: &str) {
        for name in self.renamed_templates.values_mut() {
            if name == from {
                to.clone_into(name);
            }
        }
        self.renamed_templates.insert(from.into(), to.into());
        self.renamed_templates.retain(|from, to| from != to);
    }

    /// Puts a model that loaded at the top of those to offer again.
    pub fn remember(&mut self, model: &str) {
        self.recent.retain(|other| other != model);
        self.recent.insert(0, model.to_owned());
        self.recent.truncate(MOST_RECENT);
    }
}
