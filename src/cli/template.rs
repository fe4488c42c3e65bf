//! Which chat template a chat uses.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use openelm::ModelFiles;
use openelm::text::{ChatTemplate, Template, is_instruct};

use super::files::read_text_file;

/// No template is this long.
const MOST_BYTES: u64 = 1 << 20;

/// A template as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateChoice {
    /// The one that the model brings along.
    Model,
    Instruct,
    Inst,
    Plain,
    Questions,
    File(PathBuf),
}

impl TemplateChoice {
    const NAMED: [(&'static str, Self); 5] = [
        ("model", Self::Model),
        ("instruct", Self::Instruct),
        ("inst", Self::Inst),
        ("plain", Self::Plain),
        ("questions", Self::Questions),
    ];

    /// What a model that knows chats gets where nobody chose; none for one that continues texts.
    ///
    /// # Errors
    /// Whatever is wrong with the model's own.
    pub fn of_model(files: &ModelFiles, model: &str) -> Result<Option<Self>> {
        // The folder's own name, wherever it lies.
        let path = std::path::absolute(model).unwrap_or_default();
        Ok(match files.chat_template()? {
            Some(_) => Some(Self::Model),
            None => is_instruct(&path).then_some(Self::Instruct),
        })
    }

    /// The same, wherever the program is started next time.
    pub fn lasting(self) -> Self {
        match self {
            Self::File(path) => Self::File(std::path::absolute(&path).unwrap_or(path)),
            named => named,
        }
    }

    /// The template itself.
    ///
    /// # Errors
    /// What is wrong with it, or that there is none.
    pub fn template(&self, files: &ModelFiles) -> Result<ChatTemplate> {
        Ok(match self {
            Self::Model => match files.chat_template()? {
                Some(template) => template.into(),
                None => bail!("this model brings no chat template; --template takes another one"),
            },
            Self::Instruct => Template::instruct().into(),
            Self::Inst => ChatTemplate::inst(),
            Self::Plain => Template::plain().into(),
            Self::Questions => Template::questions().into(),
            Self::File(path) => {
                let source = read_text_file(path, MOST_BYTES)
                    .context("cannot use the template; --template takes another one")?;
                files.jinja(path, &source)?.into()
            }
        })
    }
}

impl FromStr for TemplateChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, choice)) = Self::NAMED.into_iter().find(|(name, _)| *name == text) {
            return Ok(choice);
        }
        let path = Path::new(text);
        let is_path = path.extension().is_some() || path.components().count() > 1 || path.exists();
        match is_path {
            true => Ok(Self::File(path.to_owned())),
            false => Err(format!(
                "there are {}, and files that end in .jinja",
                Self::NAMED.map(|(name, _)| name).join(", ")
            )),
        }
    }
}

impl std::fmt::Display for TemplateChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut named = Self::NAMED.iter();
        match (self, named.find(|(_, choice)| choice == self)) {
            (Self::File(path), _) => write!(f, "{}", path.display()),
            (_, Some((name, _))) => f.write_str(name),
            (_, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "model",
            "instruct",
            "inst",
            "plain",
            "questions",
            "my.jinja",
            "a/b",
        ] {
            assert_eq!(text.parse::<TemplateChoice>().unwrap().to_string(), text);
        }
        let error = "qustions".parse::<TemplateChoice>().unwrap_err();
        assert!(
            error.contains("questions") && error.contains(".jinja"),
            "{error}"
        );
    }
}
