//! The chat template that a model brings along.

use std::collections::BTreeMap;
use std::path::Path;

use super::model::ModelFiles;
use crate::checkpoint::ChatFiles;
use crate::error::Result;
use crate::text::Jinja;

impl ModelFiles {
    /// The template that the model's files bring: `chat_template.jinja`, what `tokenizer_config.json` has, or what is in a GGUF file; `None` if
    /// they have none.
    ///
    /// # Errors
    /// [`crate::Error::ChatTemplate`] for one that is malformed, or whatever is wrong with the files.
    pub fn chat_template(&self) -> Result<Option<Jinja>> {
        let ChatFiles { template, tokens } = self.chat_files()?;
        match template {
            Some((path, source)) => Ok(Some(Jinja::new(&path, &source, &self.spelled(tokens))?)),
            None => Ok(None),
        }
    }

    /// A Jinja template from elsewhere, with this model's special tokens. What is wrong with the model's own files about chats does not matter then.
    ///
    /// # Errors
    /// [`crate::Error::ChatTemplate`].
    pub fn jinja(&self, path: &Path, source: &str) -> Result<Jinja> {
        let tokens = self.chat_files().map(|files| files.tokens);
        Jinja::new(path, source, &self.spelled(tokens.unwrap_or_default()))
    }

    /// Adds how the tokenizer spells begin and end of a text, where the files do not say.
    fn spelled(&self, mut tokens: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let config = self.config();
        let tokenizer = self.require_tokenizer().ok();
        for (name, id) in [
            ("bos_token", Some(&config.bos_token_id)),
            ("eos_token", config.eos_token_ids.first()),
        ] {
            let token = tokenizer
                .zip(id)
                .and_then(|(tokenizer, id)| tokenizer.token(*id));
            if let Some(token) = token {
                tokens.entry(name.to_owned()).or_insert(token);
            }
        }
        tokens
    }
}
