//! What the model is writing, and answers that were written together and wait to be chosen from: plain data.

use std::time::Instant;

/// What the model is writing: one answer, or several to one prompt.
#[derive(Debug)]
pub struct Running {
    /// Id of the conversation.
    pub conversation: String,
    /// Those that have not ended.
    pub answers: Vec<Writing>,
    /// Whether the model that writes them has a tokenizer.
    pub has_tokenizer: bool,
    /// Log-probabilities of the tokens that they begin with, which the person picked.
    pub forced: Vec<f32>,
}

/// An answer that is being written.
#[derive(Debug)]
pub struct Writing {
    /// Which request it is: what belongs to others is of no interest.
    pub request: u64,
    pub message: usize,
    /// Prompt tokens whose keys and values were there already.
    pub kept: usize,
    /// Prompt tokens computed, of all that had to be.
    pub prompt: (usize, usize),
    /// Tokens of the answer, and how many of them were picked by the person: those are a part of the prompt.
    pub tokens: usize,
    pub given: usize,
    pub first_token: Option<Instant>,
}

impl Writing {
    pub fn new(request: u64, message: usize) -> Self {
        Self {
            request,
            message,
            kept: 0,
            prompt: (0, 0),
            tokens: 0,
            given: 0,
            first_token: None,
        }
    }

    fn positions(&self) -> usize {
        self.kept + self.prompt.1 + self.generated()
    }

    /// Tokens that the model wrote.
    pub fn generated(&self) -> usize {
        self.tokens - self.given
    }
}

impl Running {
    pub fn answer(&self, request: u64) -> Option<&Writing> {
        self.answers.iter().find(|answer| answer.request == request)
    }

    pub fn answer_mut(&mut self, request: u64) -> Option<&mut Writing> {
        let mut answers = self.answers.iter_mut();
        answers.find(|answer| answer.request == request)
    }

    /// Positions in use by the answer that has come furthest; `None` until its prompt is known.
    pub fn positions(&self) -> Option<usize> {
        let positions = self.furthest()?.positions();
        (positions > 0).then_some(positions)
    }

    /// The answer that has come furthest: the prompt is computed for one of them alone.
    pub fn furthest(&self) -> Option<&Writing> {
        let answers = self.answers.iter();
        answers.max_by_key(|answer| answer.positions())
    }

    /// Tokens a second, of all answers together; `None` while there is no telling yet.
    pub fn rate(&self) -> Option<f64> {
        let begun = self.answers.iter().filter_map(|answer| answer.first_token);
        let seconds = begun.min()?.elapsed().as_secs_f64();
        let tokens = self.answers.iter();
        let tokens: usize = tokens
            .map(|answer| answer.generated().saturating_sub(1))
            .sum();
        (tokens > 0 && seconds > 0.2).then(|| tokens as f64 / seconds)
    }
}

/// Answers that were asked for together, until one of them is chosen.
#[derive(Debug)]
pub struct Offered {
    /// Id of the conversation.
    pub conversation: String,
    pub messages: Vec<usize>,
}
