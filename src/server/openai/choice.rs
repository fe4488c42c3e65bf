//! A text on its way to a client: what has become certain of it, with those of its tokens that belong to it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::logprobs::Entry;
use super::offsets::Offsets;
use super::prompt::Prompt;
use super::spelling::Spelling;
use crate::generate::{Finish, PromptToken, Text, Token};

/// What is to be known of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The prompt before the text.
    pub echo: bool,
    /// Its tokens, for their ids or log-probabilities.
    pub tokens: bool,
}

/// A text on its way.
pub struct Choice {
    pub prompt: Arc<Prompt>,
    wanted: Wanted,
    spelling: Arc<Spelling>,
    has_opened: bool,
    has_ended: bool,
    /// Characters that were given out.
    chars: usize,
    /// Tokens whose text has not been given out.
    entries: VecDeque<Entry>,
    offsets: Offsets,
    /// Tokens that were generated.
    pub generated: usize,
    /// Ids of its prompt that were there already.
    pub cached: Option<usize>,
}

/// What is new of a text.
#[derive(Debug, Default, PartialEq)]
pub struct News {
    pub text: String,
    /// The tokens that it is the text of.
    pub entries: Vec<Entry>,
    /// Nothing comes after it; why, unless it was cancelled.
    pub end: Option<Option<&'static str>>,
}

impl Choice {
    pub fn new(prompt: Arc<Prompt>, wanted: Wanted, spelling: Arc<Spelling>) -> Self {
        let has_text = |id: &u32| !spelling.piece(*id).is_silent();
        let is_before = !wanted.echo && prompt.ids.iter().any(has_text);
        Self {
            prompt,
            wanted,
            spelling,
            has_opened: false,
            has_ended: false,
            chars: 0,
            entries: VecDeque::new(),
            offsets: Offsets::behind(is_before),
            generated: 0,
            cached: None,
        }
    }

    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether ids of the prompt are to be shown with scores that never came, because the text has ended before.
    pub fn lacks_scores(&self, text: &Text) -> bool {
        let scored = self.prompt.ids.len().saturating_sub(1);
        self.wanted.echo && text.ids.is_empty() && text.prompt_logprobs.len() < scored
    }

    /// Its turn has come.
    pub fn begin(&mut self, cached: usize) {
        self.cached = Some(cached);
    }

    /// What comes before all else; nothing the second time. `scores` are those of the prompt's ids from the second on, where they were
    /// asked for.
    pub fn open(&mut self, scores: Vec<PromptToken>) -> Option<News> {
        if std::mem::replace(&mut self.has_opened, true) {
            return None;
        }
        if !self.wanted.echo {
            return Some(News::default());
        }
        let prompt = Arc::clone(&self.prompt);
        if self.wanted.tokens {
            let mut scores = scores.into_iter();
            for (index, id) in prompt.ids.iter().enumerate() {
                let score = if index > 0 { scores.next() } else { None };
                let score = score.filter(|score| score.id == *id);
                let (logprob, is_greedy, top) = match score {
                    Some(score) => (Some(score.logprob), score.is_greedy, score.top),
                    None => (None, false, Vec::new()),
                };
                self.entries.push_back(Entry {
                    id: *id,
                    is_prompt: true,
                    is_first: self.offsets.is_first(),
                    logprob,
                    is_greedy,
                    top,
                    offset: 0,
                });
                let is_shown = index > 0 || !prompt.has_silent_bos;
                self.offsets.push(self.spelling.piece(*id), is_shown);
            }
            self.offsets.go_on();
        }
        let text = prompt.shown(&self.spelling);
        Some(self.give(text))
    }

    /// A token has come.
    pub fn push(&mut self, token: Token) -> News {
        self.generated += 1;
        if self.wanted.tokens {
            let best = token.top.first();
            self.entries.push_back(Entry {
                id: token.id,
                is_prompt: false,
                is_first: self.offsets.is_first(),
                logprob: Some(token.logprob),
                is_greedy: best.is_none_or(|best| best.id == token.id),
                top: token.top,
                offset: 0,
            });
            self.offsets.push(self.spelling.piece(token.id), false);
        }
        self.give(token.text)
    }

    /// It has ended.
    pub fn end(&mut self, text: &Text) -> News {
        self.has_ended = true;
        self.generated = text.ids.len();
        self.offsets.settle();
        let mut news = News::default();
        while let Some(mut entry) = self.entries.pop_front() {
            let offset = self.offsets.take_before(usize::MAX);
            // What a stop string has cut off has no text.
            entry.offset = offset.unwrap_or(self.chars).min(self.chars);
            news.entries.push(entry);
        }
        news.end = Some(reason(text.finish));
        news
    }

    /// Gives out text, with the tokens that it has a part of.
    fn give(&mut self, text: String) -> News {
        self.chars += text.chars().count();
        // Without a tokenizer there is no text to wait for.
        let end = if self.spelling.has_text() {
            self.chars
        } else {
            usize::MAX
        };
        if end == usize::MAX {
            self.offsets.settle();
        }
        let mut entries = Vec::new();
        while let Some(offset) = self.offsets.take_before(end)
            && let Some(mut entry) = self.entries.pop_front()
        {
            entry.offset = offset;
            entries.push(entry);
        }
        News {
            text,
            entries,
            end: None,
        }
    }
}

/// Why a text has ended, as OpenAI's API says it; `None` for one that was cut off.
fn reason(finish: Option<Finish>) -> Option<&'static str> {
    match finish? {
        Finish::Eos | Finish::Stop => Some("stop"),
        Finish::Length | Finish::Context | Finish::Time => Some("length"),
        Finish::Cancelled | Finish::Error => None,
    }
}
