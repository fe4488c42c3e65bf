//! A row as questions and answers: one file for tasks that need more than to be filled in.

mod hellaswag;
mod plain;
mod race;

use super::data::{Identity, Row};
use super::like::Like;
use super::spec::{Form, Spec};
use crate::error::Result;

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
    fn new(question: String, answers: Vec<String>, gold: usize) -> Self {
        Self {
            questions: vec![question],
            answers,
            gold,
            truths: Vec::new(),
        }
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`crate::Error::EvalData`] if a field is missing, or is not what it should be.
    pub fn read(row: &Row, form: Form, like: Like) -> Result<Self> {
        match form {
            Form::Arc => plain::arc(row),
            Form::BoolQ => plain::boolq(row),
            Form::CrowsPairs => plain::crows_pairs(row),
            Form::HellaSwag => hellaswag::read(row),
            Form::Mmlu => plain::mmlu(row),
            Form::Piqa => plain::piqa(row),
            Form::Race => race::read(row, like),
            Form::SciQ => plain::sciq(row),
            Form::TruthfulQa => plain::truthfulqa(row, like),
            Form::WinoGrande => plain::winogrande(row),
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
