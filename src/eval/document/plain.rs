//! Tasks whose prompts are templates filled in.

use super::parts::Document;
use crate::error::Result;
use crate::eval::data::Row;
use crate::eval::like::Like;
use crate::eval::python::{strip, strip_start};

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

pub fn arc(row: &Row) -> Result<Document> {
    let question = format!("Question: {}\nAnswer:", row.text("question")?);
    let answers = row.texts("choices.text")?;
    let labels = row.names("choices.label")?;
    let key = row.name("answerKey")?;
    if answers.len() != labels.len() {
        return Err(row.wrong(format!(
            "`choices` has {} texts and {} labels",
            answers.len(),
            labels.len()
        )));
    }
    let gold = labels.iter().position(|label| *label == key);
    let gold = gold.ok_or_else(|| {
        row.wrong(format!(
            "`answerKey` is \"{key}\", which is none of the labels"
        ))
    })?;
    Ok(Document::new(question, owned(&answers), gold))
}

pub fn boolq(row: &Row) -> Result<Document> {
    let (passage, question) = (row.text("passage")?, row.text("question")?);
    let question = format!("{passage}\nQuestion: {question}?\nAnswer:");
    Ok(Document::new(
        question,
        owned(&["no", "yes"]),
        row.choice("label", 0, 2)?,
    ))
}

pub fn crows_pairs(row: &Row) -> Result<Document> {
    let sentences = [row.text("sent_more")?, row.text("sent_less")?];
    Ok(Document::new(String::new(), owned(&sentences), 0))
}

pub fn mmlu(row: &Row) -> Result<Document> {
    let choices = row.texts("choices")?;
    let [a, b, c, d] = choices[..] else {
        return Err(row.wrong(format!(
            "`choices` has {} texts; 4 were expected",
            choices.len()
        )));
    };
    let question = strip(row.text("question")?);
    let question = format!("{question}\nA. {a}\nB. {b}\nC. {c}\nD. {d}\nAnswer:");
    let gold = row.choice("answer", 0, 4)?;
    Ok(Document::new(question, owned(&["A", "B", "C", "D"]), gold))
}

pub fn piqa(row: &Row) -> Result<Document> {
    let question = format!("Question: {}\nAnswer:", row.text("goal")?);
    let answers = [row.text("sol1")?, row.text("sol2")?];
    Ok(Document::new(
        question,
        owned(&answers),
        row.choice("label", 0, 2)?,
    ))
}

pub fn sciq(row: &Row) -> Result<Document> {
    let support = strip_start(row.text("support")?);
    let question = format!("{support}\nQuestion: {}\nAnswer:", row.text("question")?);
    let names = [
        "distractor1",
        "distractor2",
        "distractor3",
        "correct_answer",
    ];
    let answers: Result<Vec<String>> = names
        .iter()
        .map(|name| Ok(row.text(name)?.to_owned()))
        .collect();
    Ok(Document::new(question, answers?, 3))
}

/// The questions that all prompts begin with come from the task, which reads them once.
pub fn truthfulqa(row: &Row, like: Like) -> Result<Document> {
    let question = format!("\n\nQ: {}\nA:", row.text("question")?);
    let answers = row.texts("mc2_targets.choices")?;
    let mut truths = row.flags("mc2_targets.labels")?;
    if answers.len() != truths.len() || answers.is_empty() {
        return Err(row.wrong(format!(
            "`mc2_targets` has {} choices and {} labels",
            answers.len(),
            truths.len()
        )));
    }
    if !like.truth_by_label() {
        let first_false = truths.iter().position(|is_true| !is_true);
        let first_false = first_false.ok_or_else(|| row.wrong("no label of `mc2_targets` is 0"))?;
        truths
            .iter_mut()
            .skip(first_false)
            .for_each(|is_true| *is_true = false);
    }
    let document = Document::new(question, owned(&answers), 0);
    Ok(Document { truths, ..document })
}

pub fn winogrande(row: &Row) -> Result<Document> {
    let sentence = row.text("sentence")?;
    let Some((before, after)) = sentence.split_once('_') else {
        return Err(row.wrong("`sentence` has no blank, which is written `_`"));
    };
    let question =
        |option: &str| -> Result<String> { Ok(format!("{before}{}", row.text(option)?)) };
    let rest = strip(after);
    Ok(Document {
        questions: vec![question("option1")?, question("option2")?],
        answers: owned(&[rest, rest]),
        gold: row.choice("answer", 1, 2)?,
        truths: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_may_be_numbers() {
        let row = |labels: &str, key: &str| {
            let json = format!(
                r#"{{"question":"q","choices":{{"text":["a","b"],"label":{labels}}},"answerKey":{key}}}"#
            );
            Row {
                path: std::path::Path::new("arc.jsonl").into(),
                number: 1,
                fields: serde_json::from_str(&json).unwrap(),
            }
        };
        for (labels, key) in [
            (r#"["A","B"]"#, r#""B""#),
            ("[1,2]", "2"),
            (r#"["1","2"]"#, "2"),
        ] {
            assert_eq!(arc(&row(labels, key)).unwrap().gold, 1, "{labels}");
        }
        assert!(arc(&row("[1,2]", "3")).is_err());
    }
}
