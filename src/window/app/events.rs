//! What has happened: events of the engine, answers of dialogs, files written.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::App;
use super::dialogs::Answer;
use crate::engine::{Event, ModelInfo, Stage, TokenEvent};
use crate::error::{Error, HubError};
use crate::generate::{Finish, Timing};
use crate::text::is_instruct;
use crate::window::action::{Action, BannerId, Overlay};
use crate::window::advice::advice;
use crate::window::conversation::{Conversation, MODELS_OWN, Mode, Stats, template_for};
use crate::window::running::Writing;
use crate::window::sampling::SamplingSettings;
use crate::window::state::{Banner, ModelState};

/// The model that is always there.
const DEMO: &str = "demo";

/// How long closing waits for what the model was writing.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long it waits for each event.
const PATIENCE: Duration = Duration::from_millis(50);

/// What went wrong, and what can be done about it here.
pub(super) fn described(error: &Error) -> String {
    match advice(error) {
        Some(advice) => format!("{error}. {advice}"),
        None => format!("{error}."),
    }
}

impl App {
    /// Takes in everything that has happened since the last call.
    pub(super) fn take_events(&mut self) {
        while let Some(event) = self.engine.poll() {
            self.take_event(event);
        }
        while let Some(answer) = self.dialogs.poll() {
            self.take_answer(answer);
        }
        while let Some(outcome) = self.pictures.poll() {
            self.take_picture(outcome);
        }
        while let Some(read) = self.reading.poll() {
            self.take_read(read);
        }
        self.take_pulls();
        self.list_changes();
        self.saving.take_results(&mut self.state);
    }

    fn take_event(&mut self, event: Event) {
        match event {
            // Of a load that another has replaced.
            Event::Loading { load, .. }
            | Event::Loaded { load, .. }
            | Event::LoadFailed { load, .. }
            | Event::DeviceLost { load, .. }
                if load != self.load.id => {}
            Event::Loading {
                stage, done, total, ..
            } => {
                if let ModelState::Loading { name, .. } = &mut self.state.model {
                    self.state.model = ModelState::Loading {
                        name: std::mem::take(name),
                        is_download: stage == Stage::Download,
                        done,
                        total,
                    };
                }
            }
            Event::Loaded { info, .. } => self.loaded(info),
            Event::LoadFailed { error, kept, .. } => self.load_failed(&error, kept),
            Event::DeviceLost { error, .. } => {
                self.is_recovering = true;
                self.state.model = ModelState::loading(&self.load.model);
                self.state
                    .tell(Banner::problem(BannerId::DeviceLost, described(&error)));
            }
            Event::Stopped => {
                if let Some(running) = self.state.running.take()
                    && let Some(conversation) = self.changed_conversation(&running.conversation)
                {
                    for answer in running.answers {
                        conversation.discard_if_empty(answer.message);
                    }
                }
                self.state.model = ModelState::None;
                let text = "Its thread ended by a mistake of this program (please report it). What was written is kept; \
                            close the window and open it again.";
                self.state
                    .tell(Banner::problem(BannerId::EngineStopped, text));
            }
            Event::LeftOut { request, turns } => {
                if self.writes(request) {
                    let text = format!(
                        "The conversation is longer than the context: the model is given it without the oldest {turns} messages."
                    );
                    self.state.tell(Banner::note(BannerId::TurnsLeftOut, text));
                }
            }
            Event::Prompt {
                request,
                kept,
                done,
                total,
            } => {
                let running = self.state.running.as_mut();
                if let Some(answer) = running.and_then(|running| running.answer_mut(request)) {
                    (answer.kept, answer.prompt) = (kept, (done, total));
                }
            }
            Event::Token { request, token } => self.token(request, *token),
            Event::Step { requests, step } => self.state.timings.step(*step, requests),
            Event::Finished {
                request,
                finish,
                timing,
                positions,
            } => self.finished(request, Some(finish), timing, positions),
            Event::Failed { request, error } => {
                self.finished(request, None, Timing::default(), self.state.positions);
                // What follows the loss of a device says more.
                if !matches!(error.root(), Error::DeviceLost(_)) {
                    self.tell_failure(&error);
                }
            }
            Event::Counted { id, count } => self.take_count(id, count),
            Event::Measured { peaks, .. } => self.state.timings.set_peaks(peaks),
            Event::Notice { load, .. } if load != self.load.id => {}
            Event::Notice { text, .. } => {
                self.state.tell(Banner::note(BannerId::ModelWarning, text))
            }
        }
    }

    pub(super) fn tell_failure(&mut self, error: &Error) {
        let banner = Banner::problem(BannerId::GenerationFailed, described(error));
        self.state.tell(match error.root() {
            Error::NoTokenizer { .. } => {
                banner.with_fix("Find a tokenizer", Action::ShowOverlay(Overlay::Models))
            }
            _ => banner,
        });
    }

