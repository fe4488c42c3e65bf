//! What happens to the texts of a request, to an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::value::{RawValue, to_raw_value};

use super::super::api_error::ApiError;
use super::super::event::Event;
use super::choice::{Choice, News, Wanted};
use super::context::{Context, now};
use super::json::json;
use super::logprobs::{Content, Entry, Lists};
use super::prompt::Prompt;
use super::settings::Settings;
use super::spelling::Spelling;
use super::wire::{self, Answer, Delta, Logprobs, Message, PromptDetails, Said, Usage};
use crate::generate::Finish;

/// Which endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Completion,
    Chat,
}

/// Makes an answer of what happens to the texts of a request, in whatever order it happens.
pub struct Reply {
    form: Form,
    is_stream: bool,
    has_usage: bool,
    has_ids: bool,
    /// How many of the most probable tokens are named at each place; `None`: log-probabilities are not wanted.
    logprobs: Option<usize>,
    /// Texts for each prompt.
    n: usize,
    id: String,
    created: u64,
    model: String,
    spelling: Arc<Spelling>,
    states: Vec<State>,
    /// Bytes of the texts that are done, and the most that there may be, where the answer is to come as a whole.
    done_bytes: usize,
    most_bytes: usize,
}

/// A text, and what was kept of it.
struct State {
    choice: Choice,
    kept: News,
    /// The whole of it, in the end.
    done: Option<Box<RawValue>>,
    /// Whether a piece was sent, which tells of the prompt's ids.
    has_sent: bool,
}

/// What an answer has beside the texts.
pub struct Extras {
    pub form: Form,
    /// How many of the most probable tokens are named at each place; `None`: log-probabilities are not wanted.
    pub logprobs: Option<usize>,
    /// The prompt before each text.
    pub echo: bool,
}

impl Reply {
    /// For as many texts of each prompt as `settings` say.
    pub fn new(
        context: &Context,
        settings: &Settings,
        prompts: Vec<Prompt>,
        extras: &Extras,
    ) -> Self {
        let wanted = Wanted {
            echo: extras.echo,
            tokens: extras.logprobs.is_some() || settings.has_ids,
        };
        let prompts = prompts.into_iter().map(Arc::new);
        let texts = prompts.flat_map(|prompt| std::iter::repeat_n(prompt, settings.n));
        let states = texts.map(|prompt| State {
            choice: Choice::new(prompt, wanted, Arc::clone(&context.spelling)),
            kept: News::default(),
            done: None,
            has_sent: false,
        });
        Self {
            form: extras.form,
            is_stream: settings.is_stream,
            has_usage: settings.has_usage,
            has_ids: settings.has_ids,
            logprobs: extras.logprobs,
            n: settings.n,
            id: id(extras.form),
            created: now(),
            model: context.name.clone(),
            spelling: Arc::clone(&context.spelling),
            states: states.collect(),
            done_bytes: 0,
            most_bytes: context.limits.answer_bytes,
        }
    }

    /// Takes what happened to the text of number `index`. Returns the pieces of JSON that can be sent now, each an event of the stream;
    /// nothing where the answer is to come as a whole.
    ///
    /// # Errors
    /// Why a text has failed, and the answer with it.
    pub fn event(&mut self, index: usize, event: Event) -> Result<Vec<String>, ApiError> {
        let form = self.form;
        let Some(state) = self.states.get_mut(index) else {
            return Ok(Vec::new());
        };
        let choice = &mut state.choice;
        if choice.has_ended() {
            return Ok(Vec::new());
        }
        let mut news = Vec::new();
        let mut open = |choice: &mut Choice, scores| news.extend(choice.open(scores));
        match event {
            Event::Begun { cached } => {
                choice.begin(cached);
                if form == Form::Chat {
                    open(choice, Vec::new());
                }
            }
            Event::Prompt(scores) => open(choice, scores),
            Event::Token(token) => {
                open(choice, Vec::new());
                news.push(choice.push(token));
            }
            Event::Ended(text) => {
                let text = text.map_err(|error| ApiError::from(&error))?;
                let is_cut = text.finish == Some(Finish::Time) && choice.lacks_scores(&text);
                if is_cut && self.logprobs.is_some() {
                    let message =
                        "the prompt could not be scored in the time that this server gives a text";
                    return Err(ApiError::new(503, message));
                }
                open(choice, text.prompt_logprobs.clone());
                news.push(choice.end(&text));
            }
        }
        let mut pieces = Vec::new();
        for news in news {
            match self.is_stream {
                true => pieces.extend(self.piece(index, &news)),
                false => self.keep(index, news)?,
            }
        }
        Ok(pieces)
    }

    /// Whether all texts have ended.
    pub fn is_done(&self) -> bool {
        self.states.iter().all(|state| state.choice.has_ended())
    }

    /// When all texts have ended: the whole answer, or the last piece of a stream, which may have none.
    pub fn end(mut self) -> Option<String> {
        let usage = Some(Some(self.usage()));
        if self.is_stream {
            return self.has_usage.then(|| json(&self.answer(&[], usage, None)));
        }
        let choices = self.states.iter_mut();
        let choices: Vec<Box<RawValue>> = choices.filter_map(|state| state.done.take()).collect();
        let prompt_ids = self
            .states
            .first()
            .and_then(|state| self.chat_prompt(state));
        Some(json(&self.answer(&choices, usage, prompt_ids)))
    }

