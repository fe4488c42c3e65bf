//! Chats to prompts: turns of a conversation to what a model was trained to continue, of a length that its context has room for.

use std::path::Path;
use std::sync::LazyLock;

use super::jinja::Jinja;
use super::prompt::ChatPrompt;
use super::stand_ins::{Hide, StandIns};
use super::template::Template;
use super::tokenizer::Tokenizer;
use super::turn::{Role, Turn};
use crate::error::Result;

/// Whether a model's name, or its folder, says that it was tuned for chats, as `OpenELM-270M-Instruct` does.
pub fn is_instruct(model: &Path) -> bool {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_owned();
    // In a cache of the hub a model's folder bears the name of a commit, and lies two below that of the repository.
    let named = match model.parent() {
        Some(parent) if name(parent) == "snapshots" => parent.parent().unwrap_or(model),
        _ => model,
    };
    let name = name(named).to_string_lossy().to_lowercase();
    name.contains("instruct")
}

/// How turns are written.
#[derive(Debug, Clone)]
pub enum ChatTemplate {
    /// What stands around the words of each turn.
    Parts(Template),
    /// A program that writes them.
    Jinja(Jinja),
}

/// A prompt that leaves room for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    pub ids: Vec<u32>,
    /// How many of the oldest turns had to be left out.
    pub left_out: usize,
}

impl From<Template> for ChatTemplate {
    fn from(template: Template) -> Self {
        Self::Parts(template)
    }
}

impl From<Jinja> for ChatTemplate {
    fn from(template: Jinja) -> Self {
        Self::Jinja(template)
    }
}

impl ChatTemplate {
    /// Questions between `[INST]` and `[/INST]`, as Llama 2's chat models were tuned on them.
    pub fn inst() -> Self {
        static INST: LazyLock<Option<Jinja>> = LazyLock::new(|| {
            let tokens = [("bos_token", "<s>"), ("eos_token", "</s>")];
            let tokens = tokens.map(|(name, token)| (name.to_owned(), token.to_owned()));
            Jinja::new(
                Path::new("[INST]"),
                include_str!("inst.jinja"),
                &tokens.into(),
            )
            .ok()
        });
        // A test sees to it that there is nothing wrong with it.
        INST.clone()
            .map_or_else(|| Template::plain().into(), Self::Jinja)
    }

    /// What it is called, or the file that it came from.
    pub fn name(&self) -> String {
        match self {
            Self::Parts(template) => template.name.clone(),
            Self::Jinja(template) => template.path().display().to_string(),
        }
    }

    /// Generation ends before one of these.
    pub fn stop(&self) -> &[String] {
        match self {
            Self::Parts(template) => &template.stop,
            Self::Jinja(_) => &[],
        }
    }

    /// The text for what the assistant says next. If the last turn is the assistant's, that turn is left open to be continued.
    ///
    /// # Errors
    /// [`crate::Error::ChatTemplate`].
    pub fn text(&self, turns: &[Turn]) -> Result<String> {
        match (self, turns.split_last()) {
            (Self::Parts(template), _) => Ok(template.render(turns)),
            (Self::Jinja(template), Some((last, before))) if last.role == Role::Assistant => {
                Ok(template.render(before)? + &last.text)
            }
            (Self::Jinja(template), _) => template.render(turns),
        }
    }

    /// As [`ChatTemplate::text`], with what was said kept apart from what the template wrote itself.
    ///
    /// # Errors
    /// [`crate::Error::ChatTemplate`]; [`crate::Error::Text`] for a conversation of nothing but characters of private use.
    pub fn prompt(&self, turns: &[Turn], tokenizer: &Tokenizer) -> Result<ChatPrompt> {
        let texts = turns.iter().map(|turn| &*turn.text);
        let source = match self {
            Self::Parts(_) => "",
            Self::Jinja(template) => template.source(),
        };
        let stand_ins = StandIns::new(tokenizer.specials(), texts.chain([source]))?;
        let hidden = stand_ins.hide(turns, Hide::All);
        let prompt = stand_ins.reveal(&self.text(&hidden)?);
        if hidden == turns {
            return Ok(prompt);
        }
        let text = self.text(turns)?;
        if prompt.text() == text {
            return Ok(prompt);
        }
        // The template looks for characters that are not there now.
        let hidden = stand_ins.hide(turns, Hide::Spelled);
        let prompt = stand_ins.reveal(&self.text(&hidden)?);
        // Where that, too, changes the text, it need not be done if what was said makes no special token in it.
        let plain = ChatPrompt {
            text,
            said: Vec::new(),
        };
        let is_harmless = tokenizer.own_ids(&plain) == tokenizer.own_ids(&prompt);
        match prompt.text != plain.text && is_harmless {
            true => Ok(plain),
            false => Ok(prompt),
        }
    }

    /// The ids of a prompt with room for an answer of `max_tokens`, or at least for a quarter of the context. Where there is none, the oldest
    /// turns are left out, a question and what followed it at a time; what the assistant was told beforehand stays, and so does the last
    /// question, even if it alone is too long.
    ///
    /// # Errors
    /// Those of [`ChatTemplate::prompt`] and [`Tokenizer::encode_chat`].
    pub fn fit(
        &self,
        turns: &[Turn],
        tokenizer: &Tokenizer,
        context_size: usize,
        max_tokens: Option<usize>,
    ) -> Result<Fitted> {
        let answer = max_tokens
            .unwrap_or(usize::MAX)
            .clamp(1, (context_size / 4).max(1));
        let most = context_size.saturating_sub(answer);
        let told = turns
            .iter()
            .take_while(|turn| turn.role == Role::System)
            .count();
        let (told, said) = turns.split_at(told);
        let from = |begin: usize| -> Result<Fitted> {
            let kept = [told, &said[begin..]].concat();
            let ids = tokenizer.encode_chat(&self.prompt(&kept, tokenizer)?)?;
            Ok(Fitted {
                ids,
                left_out: begin,
            })
        };
        let whole = from(0)?;
        let questions = said
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, turn)| turn.role == Role::User);
        let begins: Vec<usize> = questions.map(|(at, _)| at).collect();
        let Some(last) = begins
            .len()
            .checked_sub(1)
            .filter(|_| whole.ids.len() > most)
        else {
            return Ok(whole);
        };
        // The less is left out, the longer it is: halves find the first that fits.
        let (mut low, mut high) = (0, last);
        let mut best = None;
        while low < high {
            let middle = low.midpoint(high);
            let fitted = from(begins[middle])?;
            if fitted.ids.len() <= most {
                (high, best) = (middle, Some(fitted));
            } else {
                low = middle + 1;
            }
        }
        match best {
            Some(fitted) if fitted.left_out == begins[high] => Ok(fitted),
            _ => from(begins[high]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_folder_tells_who_chats() {
        assert!(is_instruct(Path::new("/models/OpenELM-270M-Instruct")));
        assert!(!is_instruct(Path::new("/instruct/OpenELM-270M")));
        assert!(!is_instruct(Path::new("demo")));
        let snapshot = |name| format!("/hub/models--apple--{name}/snapshots/f00d");
        assert!(is_instruct(Path::new(&snapshot("OpenELM-3B-Instruct"))));
        assert!(!is_instruct(Path::new(&snapshot("OpenELM-3B"))));
    }
}
