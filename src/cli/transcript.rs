//! Conversations on disk: what was said, as JSON. Keys and values are not kept; they are computed again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use openelm::text::{Role, Turn};
use serde::{Deserialize, Serialize};

use super::files::{check_writable, read_text_file, replace_file};

/// What the files say they are.
const FORMAT: &str = "openelm-chat";
const VERSION: u64 = 1;

/// Larger files are none of ours.
const MOST_BYTES: u64 = 64 << 20;

/// A conversation as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    /// What the model was called that answered last.
    pub model: String,
    /// The template, as it was chosen.
    pub template: String,
    /// What the assistant was told beforehand.
    pub system: Option<String>,
    /// Questions and answers in turn.
    pub turns: Vec<Turn>,
}

/// What a file has beside the conversation.
#[derive(Serialize, Deserialize)]
struct Labelled<T> {
    format: String,
    version: u64,
    chat: T,
}

impl Transcript {
    fn parse(text: &str) -> Result<Self> {
        let Labelled {
            format,
            version,
            chat,
        } = serde_json::from_str::<Labelled<serde_json::Value>>(text)
            .context("not a conversation of `openelm chat`")?;
        if format != FORMAT {
            bail!("not a conversation of `openelm chat`, but `{format}`");
        }
        if version != VERSION {
            bail!("a conversation of version {version}; this program reads version {VERSION}");
        }
        let transcript: Self =
            serde_json::from_value(chat).context("a conversation that is not whole")?;
        let expected = [Role::User, Role::Assistant].into_iter().cycle();
        for (i, (turn, role)) in transcript.turns.iter().zip(expected).enumerate() {
            if turn.role != role {
                bail!(
                    "turn {} is the {}'s; the {}'s is due",
                    i + 1,
                    turn.role.name(),
                    role.name()
                );
            }
        }
        if !transcript.turns.len().is_multiple_of(2) {
            bail!("the last question has no answer");
        }
        Ok(transcript)
    }

    fn json(&self) -> Result<Vec<u8>> {
        let labelled = Labelled {
            format: FORMAT.to_owned(),
            version: VERSION,
            chat: self,
        };
        let mut json = serde_json::to_vec_pretty(&labelled)?;
        json.push(b'\n');
        Ok(json)
    }
}

/// A file that a conversation is kept in.
#[derive(Debug)]
pub struct TranscriptFile {
    path: PathBuf,
    /// What this chat has read from it or written to it last.
    known: Option<String>,
}

impl TranscriptFile {
    /// Reads a conversation.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(path: &Path) -> Result<(Self, Transcript)> {
        let text = read_text_file(path, MOST_BYTES)?;
        let transcript = Transcript::parse(&text).with_context(|| path.display().to_string())?;
        let file = Self {
            path: path.to_owned(),
            known: Some(text),
        };
        Ok((file, transcript))
    }

    /// A file that is not there yet, and can be written.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn begin(path: &Path) -> Result<Self> {
        if path.symlink_metadata().is_ok() {
            bail!(
                "{} is there already; name a file that is not",
                path.display()
            );
        }
        check_writable(path)?;
        Ok(Self {
            path: path.to_owned(),
            known: None,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the conversation. What is in the file goes only if this chat knows it.
    ///
    /// # Errors
    /// Why it could not be written; the file is as it was.
    pub fn save(&mut self, transcript: &Transcript) -> Result<()> {
        let json = String::from_utf8(transcript.json()?)?;
        if self.path.exists() && Some(read_text_file(&self.path, MOST_BYTES)?) != self.known {
            bail!(
                "{} was changed by somebody else meanwhile",
                self.path.display()
            );
        }
        replace_file(&self.path, json.as_bytes())?;
        self.known = Some(json);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript() -> Transcript {
        Transcript {
            model: "demo".into(),
            template: "plain".into(),
            system: Some("Be brief.".into()),
            turns: vec![
                Turn::new(Role::User, "Hi </s>\n\u{1F600}"),
                Turn::new(Role::Assistant, "\"Hello\""),
            ],
        }
    }

    #[test]
    fn what_is_saved_comes_back_and_nothing_is_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.json");
        let mut file = TranscriptFile::begin(&path).unwrap();
        assert!(!path.exists(), "nothing was said yet");
        for _ in 0..3 {
            file.save(&transcript()).unwrap();
        }
        assert_eq!(TranscriptFile::open(&path).unwrap().1, transcript());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = TranscriptFile::begin(&path).unwrap_err().to_string();
        assert!(error.contains("there already"), "{error}");
    }

    #[test]
    fn what_somebody_else_wrote_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.json");
        let mut file = TranscriptFile::begin(&path).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        assert!(file.save(&transcript()).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
        // What is gone is written anew.
        std::fs::remove_file(&path).unwrap();
        file.save(&transcript()).unwrap();
        assert!(path.exists());
    }

    #[test]
    fn what_is_no_conversation_is_refused_with_a_reason() {
        let whole = String::from_utf8(transcript().json().unwrap()).unwrap();
        assert!(Transcript::parse(&whole).is_ok());
        for cut in (0..whole.trim_end().len()).step_by(7) {
            assert!(
                Transcript::parse(whole.get(..cut).unwrap_or_default()).is_err(),
                "{cut}"
            );
        }
        for (from, to, word) in [
            ("\"version\": 1", "\"version\": 2", "version 2"),
            ("openelm-chat", "other", "`other`"),
            ("\"assistant\"", "\"user\"", "turn 2"),
            ("\"assistant\"", "\"system\"", "turn 2"),
            ("\"assistant\"", "\"king\"", "king"),
            ("\"model\"", "\"mdoel\"", "mdoel"),
            ("Be brief.", "Be \\ud800", "not a conversation"),
        ] {
            let error = Transcript::parse(&whole.replace(from, to)).unwrap_err();
            assert!(format!("{error:#}").contains(word), "{to}: {error:#}");
        }
        let mut odd = transcript();
        odd.turns.pop();
        let odd = String::from_utf8(odd.json().unwrap()).unwrap();
        assert!(
            Transcript::parse(&odd)
                .unwrap_err()
                .to_string()
                .contains("no answer")
        );
    }
}