    fn token(&mut self, request: u64, mut token: TokenEvent) {
        let Some(running) = &mut self.state.running else {
            return;
        };
        let (id, has_tokenizer) = (running.conversation.clone(), running.has_tokenizer);
        if token.is_given {
            // Its probability is known from where it was picked.
            let answer = running.answer(request);
            let forced = answer.and_then(|answer| running.forced.get(answer.tokens));
            token.token.logprob = forced.copied().unwrap_or_default();
        }
        let Some(answer) = running.answer_mut(request) else {
            return;
        };
        answer.tokens += 1;
        match token.is_given {
            true => answer.given += 1,
            false => _ = answer.first_token.get_or_insert_with(Instant::now),
        }
        let message = answer.message;
        self.state.timings.token(request, &token);
        if !has_tokenizer {
            token.token.text.clone_from(&token.piece);
        }
        if let Some(conversation) = self.changed_conversation(&id) {
            conversation.append(message, token);
        }
    }

    /// The conversation of that id, which is to be saved afterwards.
    pub(super) fn changed_conversation(&mut self, id: &str) -> Option<&mut Conversation> {
        let mut conversations = self.state.conversations.iter_mut();
        let conversation = conversations.find(|other| other.id == id)?;
        self.saving.mark(id);
        Some(conversation)
    }

    /// Whether a request is of what is being written.
    fn writes(&self, request: u64) -> bool {
        let running = self.state.running.as_ref();
        running.is_some_and(|running| running.answer(request).is_some())
    }

    /// Takes an answer out of what is being written. Returns it with the id of its conversation.
    fn end_answer(&mut self, request: u64) -> Option<(String, Writing)> {
        let running = self.state.running.as_mut()?;
        let mut answers = running.answers.iter();
        let at = answers.position(|answer| answer.request == request)?;
        let ended = (running.conversation.clone(), running.answers.remove(at));
        if running.answers.is_empty() {
            self.state.running = None;
        }
        Some(ended)
    }

    /// Ends an answer; `finish` is `None` after an error.
    fn finished(&mut self, request: u64, finish: Option<Finish>, timing: Timing, positions: usize) {
        let Some((id, answer)) = self.end_answer(request) else {
            return;
        };
        let model = self.state.info().map_or_else(String::new, |info| {
            format!("{} {} on {}", info.name, info.dtype, info.adapter.name)
        });
        let name = match finish {
            Some(Finish::Eos) => "eos",
            Some(Finish::Stop) => "stop",
            Some(Finish::Length) => "length",
            Some(Finish::Context) => "context",
            Some(Finish::Time) => "time",
            Some(Finish::Cancelled) => "cancelled",
            Some(Finish::Error) | None => "error",
        };
        let stats = Stats {
            model,
            prompt_tokens: timing.prefill_tokens,
            prompt_s: timing.prefill.as_secs_f64(),
            first_token_s: timing.first_token.as_secs_f64(),
            tokens: answer.tokens,
            decode_tokens: timing.decode_tokens,
            decode_s: timing.decode.as_secs_f64(),
            proposed: timing.speculation.map_or(0, |all| all.proposed),
            accepted: timing.speculation.map_or(0, |all| all.accepted),
            speed_up: timing.speculation.and_then(|all| all.speed_up),
            finish: name.to_owned(),
        };
        if let Some(conversation) = self.changed_conversation(&id) {
            let before = conversation.message(answer.message).stats.as_ref();
            let stats = match before {
                Some(before) => stats.after(before),
                None => stats,
            };
            conversation.set_stats(answer.message, stats);
            if matches!(finish, None | Some(Finish::Cancelled)) {
                // An answer that never came would be part of the next prompt.
                conversation.discard_if_empty(answer.message);
            }
        }
        self.state.positions = positions;
        self.counting.forget();
        self.saving.hurry();
        if finish == Some(Finish::Context) {
            let conversation = self.state.conversation_of(&id);
            let mode = conversation.map_or(Mode::Chat, |conversation| conversation.mode);
            let text = match mode {
                Mode::Completion => {
                    "The model has no further positions, so it stopped. Regenerate or edit an earlier message to go on \
                                     from there, or begin something new."
                }
                Mode::Chat => {
                    "The answer has filled the context, so it ends here. What you write next is answered without the oldest \
                               messages."
                }
            };
            let begin = Action::New(mode);
            let banner = Banner::note(BannerId::ContextFull, text);
            self.state
                .tell(banner.with_fix("Begin something new", begin));
        }
    }

    fn loaded(&mut self, info: Box<ModelInfo>) {
        let state = &mut self.state;
        let suggested = SamplingSettings::from(&info.sampling);
        state.settings.choose_sampling(&self.load.model, suggested);
        if !self.has_fallen_back {
            state.settings.remember(&self.load.model);
            state.settings.model.clone_from(&self.load.model);
        }
        if !info.warnings.is_empty() {
            let text = info.warnings.join("\n");
            state.tell(Banner::note(BannerId::ModelWarning, text));
        }
        if self.is_recovering {
            self.is_recovering = false;
            state.dismiss(BannerId::DeviceLost);
            let text =
                "The device is open and the model loaded again; what was written so far is kept.";
            state.tell(Banner::note(BannerId::Recovered, text));
        }
        // Cancelled too late: that must not end a load of the same model after the device was lost.
        self.load.cancel.store(false, Ordering::Relaxed);
        let is_first = !std::mem::replace(&mut self.has_loaded, true);
        let has_draft = !state.draft().is_empty();
        let conversation = &mut state.conversations[state.current];
        // A draft from before the start is no reason to leave a chat model a text.
        if conversation.is_untouched() && (is_first || !has_draft) {
            let mode = match is_instruct(Path::new(&info.name)) || info.chat_template.is_some() {
                true => Mode::Chat,
                false => Mode::Completion,
            };
            let template = match (mode, &info.chat_template) {
                (Mode::Chat, Some(_)) => MODELS_OWN,
                _ => template_for(mode),
            };
            conversation.set_mode(mode, template);
        }
        self.earlier.clear();
        self.may_fall_back = false;
        self.model_is_ready(info);
        self.measure();
    }

