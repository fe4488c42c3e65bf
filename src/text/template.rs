//! Chat templates in three parts: for each role what stands around the words of a turn.

use super::turn::{Role, Turn};
use crate::error::{Error, Result};

/// Stands for the text of a turn.
const TEXT: &str = "{text}";

/// How turns are written: for each role the text of a turn, with `{text}` where its words go.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Template {
    pub name: String,
    pub system: String,
    pub user: String,
    pub assistant: String,
    /// Generation ends before one of these.
    #[serde(default)]
    pub stop: Vec<String>,
    /// Whether a conversation without a system turn gets an empty one.
    #[serde(default)]
    pub always_system: bool,
}

impl Template {
    fn new(name: &str, system: &str, user: &str, assistant: &str, stop: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            system: system.to_owned(),
            user: user.to_owned(),
            assistant: assistant.to_owned(),
            stop: stop.iter().map(|stop| (*stop).to_owned()).collect(),
            always_system: false,
        }
    }

    /// What OpenELM's Instruct models were tuned on (the Zephyr-like template of Hugging Face's alignment handbook).
    pub fn instruct() -> Self {
        Self {
            always_system: true,
            ..Self::new(
                "Instruct",
                "<|system|>\n{text}</s>\n",
                "<|user|>\n{text}</s>\n",
                "<|assistant|>\n{text}</s>\n",
                &["<|user|>"],
            )
        }
    }

    /// Turns as paragraphs, for models that only continue text.
    pub fn plain() -> Self {
        Self::new("Plain", "{text}\n\n", "{text}\n", "{text}\n", &[])
    }

    /// Questions and answers, which models without tuning often pick up.
    pub fn questions() -> Self {
        let question = "Question: {text}\n";
        Self::new(
            "Questions",
            "{text}\n\n",
            question,
            "Answer: {text}\n\n",
            &["Question:"],
        )
    }

    /// All of this kind that come with the program.
    pub fn built_in() -> [Self; 3] {
        [Self::instruct(), Self::plain(), Self::questions()]
    }

    /// # Errors
    /// [`Error::Template`] that names the part without exactly one `{text}`.
    pub fn check(&self) -> Result<()> {
        let parts = [
            ("system", &self.system),
            ("user", &self.user),
            ("assistant", &self.assistant),
        ];
        match parts
            .iter()
            .find(|(_, part)| part.matches(TEXT).count() != 1)
        {
            Some((part, _)) => Err(Error::Template {
                name: self.name.clone(),
                part,
            }),
            None => Ok(()),
        }
    }

    /// The prompt for what the assistant says next. If the last turn is the assistant's, that turn is left open to be continued.
    pub fn render(&self, turns: &[Turn]) -> String {
        let mut prompt = String::new();
        let has_system = turns.first().is_some_and(|turn| turn.role == Role::System);
        if self.always_system && !has_system {
            prompt += &self.system.replacen(TEXT, "", 1);
        }
        let (opening, _) = self.assistant.split_once(TEXT).unwrap_or_default();
        for (i, turn) in turns.iter().enumerate() {
            let part = match turn.role {
                Role::System => &self.system,
                Role::User => &self.user,
                Role::Assistant if i + 1 == turns.len() => {
                    return prompt + opening + &turn.text;
                }
                Role::Assistant => &self.assistant,
            };
            prompt += &part.replacen(TEXT, &turn.text, 1);
        }
        prompt + opening
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(role: Role, text: &str) -> Turn {
        Turn::new(role, text)
    }

    #[test]
    fn instruct_is_what_the_models_were_tuned_on() {
        let turns = [
            turn(Role::User, "Hi {text}"),
            turn(Role::Assistant, "Hello."),
            turn(Role::User, "Why?"),
        ];
        assert_eq!(
            Template::instruct().render(&turns),
            "<|system|>\n</s>\n<|user|>\nHi {text}</s>\n<|assistant|>\nHello.</s>\n<|user|>\nWhy?</s>\n<|assistant|>\n"
        );
        let with_system = [turn(Role::System, "Be brief."), turn(Role::User, "Hi")];
        assert_eq!(
            Template::instruct().render(&with_system),
            "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\n"
        );
    }

    #[test]
    fn an_open_turn_is_continued() {
        let turns = [turn(Role::User, "Hi"), turn(Role::Assistant, "Hel")];
        let prompt = Template::instruct().render(&turns);
        assert!(
            prompt.ends_with("<|user|>\nHi</s>\n<|assistant|>\nHel"),
            "{prompt}"
        );
        assert_eq!(Template::plain().render(&turns), "Hi\nHel");
    }

    #[test]
    fn a_template_needs_a_place_for_the_words() {
        for template in Template::built_in() {
            template.check().unwrap();
        }
        let mut own = Template::plain();
        own.user = "no place".into();
        let error = own.check().unwrap_err().to_string();
        assert!(error.contains("user") && error.contains("{text}"));
        own.render(&[turn(Role::User, "x")]);
    }
}