    /// Keeps news for an answer that comes as a whole.
    ///
    /// # Errors
    /// 400 where that becomes too large.
    fn keep(&mut self, index: usize, news: News) -> Result<(), ApiError> {
        let Some(state) = self.states.get_mut(index) else {
            return Ok(());
        };
        state.kept.text += &news.text;
        state.kept.entries.extend(news.entries);
        if let Some(reason) = news.end {
            let kept = std::mem::take(&mut state.kept);
            let said = match self.form {
                Form::Completion => Said::Text(&kept.text),
                Form::Chat => Said::Message(Message::new(&kept.text)),
            };
            let done = self.choice(index, said, &kept.entries, reason, true);
            self.done_bytes += done.as_ref().map_or(0, |done| done.get().len());
            let most = self.most_bytes;
            if self.done_bytes > most {
                let message = format!(
                    "the answer has more than the {most} bytes that this server makes of one; ask for fewer texts or log-probabilities, \
                     or for a stream"
                );
                return Err(ApiError::new(400, message));
            }
            if let Some(state) = self.states.get_mut(index) {
                state.done = done;
            }
        }
        Ok(())
    }

    /// A piece of a stream; `None` where there is nothing to say.
    fn piece(&mut self, index: usize, news: &News) -> Option<String> {
        let form = self.form;
        let state = self.states.get_mut(index)?;
        let is_first = !state.has_sent;
        let is_role = is_first && form == Form::Chat;
        // Nothing more is sent of a text that was cut off.
        let reason = match news.end {
            Some(None) => return None,
            end => end.flatten(),
        };
        let is_empty = news.text.is_empty() && news.entries.is_empty();
        if is_empty && reason.is_none() && !is_role {
            return None;
        }
        state.has_sent = true;
        let said = match form {
            Form::Completion => Said::Text(&news.text),
            Form::Chat => Said::Delta(Delta {
                role: is_role.then_some("assistant"),
                content: (is_role || !news.text.is_empty()).then_some(news.text.as_str()),
            }),
        };
        let choice = self.choice(index, said, &news.entries, reason, is_first)?;
        let usage = self.has_usage.then_some(None);
        let state = self.states.get(index).filter(|_| is_first);
        let prompt_ids = state.and_then(|state| self.chat_prompt(state));
        Some(json(&self.answer(&[choice], usage, prompt_ids)))
    }

    /// A text, or a piece of it.
    fn choice(
        &self,
        index: usize,
        said: Said<'_>,
        entries: &[Entry],
        finish_reason: Option<&'static str>,
        is_first: bool,
    ) -> Option<Box<RawValue>> {
        let spelling = &self.spelling;
        let logprobs = self.logprobs.map(|top| match self.form {
            Form::Completion => Logprobs::Lists(Lists::new(entries, top, spelling)),
            Form::Chat => Logprobs::Content(Content::new(entries, top, spelling)),
        });
        let state = self.states.get(index)?;
        let is_told = self.has_ids && is_first && self.form == Form::Completion;
        to_raw_value(&wire::Choice {
            index,
            said,
            logprobs: logprobs.filter(|_| !self.is_stream || !entries.is_empty()),
            finish_reason,
            prompt_token_ids: is_told.then_some(state.choice.prompt.ids.as_slice()),
            token_ids: self.has_ids.then(|| generated(entries)),
        })
        .ok()
    }

    /// The ids of a chat's prompt, where they are told.
    fn chat_prompt<'a>(&self, state: &'a State) -> Option<&'a [u32]> {
        let is_told = self.has_ids && self.form == Form::Chat;
        is_told.then_some(state.choice.prompt.ids.as_slice())
    }

    fn answer<'a>(
        &'a self,
        choices: &'a [Box<RawValue>],
        usage: Option<Option<Usage>>,
        prompt_token_ids: Option<&'a [u32]>,
    ) -> Answer<'a> {
        Answer {
            id: &self.id,
            object: match (self.form, self.is_stream) {
                (Form::Completion, _) => "text_completion",
                (Form::Chat, false) => "chat.completion",
                (Form::Chat, true) => "chat.completion.chunk",
            },
            created: self.created,
            model: &self.model,
            choices,
            usage,
            prompt_token_ids,
        }
    }

    fn usage(&self) -> Usage {
        let (mut prompt_tokens, mut cached_tokens) = (0, 0);
        for texts in self.states.chunks(self.n) {
            let prompt = texts
                .first()
                .map_or(0, |state| state.choice.prompt.ids.len());
            // The first of a prompt's texts to begin finds what was there before the request.
            let cached = texts.iter().filter_map(|state| state.choice.cached).min();
            prompt_tokens += prompt;
            cached_tokens += cached.unwrap_or(0);
        }
        let generated = self.states.iter().map(|state| state.choice.generated);
        let completion_tokens: usize = generated.sum();
        Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            prompt_tokens_details: PromptDetails { cached_tokens },
        }
    }
}

fn generated(entries: &[Entry]) -> Vec<u32> {
    let entries = entries.iter().filter(|entry| !entry.is_prompt);
    entries.map(|entry| entry.id).collect()
}

/// A name for an answer that no other has.
fn id(form: Form) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_nanos() as u64);
    let prefix = match form {
        Form::Completion => "cmpl",
        Form::Chat => "chatcmpl",
    };
    format!("{prefix}-{now:016x}{count:08x}")
}
