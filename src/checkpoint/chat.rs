//! What a model's folder says about chats: `chat_template.jinja`, and `tokenizer_config.json` with a template and the spelling of special
//! tokens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::read::read_bounded;
use crate::error::{Error, Result};
use crate::utf8;

pub(super) const TEMPLATE: &str = "chat_template.jinja";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";

/// Those files.
pub const CHAT_FILES: [&str; 2] = [TEMPLATE, TOKENIZER_CONFIG];

/// `tokenizer_config.json` can list a whole vocabulary.
const MOST_BYTES: u64 = 16 << 20;

/// A chat template as a model brings it, and what it is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatFiles {
    /// The template's source, and the file that it is in.
    pub template: Option<(PathBuf, String)>,
    /// How special tokens are spelled, by what templates call them: `bos_token`, `eos_token` and so on.
    pub tokens: BTreeMap<String, String>,
}

impl ChatFiles {
    /// Reads what there is in `folder`. A template with a file of its own counts more than one in `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Config`], or [`Error::Checkpoint`] for what is no file.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut files = match read(&folder.join(TOKENIZER_CONFIG))? {
            Some((path, bytes)) => Self::parse(&bytes, path)?,
            None => Self::default(),
        };
        // Older tokenizers have their special tokens in a file of their own.
        if let Some((path, bytes)) = read(&folder.join(SPECIAL_TOKENS))? {
            for (name, token) in Self::parse(&bytes, path)?.tokens {
                files.tokens.entry(name).or_insert(token);
            }
        }
        if let Some((path, bytes)) = read(&folder.join(TEMPLATE))? {
            let text =
                utf8::text(bytes).map_err(|error| Error::config(&path, error.to_string()))?;
            files.template = Some((path, text));
        }
        Ok(files)
    }

    /// A `tokenizer_config.json`.
    fn parse(json: &[u8], path: PathBuf) -> Result<Self> {
        let fields: Map<String, Value> = serde_json::from_slice(json)
            .map_err(|error| Error::config(&path, error.to_string()))?;
        let spelled = |(name, value): (&String, &Value)| {
            // A token is a text, or an object with one.
            let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
            name.ends_with("_token")
                .then(|| (name.clone(), text.to_owned()))
        };
        let template = match fields.get("chat_template") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Array(templates)) => default_of(templates),
            Some(Value::Object(templates)) => {
                let default = templates.get("default");
                default.and_then(Value::as_str).map(str::to_owned)
            }
            Some(_) => {
                let what = "`chat_template` is neither a text nor several with names";
                return Err(Error::config(&path, what));
            }
        };
        Ok(Self {
            tokens: fields.iter().filter_map(spelled).collect(),
            template: template.map(|text| (path, text)),
        })
    }
}

/// Of several templates, the one for plain chats.
fn default_of(templates: &[Value]) -> Option<String> {
    let field = |template: &Value, name| Some(template.get(name)?.as_str()?.to_owned());
    let mut templates = templates.iter();
    let default =
        templates.find(|template| field(template, "name").as_deref() == Some("default"))?;
    field(default, "template")
}

/// A file's path and bytes, if it is there.
fn read(path: &Path) -> Result<Option<(PathBuf, Vec<u8>)>> {
    match path.exists() {
        true => Ok(Some((path.to_owned(), read_bounded(path, MOST_BYTES)?))),
        false => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<ChatFiles> {
        ChatFiles::parse(json.as_bytes(), "tokenizer_config.json".into())
    }

    fn template(json: &str) -> Option<String> {
        parse(json).unwrap().template.map(|(_, text)| text)
    }

    #[test]
    fn a_template_is_a_text_or_the_default_of_a_list() {
        assert_eq!(template(r#"{"chat_template": "a"}"#).as_deref(), Some("a"));
        let list = r#"{"chat_template": [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]}"#;
        assert_eq!(template(list).as_deref(), Some("d"));
        let named = r#"{"chat_template": {"tools": "t", "default": "d"}}"#;
        assert_eq!(template(named).as_deref(), Some("d"));
        for none in [
            "{}",
            r#"{"chat_template": null}"#,
            r#"{"chat_template": []}"#,
            r#"{"chat_template": {}}"#,
            r#"{"chat_template": {"tools": "t"}}"#,
            r#"{"chat_template": [1, {"name": "tools", "template": "t"}]}"#,
        ] {
            assert_eq!(template(none), None, "{none}");
        }
        for wrong in ["", "[]", "{", r#"{"chat_template": 1}"#] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.starts_with("tokenizer_config.json: "), "{error}");
        }
    }

    #[test]
    fn tokens_are_texts_or_objects_with_one() {
        let tokens = parse(
            r#"{"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": null, "add_bos_token": true, "model_max_length": 5}"#,
        );
        let tokens: Vec<(String, String)> = tokens.unwrap().tokens.into_iter().collect();
        let expected = [("bos_token", "<s>"), ("eos_token", "</s>")];
        assert_eq!(
            tokens,
            expected.map(|(name, text)| (name.to_owned(), text.to_owned()))
        );
    }

    #[test]
    fn a_file_of_its_own_counts_more() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            ChatFiles::read(folder.path()).unwrap(),
            ChatFiles::default()
        );
        let write =
            |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            TOKENIZER_CONFIG,
            br#"{"chat_template": "a", "eos_token": "x"}"#,
        );
        write(TEMPLATE, b"b");
        write(
            SPECIAL_TOKENS,
            br#"{"eos_token": "y", "unk_token": {"content": "<unk>"}}"#,
        );
        let files = ChatFiles::read(folder.path()).unwrap();
        assert_eq!(
            files.template.unwrap(),
            (folder.path().join(TEMPLATE), "b".to_owned())
        );
        assert_eq!(files.tokens["eos_token"], "x");
        assert_eq!(files.tokens["unk_token"], "<unk>");
        write(TEMPLATE, b"\xff");
        let error = ChatFiles::read(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains(TEMPLATE) && error.contains("UTF-8"),
            "{error}"
        );
    }
}
