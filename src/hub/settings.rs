//! How the hub is asked: from the environment, as Hugging Face's own library reads it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cache::{Cache, home, path_variable};
use super::name::{ModelId, printable};
use crate::error::{Error, HubError, Result};

/// The hub, unless HF_ENDPOINT names another.
const ENDPOINT: &str = "https://huggingface.co";

/// How the hub is asked, and where what it gives is kept.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Address of the hub, without a `/` at its end.
    pub endpoint: String,
    pub cache: Cache,
    pub token: Option<Token>,
    /// A file of certificates to trust in place of those built in, for networks with a proxy that decrypts.
    pub certificates: Option<PathBuf>,
    /// Whether only the cache may be used.
    pub offline: bool,
    /// Where a tokenizer is found for models that have none; `None`: Llama 2's own repository, or a known copy that is in the cache.
    pub tokenizer_repo: Option<ModelId>,
    /// How long a server may say nothing.
    pub timeout: Duration,
    /// How long to wait before asking again; twice as long each time.
    pub retry_delay: Duration,
}

impl Settings {
    /// HF_ENDPOINT; HF_HUB_CACHE or HF_HOME; HF_TOKEN (once HUGGING_FACE_HUB_TOKEN), or the file HF_TOKEN_PATH, or `token` in HF_HOME, unless
    /// HF_HUB_DISABLE_IMPLICIT_TOKEN says that none of them is sent unasked; HF_HUB_OFFLINE, else TRANSFORMERS_OFFLINE; SSL_CERT_FILE.
    ///
    /// # Errors
    /// [`HubError::Name`] for an endpoint or a token that is none; [`HubError::NoCacheFolder`].
    pub fn from_env() -> Result<Self> {
        let token = variable("HF_TOKEN").or_else(|| variable("HUGGING_FACE_HUB_TOKEN"));
        let file = path_variable("HF_TOKEN_PATH").or_else(|| Some(home()?.join("token")));
        let is_kept =
            variable("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(|value| is_true(&value));
        let token = match (token, file) {
            _ if is_kept => None,
            (Some(token), _) => Some(Token::new(&token)?),
            (None, Some(file)) => Token::read(&file)?,
            (None, None) => None,
        };
        // The first that is set counts: `0` in it is an answer.
        let offline = variable("HF_HUB_OFFLINE").or_else(|| variable("TRANSFORMERS_OFFLINE"));
        Ok(Self {
            token,
            certificates: variable("SSL_CERT_FILE").map(PathBuf::from),
            offline: offline.is_some_and(|value| is_true(&value)),
            ..Self::new(
                variable("HF_ENDPOINT").as_deref().unwrap_or(ENDPOINT),
                Cache::from_env()?,
            )?
        })
    }

    /// # Errors
    /// [`HubError::Name`] for an endpoint that is no address.
    pub fn new(endpoint: &str, cache: Cache) -> Result<Self> {
        let address = endpoint.trim_end_matches('/');
        let host = ["https://", "http://"]
            .into_iter()
            .find_map(|scheme| address.strip_prefix(scheme));
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || "@?#".contains(c);
        if host.is_none_or(|host| host.is_empty() || host.contains(is_odd)) {
            return Err(HubError::Name {
                name: printable(endpoint),
                kind: "endpoint",
                what: "HF_ENDPOINT is the address of a hub, such as https://huggingface.co",
            }
            .into());
        }
        Ok(Self {
            endpoint: address.to_owned(),
            cache,
            token: None,
            certificates: None,
            offline: false,
            tokenizer_repo: None,
            timeout: Duration::from_secs(30),
            retry_delay: Duration::from_millis(500),
        })
    }
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

fn is_true(value: &str) -> bool {
    let words = ["1", "true", "yes", "on"];
    words.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Says who asks. It is shown nowhere, and goes nowhere but to the endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// # Errors
    /// [`HubError::Name`] for what cannot be sent.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim();
        match !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) {
            true => Ok(Self(text.to_owned())),
            false => Err(HubError::Name {
                name: "...".into(),
                kind: "token",
                what: "it is empty, or has spaces or other odd characters in it",
            }
            .into()),
        }
    }

    fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => Self::new(&text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::read(path, error)),
        }
    }

    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_addresses() {
        let settings = |endpoint| Settings::new(endpoint, Cache::new("/x"));
        let kept = settings("http://127.0.0.1:80/hub/").unwrap();
        assert_eq!(kept.endpoint, "http://127.0.0.1:80/hub");
        for endpoint in [
            "",
            "huggingface.co",
            "ftp://x",
            "https://",
            "http://a b",
            "http://a@b",
        ] {
            assert!(settings(endpoint).is_err(), "{endpoint}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::new(" hf_secret\n").unwrap();
        assert_eq!(token.bearer(), "Bearer hf_secret");
        assert!(!format!("{token:?}").contains("secret"));
        let refused = Token::new("hf_secret hf_other").unwrap_err();
        assert!(!format!("{refused:?} {refused}").contains("secret"));
        assert!(Token::new("").is_err());
    }
}
