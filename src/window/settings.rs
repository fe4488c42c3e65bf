//! What the window remembers from one day to the next.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::sampling::{self, Preset, SamplingSettings};
use super::timings::Tab;
use crate::dtype::Dtype;
use crate::text::{ChatTemplate, Template};
use crate::trace::TraceMode;

/// Name of [`ChatTemplate::inst`].
pub const INST: &str = "[INST]";

/// The least and the most that everything is larger than designed.
pub const ZOOM: (f32, f32) = (0.7, 2.0);
/// Characters of a preset's name.
const MOST_NAME: usize = 40;

/// The most answers that are asked for together.
pub const MOST_ANSWERS: usize = 4;

/// Texts to recall, and the most bytes of one.
const MOST_SENT: usize = 50;
const MOST_RECALLED: usize = 4000;

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

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// As for `openelm -m`.
    pub model: String,
    /// Models loaded before, latest first.
    pub recent: Vec<String>,
    pub tokenizer: Option<PathBuf>,
    /// A repository on the hub whose tokenizer comes with models of the hub; `None`: Llama 2's own.
    pub tokenizer_repo: Option<String>,
    /// Name of the weights' format; `None`: as stored.
    pub dtype: Option<String>,
    pub context_size: Option<usize>,
    pub sampling: SamplingSettings,
    /// Sampling that was kept for a model, by what the model is loaded by.
    pub model_sampling: BTreeMap<String, SamplingSettings>,
    /// Sampling that the person has given names.
    pub presets: Vec<Preset>,
    pub max_tokens: usize,
    /// How many answers are written together.
    pub answers: usize,
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
    /// How much larger everything is than designed.
    #[serde(deserialize_with = "sampling::finite")]
    pub zoom: f32,
    /// Width and height of the window in the system's points, when it was last neither as large as the screen nor out of sight.
    pub size: Option<[f32; 2]>,
    pub is_maximized: bool,
    /// How wide panels are, by name, in points.
    pub panels: BTreeMap<String, u16>,
    /// The view of the timings, and the one beside it.
    pub tab: Tab,
    pub beside: Tab,
    /// What was written but not sent where there is no conversation yet.
    pub draft: String,
    /// What was written but not sent in conversations.
    pub drafts: Vec<Draft>,
    /// What was sent last, latest first.
    pub sent: Vec<String>,
    /// Messages that were being edited.
    pub edits: Vec<Edit>,
}

