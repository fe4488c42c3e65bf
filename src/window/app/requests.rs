//! What the engine is asked for. All commands are sent from here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{App, LoadRequest};
use crate::dtype::Dtype;
use crate::engine::{Command, Load, Prompt, Request};
use crate::error::Error;
use crate::generate::{GenerateOptions, PromptLookup, Speculation, clock_seed};
use crate::model::LoadOptions;
use crate::text::Role;
use crate::trace::{TraceMode, TracePlan};
use crate::window::action::BannerId;
use crate::window::catalog::AUTOMATIC;
use crate::window::conversation::Mode;
use crate::window::running::{Offered, Running, Writing};
use crate::window::state::{Banner, ModelState};

/// How much slower the model may get for being timed.
const TRACE_BUDGET: f64 = 0.04;

/// Alternatives to keep with every token.
const ALTERNATIVES: usize = 6;

impl App {
    pub(super) fn load(&mut self, model: &str) {
        let asked = self.state.settings.dtype();
        let dtype = asked.or_else(|| self.automatic_dtype(model));
        self.load_as(model, dtype);
    }

    /// Tries a model again in fewer bits, if it did not fit and the person has asked for no format. Returns whether that is so.
    pub(super) fn load_smaller(&mut self, error: &Error) -> bool {
        let is_automatic = self.state.settings.dtype().is_none();
        if !is_automatic || !matches!(error, Error::OutOfMemory { .. }) {
            return false;
        }
        let mut formats = AUTOMATIC
            .into_iter()
            .skip_while(|dtype| *dtype != self.load.dtype);
        let Some(Some(dtype)) = formats.nth(1) else {
            return false;
        };
        let model = self.load.model.clone();
        let text = format!("`{model}` did not fit. It is loaded as {dtype}, which takes less.");
        self.load_as(&model, Some(dtype));
        self.state.tell(Banner::note(BannerId::LoadedSmaller, text));
        true
    }

    fn load_as(&mut self, model: &str, dtype: Option<Dtype>) {
        self.stop();
        self.cancel_loading();
        let id = self.load.id + 1;
        let load = LoadRequest {
            id,
            model: model.to_owned(),
            dtype,
            cancel: Arc::default(),
        };
        let before = std::mem::replace(&mut self.load, load);
        self.earlier.push((before.id, before.model));
        self.is_recovering = false;
        let (choices, settings) = (&self.state.load, &self.state.settings);
        let options = LoadOptions {
            device: choices.device.clone(),
            dtype,
            context_limit: settings.context_size,
            cancel: Some(Arc::clone(&self.load.cancel)),
            tuning_cache: choices.tuning_cache.clone(),
            ..LoadOptions::default()
        };
        // The demo brings its own; random weights get the one of the command line, if they get any.
        let tokenizer = match model {
            "demo" => None,
            _ if model.starts_with("shape:") => choices.tokenizer.as_ref(),
            _ => choices.tokenizer.as_ref().or(settings.tokenizer.as_ref()),
        };
        self.engine.send(Command::Load(Box::new(Load {
            id,
            model: model.to_owned(),
            tokenizer: tokenizer.cloned(),
            tokenizer_repo: settings.tokenizer_repo.clone(),
            // Gigabytes are fetched for those who ask for them, not for whoever opens the window.
            local: self.may_fall_back,
            options,
        })));
        self.state.model = ModelState::loading(model);
        self.state.dismiss(BannerId::LoadFailed);
        self.state.dismiss(BannerId::LoadCancelled);
        self.state.dismiss(BannerId::LoadedSmaller);
        self.state.dismiss(BannerId::Pulled);
    }

    pub(super) fn cancel_loading(&self) {
        self.load.cancel.store(true, Ordering::Relaxed);
    }

