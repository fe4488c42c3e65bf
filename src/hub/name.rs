//! Names of repositories, revisions and files, checked: parts of addresses and of paths are made of them.

use std::fmt;

use crate::error::{Error, HubError, Result};

/// What the hub allows in the name of a repository.
const MOST_NAME: usize = 96;

/// The revision that is taken where none is named.
pub const MAIN: &str = "main";

/// A repository: `ORG/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoId {
    owner: String,
    name: String,
}

impl RepoId {
    /// # Errors
    /// [`HubError::Name`] unless it is `ORG/NAME` with such characters as the hub allows.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |what| Err(name_error(text, "repository", what));
        let Some((owner, name)) = text.split_once('/') else {
            return refuse("ORG/NAME is expected");
        };
        if text.len() > MOST_NAME {
            return refuse("it is too long");
        }
        match [owner, name].into_iter().all(is_part) {
            true => Ok(Self {
                owner: owner.to_owned(),
                name: name.to_owned(),
            }),
            false => refuse(
                "ORG and NAME are letters, digits, `-`, `_` and `.`, with one of the first three kinds at both ends and no `--` or `..`",
            ),
        }
    }

    /// The name of its folder in the cache.
    pub(super) fn folder_name(&self) -> String {
        format!("models--{}--{}", self.owner, self.name)
    }
}

fn is_part(part: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_end = |c: char| c.is_ascii_alphanumeric() || c == '_';
    part.chars().all(is_plain)
        && part.starts_with(is_end)
        && part.ends_with(is_end)
        && !part.contains("--")
        && !part.contains("..")
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// A branch, a tag, or a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision(String);

impl Revision {
    /// # Errors
    /// [`HubError::Name`] for what could not be one, or would lead elsewhere as a path.
    pub fn parse(text: &str) -> Result<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+/".contains(c);
        let is_segment = |part: &str| !part.is_empty() && !part.starts_with('.');
        let is_fine = text.len() <= 200 && text.chars().all(is_plain);
        match is_fine && text.split('/').all(is_segment) {
            true => Ok(Self(text.to_owned())),
            false => Err(name_error(
                text,
                "revision",
                "a branch, a tag or a commit is expected",
            )),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Revision {
    fn default() -> Self {
        Self(MAIN.to_owned())
    }
}

/// A model on the hub, in one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelId {
    pub repo: RepoId,
    pub revision: Revision,
    /// Which of its GGUF files: a file's name, or how that ends, such as `Q8_0`.
    pub variant: Option<String>,
}

impl ModelId {
    /// `ORG/NAME`, `ORG/NAME@REVISION`, and either with `:VARIANT` behind it.
    ///
    /// # Errors
    /// As [`RepoId::parse`] and [`Revision::parse`].
    pub fn parse(text: &str) -> Result<Self> {
        let (text, variant) = match text.split_once(':') {
            Some((_, variant)) if !is_file_name(variant) => {
                let what = "ORG/NAME:FILE.gguf or ORG/NAME:Q8_0 is expected";
                return Err(name_error(text, "model", what));
            }
            Some((text, variant)) => (text, Some(variant.to_owned())),
            None => (text, None),
        };
        let (repo, revision) = match text.split_once('@') {
            Some((repo, revision)) => (repo, Revision::parse(revision)?),
            None => (text, Revision::default()),
        };
        Ok(Self {
            repo: RepoId::parse(repo)?,
            revision,
            variant,
        })
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repo)?;
        if self.revision.as_str() != MAIN {
            write!(f, "@{}", self.revision.as_str())?;
        }
        match &self.variant {
            Some(variant) => write!(f, ":{variant}"),
            None => Ok(()),
        }
    }
}

fn name_error(name: &str, kind: &'static str, what: &'static str) -> Error {
    let name = printable(name);
    HubError::Name { name, kind, what }.into()
}

/// A commit or an ETag as the name of a file or folder: it cannot lead elsewhere.
pub(super) fn is_component(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=128).contains(&text.len()) && text.chars().all(is_plain) && !text.starts_with('.')
}

/// A file of a repository that lies at its top and whose name is a name everywhere.
pub(super) fn is_file_name(text: &str) -> bool {
    let is_odd = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
    (1..=200).contains(&text.len()) && !text.contains(is_odd) && !text.starts_with('.')
}

/// A text of others, short and without what a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    const MOST: usize = 200;
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_repositories() {
        for name in ["apple/OpenELM-1_1B-Instruct", "a/b", "o_o/x.y", "_a/b_"] {
            assert_eq!(RepoId::parse(name).unwrap().to_string(), name);
        }
        let long = format!("a/{}", "b".repeat(96));
        for name in [
            "",
            "gpt2",
            "/",
            "a/",
            "/b",
            "a/b/c",
            "../b",
            "a/..",
            "a/.b",
            "a/b-",
            "a--b/c",
            "a/b..c",
            "a b/c",
            "a/b\n",
            "ä/b",
            "~/b",
            "a\\b/c",
            "http://a/b",
            "a/b@c",
            &long,
        ] {
            assert!(RepoId::parse(name).is_err(), "{name}");
        }
        let id = RepoId::parse("apple/OpenELM-270M").unwrap();
        assert_eq!(id.folder_name(), "models--apple--OpenELM-270M");
    }

    #[test]
    fn a_model_may_name_its_revision() {
        let id = ModelId::parse("a/b@refs/pr/1").unwrap();
        assert_eq!(id.repo.to_string(), "a/b");
        assert_eq!(id.revision.as_str(), "refs/pr/1");
        assert_eq!(ModelId::parse("a/b").unwrap().revision.as_str(), "main");
        let id = ModelId::parse("a/b@v1:x Q8_0.gguf").unwrap();
        assert_eq!(id.revision.as_str(), "v1");
        assert_eq!(id.variant.as_deref(), Some("x Q8_0.gguf"));
        assert_eq!(id.to_string(), "a/b@v1:x Q8_0.gguf");
        for variant in [
            "a/b:",
            "a/b:..",
            "a/b:../x.gguf",
            "a/b:x:y",
            "a:b/c",
            "C:/a",
        ] {
            assert!(ModelId::parse(variant).is_err(), "{variant}");
        }
        for revision in [
            "", "..", "a/../b", "/a", "a/", "a//b", ".a", "a\\b", "a?b", "a b",
        ] {
            assert!(Revision::parse(revision).is_err(), "{revision}");
        }
    }

    #[test]
    fn what_servers_say_leads_nowhere_else() {
        for name in ["..", ".x", "a/b", "a\\b", "", "a:b", "a\0"] {
            assert!(!is_component(name) && !is_file_name(name), "{name}");
        }
        assert!(is_component("d41d8cd9-1.x") && is_file_name("model-1 of 2.safetensors"));
        assert_eq!(printable("a\x1b[2Jb"), "a [2Jb");
    }
}