/// A text that was written below a conversation but not sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// Id of the conversation.
    pub conversation: String,
    pub text: String,
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
    TokenizerRepo(Option<String>),
    SamplingParams(SamplingSettings),
    /// Whether the sampling in use is to be used whenever this model is loaded.
    KeepSampling(String, bool),
    /// Gives the sampling in use a name, and a system prompt with it.
    SavePreset(String, Option<String>),
    DeletePreset(String),
    /// Has one back that was deleted.
    RestorePreset(Preset),
    MaxTokens(usize),
    Answers(usize),
    Stop(Vec<String>),
    IgnoreEos(bool),
    PromptLookup(bool),
    Appearance(Appearance),
    /// How much larger everything is than designed.
    Zoom(f32),
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
            tokenizer_repo: None,
            sampling: SamplingSettings::default(),
            model_sampling: BTreeMap::new(),
            presets: Vec::new(),
            max_tokens: 256,
            answers: 1,
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
            zoom: 1.0,
            size: None,
            is_maximized: false,
            panels: BTreeMap::new(),
            tab: Tab::default(),
            beside: Tab::Layers,
            draft: String::new(),
            drafts: Vec::new(),
            sent: Vec::new(),
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
            Setting::TokenizerRepo(repo) => self.tokenizer_repo = repo,
            Setting::SamplingParams(sampling) => self.sampling = sampling,
            Setting::KeepSampling(model, true) => {
                self.model_sampling.insert(model, self.sampling.clone());
            }
            Setting::KeepSampling(model, false) => {
                self.model_sampling.remove(&model);
            }
            Setting::SavePreset(name, system) => self.save_preset(&name, system),
            Setting::RestorePreset(preset) => {
                self.presets.retain(|other| other.name != preset.name);
                self.presets.push(preset);
            }
            Setting::DeletePreset(name) => self.presets.retain(|preset| preset.name != name),
            Setting::MaxTokens(most) => self.max_tokens = most,
            Setting::Answers(count) => self.answers = count,
            Setting::Stop(texts) => self.stop = texts,
            Setting::IgnoreEos(ignores) => self.ignore_eos = ignores,
            Setting::PromptLookup(looks) => self.prompt_lookup = looks,
            Setting::Appearance(appearance) => self.appearance = appearance,
            Setting::Zoom(zoom) => self.zoom = zoom,
            Setting::Probabilities(shows) => self.probabilities = shows,
            Setting::Trace(mode) => self.trace = mode,
            Setting::TraceAll(all) => self.trace_all = all,
        }
    }

    /// How many answers to ask for, whatever the file says: one where chance has no part, since all would be the same.
    pub fn answers(&self) -> usize {
        match self.sampling.has_chance() {
            true => self.answers.clamp(1, MOST_ANSWERS),
            false => 1,
        }
    }

    /// Remembers a text that was sent, if it is one that somebody might have typed.
    pub fn was_sent(&mut self, text: &str) {
        let text = text.trim();
        if !text.is_empty() && text.len() <= MOST_RECALLED {
            self.sent.retain(|other| other != text);
            self.sent.insert(0, text.to_owned());
            self.sent.truncate(MOST_SENT);
        }
    }

    /// How much larger everything is than designed, whatever the file says.
    pub fn zoom(&self) -> f32 {
        self.zoom.clamp(ZOOM.0, ZOOM.1)
    }

    fn save_preset(&mut self, name: &str, system: Option<String>) {
        let name: String = name.trim().chars().take(MOST_NAME).collect();
        if !name.is_empty() && !Preset::is_built_in(&name) {
            self.presets.retain(|preset| preset.name != name);
            let sampling = self.sampling.clone();
            self.presets.push(Preset {
                name,
                sampling,
                system,
            });
        }
    }

    /// Takes the sampling that was kept for a model, or what it suggests. What was set by hand stays, unless that was for another model.
    pub fn choose_sampling(&mut self, model: &str, suggested: SamplingSettings) {
        let mut kept = self.model_sampling.values();
        let is_of_other = kept.any(|kept| *kept == self.sampling);
        match self.model_sampling.get(model) {
            Some(kept) => self.sampling.clone_from(kept),
            None if is_of_other => self.sampling = suggested,
            None if !self.sampling.own => {
                // A seed is the person's.
                let seed = self.sampling.seed;
                self.sampling = SamplingSettings { seed, ..suggested };
            }
            None => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_is_kept_by_model() {
        let mut settings = Settings::default();
        let suggested = |temperature| SamplingSettings {
            temperature,
            ..SamplingSettings::default()
        };
        settings.sampling.seed = Some(7);
        settings.choose_sampling("a", suggested(0.5));
        assert_eq!(settings.sampling.temperature, 0.5);
        assert_eq!(settings.sampling.seed, Some(7), "a seed is the person's");
        let own = SamplingSettings {
            own: true,
            ..suggested(1.5)
        };
        settings.set(Setting::SamplingParams(own));
        settings.choose_sampling("b", suggested(0.6));
        assert_eq!(settings.sampling.temperature, 1.5, "the person's own stays");
        settings.set(Setting::KeepSampling("b".into(), true));
        settings.choose_sampling("a", suggested(0.5));
        assert_eq!(settings.sampling.temperature, 0.5, "that was for another");
        settings.choose_sampling("b", suggested(0.6));
        assert_eq!(settings.sampling.temperature, 1.5);
        settings.set(Setting::KeepSampling("b".into(), false));
        settings.choose_sampling("a", suggested(0.5));
        assert_eq!(settings.sampling.temperature, 1.5, "now it is for any");
    }

    #[test]
    fn presets_have_names_of_their_own() {
        let mut settings = Settings::default();
        for name in ["  Mine ", "Mine", "Precise", " "] {
            settings.set(Setting::SavePreset(name.into(), Some("Be brief.".into())));
        }
        let names: Vec<&str> = settings.presets.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["Mine"]);
        assert_eq!(settings.presets[0].system.as_deref(), Some("Be brief."));
        // Those of an earlier version have none.
        let old = r#"{"name":"Old","sampling":{}}"#;
        let old: Preset = serde_json::from_str(old).unwrap();
        assert_eq!(old.system, None);
        settings.set(Setting::DeletePreset("Mine".into()));
        assert!(settings.presets.is_empty());
        let all: Vec<Preset> = Preset::built_in().collect();
        assert!(all[0].sampling.is_like(&all[0].sampling));
        assert!(!all[0].sampling.is_like(&all[1].sampling));
    }

    #[test]
    fn templates_keep_their_conversations() {
        let mut settings = Settings::default();
        settings.template_renamed("a", "b");
        settings.template_renamed("b", "c");
        let now = |settings: &Settings, name: &str| settings.renamed_templates.get(name).cloned();
        assert_eq!(now(&settings, "a").as_deref(), Some("c"));
        assert_eq!(now(&settings, "b").as_deref(), Some("c"));
        settings.template_renamed("c", "a");
        assert_eq!(now(&settings, "a"), None);
        assert_eq!(now(&settings, "b").as_deref(), Some("a"));
    }
}