    /// Ends what the model is writing.
    pub(super) fn stop(&mut self) {
        if self.state.is_busy() {
            self.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Has the model write to the end of each of `messages` of the current conversation, which continue `prompt`. With several the seed
    /// of each is one more than that of the one before.
    pub(super) fn generate(
        &mut self,
        messages: &[usize],
        prompt: &Prompt,
        forced: Vec<(u32, f32)>,
    ) {
        self.state.dismiss(BannerId::TurnsLeftOut);
        self.state.dismiss_notes();
        let state = &mut self.state;
        let settings = &state.settings;
        let mut stop = settings.stop.clone();
        if state.conversation().mode == Mode::Chat {
            stop.extend_from_slice(state.template().stop());
        }
        if !state.has_tokenizer() {
            // There is no text in which they could be found.
            stop.clear();
        }
        self.cancel = Arc::new(AtomicBool::new(false));
        let own = state.info().map(|info| info.sampling.clone());
        let sampling = settings
            .sampling
            .over(own.unwrap_or_default(), clock_seed());
        let options = GenerateOptions {
            max_tokens: Some(settings.max_tokens),
            sampling,
            stop,
            stop_strings: state
                .info()
                .map_or_else(Vec::new, |info| info.stop_strings.clone()),
            ignore_eos: settings.ignore_eos,
            speculation: settings
                .prompt_lookup
                .then(|| Speculation::PromptLookup(PromptLookup::default())),
            top_logprobs: ALTERNATIVES,
            cancel: Some(Arc::clone(&self.cancel)),
            ..GenerateOptions::default()
        };
        let trace = match settings.timings {
            true => settings.trace,
            false => TraceMode::Off,
        };
        let mut answers = Vec::new();
        for (i, message) in (0..).zip(messages) {
            self.requests += 1;
            answers.push(Writing::new(self.requests, *message));
            let mut options = options.clone();
            let seed = &mut options.sampling.seed;
            *seed = seed.wrapping_add(i);
            self.engine.send(Command::Generate(Box::new(Request {
                id: self.requests,
                prompt: prompt.clone(),
                given: forced.iter().map(|(id, _)| *id).collect(),
                options,
                trace: TracePlan {
                    mode: trace,
                    pause: Arc::clone(&self.pause),
                    budget: (!settings.trace_all).then_some(TRACE_BUDGET),
                },
            })));
        }
        let conversation = state.conversation();
        let (id, name) = (conversation.id.clone(), conversation.name().to_owned());
        state.timings.begin(&name, &id, trace);
        state.running = Some(Running {
            conversation: id.clone(),
            answers,
            has_tokenizer: state.has_tokenizer(),
            forced: forced.into_iter().map(|(_, logprob)| logprob).collect(),
        });
        state.offered = (messages.len() > 1).then(|| Offered {
            conversation: id,
            messages: messages.to_vec(),
        });
    }

    /// Adds `count` answers after `parent`, and has the model write them together.
    pub(super) fn answers(&mut self, parent: Option<usize>, count: usize) {
        self.write_after(parent, "", Vec::new(), count);
    }

    /// Adds an answer after `parent` that begins with `text` and then the `forced` tokens, and has the model write it.
    pub(super) fn answer(&mut self, parent: Option<usize>, text: &str, forced: Vec<(u32, f32)>) {
        self.write_after(parent, text, forced, 1);
    }

    fn write_after(
        &mut self,
        parent: Option<usize>,
        text: &str,
        forced: Vec<(u32, f32)>,
        count: usize,
    ) {
        self.views.chat.scroll_to_end();
        let template = self.state.template();
        let conversation = self.conversation_mut();
        let messages: Vec<usize> = (0..count)
            .map(|_| conversation.add(parent, Role::Assistant, text))
            .collect();
        let Some(first) = messages.first().copied() else {
            return;
        };
        // What follows goes on from this one, unless another is chosen.
        conversation.choose(first);
        let end = if text.is_empty() { parent } else { Some(first) };
        match conversation.prompt(&template, end) {
            Ok(prompt) => self.generate(&messages, &prompt, forced),
            Err(error) => {
                for message in messages {
                    conversation.discard_if_empty(message);
                }
                self.tell_failure(&error);
            }
        }
    }

    pub(super) fn pause_timing(&mut self, is_paused: bool) {
        self.pause.store(is_paused, Ordering::Relaxed);
        self.state.timings.is_paused = is_paused;
    }

    /// Has the adapter measured that the model is on, unless that was done.
    pub(super) fn measure(&mut self) {
        if self.state.timings.needs_peaks() {
            self.engine.send(Command::Measure);
        }
    }
}
