//! What is shown of a conversation as one text: for the model, and for people.

use super::mode::Mode;
use super::tree::Conversation;
use crate::engine::{Chat, Prompt};
use crate::error::Error;
use crate::text::{ChatTemplate, Role, Turn};

impl Conversation {
    /// What the model is to continue; `end` is the last message that counts.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`].
    pub fn prompt(&self, template: &ChatTemplate, end: Option<usize>) -> Result<Prompt, Error> {
        self.prompt_with(template, end, "")
    }

    /// As [`Conversation::prompt`], with something more that the person says, if that is not empty.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`].
    pub fn prompt_with(
        &self,
        template: &ChatTemplate,
        end: Option<usize>,
        more: &str,
    ) -> Result<Prompt, Error> {
        let shown = self
            .path
            .iter()
            .take_while(|at| end.is_some_and(|end| **at <= end));
        let messages = shown.map(|at| &self.messages[*at]);
        if self.mode == Mode::Completion {
            let texts = messages.map(|message| message.text.as_str());
            let text: String = texts.chain([more]).collect();
            return Ok(text.into());
        }
        let told = self.system.trim();
        let told = (!told.is_empty()).then(|| Turn::new(Role::System, told));
        let said = messages.map(|message| Turn::new(message.role, message.text.as_str()));
        let more = (!more.trim().is_empty()).then(|| Turn::new(Role::User, more.trim()));
        let turns: Vec<Turn> = told.into_iter().chain(said).chain(more).collect();
        Ok(Prompt {
            text: template.text(&turns)?,
            chat: Some(Chat {
                template: template.clone(),
                turns,
            }),
        })
    }

    /// What is shown, as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n", self.name());
        if !self.system.trim().is_empty() {
            text += &format!("\n**System**\n\n{}\n", self.system.trim());
        }
        if self.mode == Mode::Completion {
            text.push('\n');
        }
        for at in &self.path {
            let message = &self.messages[*at];
            match (self.mode, message.role) {
                (Mode::Completion, _) => text += &message.text,
                (Mode::Chat, Role::Assistant) => {
                    text += &format!("\n**Assistant**\n\n{}\n", message.text);
                }
                (Mode::Chat, _) => text += &format!("\n**You**\n\n{}\n", message.text),
            }
        }
        text + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Template;

    #[test]
    fn the_prompt_is_what_is_shown_up_to_a_message() {
        let mut c = Conversation::new("1".into(), Mode::Chat, "Instruct".into());
        c.system = " Be brief. ".into();
        let question = c.add(None, Role::User, "Hi");
        let answer = c.add(Some(question), Role::Assistant, "Hel");
        let template = ChatTemplate::from(Template::instruct());
        let asked = "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\n";
        assert_eq!(c.prompt(&template, Some(question)).unwrap(), asked);
        assert_eq!(
            c.prompt(&template, Some(answer)).unwrap(),
            format!("{asked}Hel")
        );
        c.mode = Mode::Completion;
        assert_eq!(c.prompt(&template, Some(answer)).unwrap(), "HiHel");
    }
}
