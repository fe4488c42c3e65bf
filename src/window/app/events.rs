//! What has happened: events of the engine, answers of dialogs, files written.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::actions::Action;
use super::{App, ModelState, Running};
use crate::engine::{Command, Event, ModelInfo, Stage};
use crate::error::Error;
use crate::generate::{Finish, Timing};
use crate::text::is_instruct;
use crate::window::banner::Banner;
use crate::window::conversation::{Mode, Stats};
use crate::window::settings::SamplingSettings;
use crate::window::store;

/// The model that is always there.
const DEMO: &str = "demo";

const DEVICE_LOST: &str = "The GPU device was lost";

impl App {
    pub(super) fn loaded(&mut self, info: Box<ModelInfo>) {
        if !self.settings.sampling.own {
            self.settings.sampling = SamplingSettings::from(&info.sampling);
        }
        if !self.has_fallen_back {
            self.settings.remember(&self.asked);
            self.settings.model.clone_from(&self.asked);
        }
        for warning in &info.warnings {
            self.tell(Banner::note("About this model", warning));
        }
        if self.is_recovering {
            self.is_recovering = false;
            self.banners.retain(|banner| banner.title != DEVICE_LOST);
            self.tell(Banner::note(
                "Recovered",
                "The device is open and the model loaded again; what was written so far is kept.",
            ));
        }
        // Cancelled too late: that must not end a load of the same model after the device was lost.
        self.load_cancel.store(false, Ordering::Relaxed);
        let is_instruct = is_instruct(Path::new(&info.name));
        let is_first = !std::mem::replace(&mut self.has_loaded, true);
        let conversation = &mut self.conversations[self.current];
        // A draft from before the start is no reason to leave a chat model a text.
        if conversation.is_untouched() && (is_first || self.chat.draft.is_empty()) {
            conversation.set_mode(if is_instruct {
                Mode::Chat
            } else {
                Mode::Completion
            });
        }
        self.earlier.clear();
        self.may_fall_back = false;
        self.timings.model_loaded(&info);
        if self.timings.needs_peaks() {
            self.engine.send(Command::Measure);
        }
        self.counted = None;
        self.model = ModelState::Ready(info);
    }

    /// `kept` is the load whose model is still there, and what that is.
    pub(super) fn load_failed(&mut self, error: &Error, kept: Option<(u64, Box<ModelInfo>)>) {
        self.is_recovering = false;
        self.model = ModelState::None;
        let mut state = "No model is loaded now.".to_owned();
        let has_kept = kept.is_some();
        if let Some((load, info)) = kept {
            let mut earlier = std::mem::take(&mut self.earlier).into_iter();
            self.asked = match earlier.find(|(id, _)| *id == load) {
                Some((_, asked)) => asked,
                None => info.name.clone(),
            };
            self.load = load;
            state = format!("`{}` is still here.", info.name);
            self.timings.model_loaded(&info);
            self.counted = None;
            self.model = ModelState::Ready(info);
        }
        let falls_back = std::mem::take(&mut self.may_fall_back)
            && !has_kept
            && self.asked != DEMO
            && !matches!(
                error,
                Error::Cancelled | Error::NoAdapter { .. } | Error::NoDevice { .. }
            );
        if falls_back {
            "The demo takes its place.".clone_into(&mut state);
        }
        let banner = match error {
            Error::Cancelled => Banner::note("Loading was cancelled", state),
            _ => {
                let mut banner = Banner::error("The model could not be loaded", error);
                banner.text += &format!(" {state}");
                banner
            }
        };
        if falls_back {
            self.has_fallen_back = true;
            self.load(DEMO);
        }
        self.tell(banner.with_fix("Choose a model", Action::ShowModels));
    }

    /// Takes in everything that has happened since the last call.
    pub(super) fn take_events(&mut self) {
        while let Some(event) = self.engine.poll() {
            self.take_event(event);
        }
        while let Ok(answer) = self.answers.1.try_recv() {
            self.take_answer(answer);
        }
        let saved: Vec<store::Saved> = self.store.saved().collect();
        for saved in saved {
            self.take_saved(saved);
        }
    }

