//! What a row becomes.

use crate::eval::data::Identity;
use crate::eval::spec::Spec;

/// What is asked about a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What comes before the answer: one for all choices, or one for each.
    pub questions: Vec<String>,
    /// What is scored, without the delimiter before it.
    pub answers: Vec<String>,
    /// Index of the right answer.
    pub gold: usize,
    /// Which answers are true, for TruthfulQA.
    pub truths: Vec<bool>,
}

/// A row as an example for other rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Question and right answer.
    pub text: String,
    pub identity: Identity,
}

impl Document {
    /// One question for all answers.
    pub fn new(question: String, answers: Vec<String>, gold: usize) -> Self {
        Self {
            questions: vec![question],
            answers,
            gold,
            truths: Vec::new(),
        }
    }

    /// The question that belongs to an answer.
    pub fn question(&self, answer: usize) -> &str {
        let question = self.questions.get(answer).or(self.questions.first());
        question.map_or("", String::as_str)
    }

    /// The question with its right answer.
    pub fn solved(&self, spec: &Spec) -> String {
        let answer = self.answers.get(self.gold).map_or("", String::as_str);
        format!("{}{}{answer}", self.question(self.gold), spec.delimiter)
    }
}
