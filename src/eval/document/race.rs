//! RACE: an article with several questions, the last of which is asked and the others answered.

use serde_json::Value;

use super::parts::Document;
use crate::error::Result;
use crate::eval::data::Row;
use crate::eval::like::Like;
use crate::eval::python::parse_literal;

/// What a question with a blank at its end ends in.
const BLANK: &str = "  _  .";

pub fn read(row: &Row, like: Like) -> Result<Document> {
    let problems = problems(row)?;
    let Some((last, before)) = problems.split_last() else {
        return Err(row.wrong("`problems` is empty"));
    };
    let mut question = format!("Article: {}\n\n", row.text("article")?);
    for problem in before {
        question += &match problem.question.strip_suffix(BLANK) {
            Some(_) if like.loses_race_questions() => {
                format!("{}{}\n", &BLANK[1..], problem.right())
            }
            Some(words) => format!("{words} {}\n", problem.right()),
            None => format!(
                "Question: {}\nAnswer: {}\n",
                problem.question,
                problem.right()
            ),
        };
    }
    question += &last.question;
    Ok(Document::new(question, last.options.to_vec(), last.answer))
}

struct Problem {
    question: String,
    options: [String; 4],
    answer: usize,
}

impl Problem {
    fn right(&self) -> &str {
        self.options.get(self.answer).map_or("", String::as_str)
    }
}

/// The problems: a string that is a Python literal, or a list already.
fn problems(row: &Row) -> Result<Vec<Problem>> {
    let value = row.get("problems")?;
    let parsed = match value.as_str() {
        Some(text) => parse_literal(text.trim_start_matches([' ', '\t'])).map_err(|what| {
            row.wrong(format!(
                "`problems` is no list that Python would write: {what}"
            ))
        })?,
        None => value.clone(),
    };
    let Some(list) = parsed.as_array() else {
        return Err(row.other_kind("problems", value, "a list"));
    };
    (1..)
        .zip(list)
        .map(|(number, problem)| read_problem(row, number, problem))
        .collect()
}

fn read_problem(row: &Row, number: usize, problem: &Value) -> Result<Problem> {
    let wrong = |what: &str| row.wrong(format!("problem {number} of `problems` has no {what}"));
    let text = |name: &str| problem.get(name).and_then(Value::as_str);
    let options = problem.get("options").and_then(Value::as_array);
    // A fifth would be scored with nobody knowing.
    let options = options.filter(|options| options.len() == 4);
    let options = options.and_then(|options| {
        let mut texts = options.iter().map(Value::as_str);
        Some([
            texts.next()??,
            texts.next()??,
            texts.next()??,
            texts.next()??,
        ])
    });
    let answer = text("answer").and_then(|letter| {
        ["A", "B", "C", "D"]
            .iter()
            .position(|known| *known == letter)
    });
    Ok(Problem {
        question: text("question")
            .ok_or_else(|| wrong("text `question`"))?
            .to_owned(),
        options: options
            .ok_or_else(|| wrong("four texts `options`"))?
            .map(str::to_owned),
        answer: answer.ok_or_else(|| wrong("`answer` from A to D"))?,
    })
}