    pub(super) fn take_event(&mut self, event: Event) {
        match event {
            // Of a load that another has replaced.
            Event::Loading { load, .. }
            | Event::Loaded { load, .. }
            | Event::LoadFailed { load, .. }
            | Event::DeviceLost { load, .. }
                if load != self.load => {}
            Event::Loading {
                stage, done, total, ..
            } => {
                if let ModelState::Loading {
                    stage: s,
                    done: d,
                    total: t,
                    ..
                } = &mut self.model
                {
                    (*s, *d, *t) = (stage, done, total);
                }
            }
            Event::Loaded { info, .. } => self.loaded(info),
            Event::LoadFailed { error, kept, .. } => self.load_failed(&error, kept),
            Event::DeviceLost { error, .. } => {
                self.is_recovering = true;
                self.model = ModelState::Loading {
                    name: self.asked.clone(),
                    stage: Stage::Upload,
                    done: 0,
                    total: 0,
                };
                self.tell(Banner::error(DEVICE_LOST, &error));
            }
            Event::Stopped => {
                self.running = None;
                self.model = ModelState::None;
                let text = "Its thread ended by a mistake of this program (please report it). What was written is kept; \
                            close the window and open it again.";
                self.tell(Banner::problem("The engine has stopped", text));
            }
            Event::Prompt {
                request,
                done,
                total,
            } => {
                if let Some(running) = self.running_request(request) {
                    running.prompt = (done, total);
                }
            }
            Event::Token { request, token } => {
                let Some(running) = self.running_request(request) else {
                    return;
                };
                running.tokens += 1;
                running.first_token.get_or_insert_with(Instant::now);
                let (id, message) = (running.conversation.clone(), running.message);
                let has_tokenizer = running.has_tokenizer;
                self.timings.token(&token);
                let mut token = *token;
                if !has_tokenizer {
                    token.token.text.clone_from(&token.piece);
                }
                if let Some(conversation) = self.conversations.iter_mut().find(|c| c.id == id) {
                    conversation.append(message, token);
                    self.dirty.insert(id);
                }
            }
            Event::Step(step) => self.timings.step(*step),
            Event::Finished {
                request,
                finish,
                timing,
                positions,
            } => self.finished(request, Some(finish), timing, positions),
            Event::Failed { request, error } => {
                self.finished(request, None, Timing::default(), self.positions);
                if matches!(error, Error::DeviceLost(_)) {
                    // What follows says more.
                    return;
                }
                let mut banner = Banner::error("The model could not go on", &error);
                if matches!(error, Error::NoTokenizer { .. }) {
                    banner = banner.with_fix("Find a tokenizer", Action::ShowModels);
                }
                self.tell(banner);
            }
            Event::Counted(count) => self.positions = count,
            Event::Measured(peaks) => self.timings.set_peaks(peaks),
        }
    }

    fn running_request(&mut self, request: u64) -> Option<&mut Running> {
        self.running
            .as_mut()
            .filter(|running| running.request == request)
    }

    /// Ends what is running; `finish` is `None` after an error.
    pub(super) fn finished(
        &mut self,
        request: u64,
        finish: Option<Finish>,
        timing: Timing,
        positions: usize,
    ) {
        let Some(running) = self.running.take_if(|running| running.request == request) else {
            return;
        };
        let model = self.info().map_or_else(String::new, |info| {
            format!("{} {} on {}", info.name, info.dtype, info.adapter.name)
        });
        let name = match finish {
            Some(Finish::Eos) => "eos",
            Some(Finish::Stop) => "stop",
            Some(Finish::Length) => "length",
            Some(Finish::Context) => "context",
            Some(Finish::Cancelled) => "cancelled",
            Some(Finish::Error) | None => "error",
        };
        let stats = Stats {
            model,
            prompt_tokens: timing.prefill_tokens,
            prompt_s: timing.prefill.as_secs_f64(),
            first_token_s: timing.first_token.as_secs_f64(),
            tokens: running.tokens,
            decode_tokens: timing.decode_tokens,
            decode_s: timing.decode.as_secs_f64(),
            finish: name.to_owned(),
        };
        if let Some(conversation) = self
            .conversations
            .iter_mut()
            .find(|conversation| conversation.id == running.conversation)
        {
            conversation.set_stats(running.message, stats);
            if matches!(finish, None | Some(Finish::Cancelled)) {
                // An answer that never came would be part of the next prompt.
                conversation.discard_if_empty(running.message);
            }
            self.dirty.insert(running.conversation);
        }
        self.positions = positions;
        self.counted = None;
        // What is finished is saved at once.
        self.last_save = None;
        if finish == Some(Finish::Context) {
            self.tell(
                Banner::note(
                    "The context is full",
                    "The model has no further positions, so it stopped. Regenerate or edit an earlier message to go on from there, or begin \
                     something new.",
                )
                .with_fix("Begin something new", Action::New(self.conversation().mode)),
            );
        }
    }
}