    fn model_is_ready(&mut self, info: Box<ModelInfo>) {
        self.state.timings.model_loaded(&info);
        self.state.loaded.clone_from(&self.load.model);
        self.state.model = ModelState::Ready(info);
        self.counting.forget();
    }

    /// `kept` is the load whose model is still there, and what that is.
    fn load_failed(&mut self, error: &Error, kept: Option<(u64, Box<ModelInfo>)>) {
        self.is_recovering = false;
        let before = std::mem::take(&mut self.state.model);
        let wanted = self.load.model.clone();
        let mut outcome = "No model is loaded now.".to_owned();
        let has_kept = kept.is_some();
        if let Some((load, info)) = kept {
            let mut earlier = std::mem::take(&mut self.earlier).into_iter();
            self.load.model = match earlier.find(|(id, _)| *id == load) {
                Some((_, model)) => model,
                None => info.name.clone(),
            };
            self.load.id = load;
            outcome = format!("`{}` is still here.", info.name);
            self.model_is_ready(info);
        }
        // Before the demo takes its place: what does not fit may do so in fewer bits.
        if !has_kept && self.load_smaller(error) {
            return;
        }
        let falls_back = std::mem::take(&mut self.may_fall_back)
            && !has_kept
            && self.load.model != DEMO
            && !matches!(
                error,
                Error::Cancelled
                    | Error::NoAdapter { .. }
                    | Error::NoDevice { .. }
                    | Error::ComputesWrongly { .. }
            );
        if falls_back {
            "The demo takes its place.".clone_into(&mut outcome);
            self.has_fallen_back = true;
            self.load(DEMO);
        }
        let banner = match error {
            Error::Cancelled => Banner::note(BannerId::LoadCancelled, outcome),
            _ => Banner::problem(
                BannerId::LoadFailed,
                format!("{} {outcome}", described(error)),
            ),
        };
        let was_fetched = matches!(
            before,
            ModelState::Loading {
                is_download: true,
                ..
            }
        );
        self.state.tell(match error {
            // What has come so far is kept, so that asking again goes on from there.
            Error::Cancelled if was_fetched => banner.with_fix("Resume", Action::Load(wanted)),
            Error::Hub(HubError::Offline { .. }) => {
                banner.with_fix("Download it", Action::Load(wanted))
            }
            Error::Hub(_) => banner.with_fix("Try again", Action::Load(wanted)),
            _ => banner.with_fix("Choose a model", Action::ShowOverlay(Overlay::Models)),
        });
    }

    fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Model(folder) => self.act(Action::Load(folder.display().to_string())),
            Answer::Tokenizer(path) => {
                self.state.load.tokenizer = None;
                self.state.settings.tokenizer = Some(path);
                self.act(Action::Load(self.load.model.clone()));
            }
            Answer::Imports(paths) => self.reading.import(paths),
            Answer::Adapters(names) => self.state.adapters = Some(names),
            Answer::NoDialog => {
                let text = "Drop the file or the folder on the window; the path of a model can be typed too, and its tokenizer.json is \
                            found where it lies in that folder. (Dialogs need a desktop portal or zenity.)";
                self.state.tell(Banner::note(BannerId::NoFileDialogs, text));
            }
            Answer::Written(path, Ok(())) => {
                let banner = Banner::note(BannerId::Exported, path.display());
                self.state.tell(banner);
            }
            Answer::Written(path, Err(error)) => {
                let text = format!("{}: {error}", path.display());
                self.state
                    .tell(Banner::problem(BannerId::ExportFailed, text));
            }
        }
    }

    /// Writes everything before the window goes. Returns whether it may go.
    pub(super) fn may_close(&mut self) -> bool {
        self.finish_writing();
        self.saving.may_close(&mut self.state)
    }

    /// Stops the model and takes in what it had written.
    fn finish_writing(&mut self) {
        self.stop();
        let begin = Instant::now();
        while self.state.is_busy() && begin.elapsed() < LAST_WORDS {
            let asked = Instant::now();
            match self.engine.wait(PATIENCE) {
                Some(event) => self.take_event(event),
                // Nothing although there was time left: the engine has ended, and nothing more will come.
                None if asked.elapsed() < PATIENCE => self.take_event(Event::Stopped),
                None => {}
            }
        }
    }
}
