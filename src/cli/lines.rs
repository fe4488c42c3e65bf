//! What a person types, or a pipe brings.

use std::io::{BufRead, ErrorKind, IsTerminal, Read, StdinLock};

use anyhow::Result;
use openelm::utf8::{self, NotUtf8};
use rustyline::error::ReadlineError;

/// No context is this long.
const MOST_BYTES: u64 = 1 << 20;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// A line; several where they were pasted into a terminal together.
    Text(String),
    /// Something that is no question, and why.
    Refused(&'static str),
    End,
}

/// Standard input.
pub enum Lines {
    Typed(Box<rustyline::DefaultEditor>),
    Piped(StdinLock<'static>),
}

impl Lines {
    pub fn new() -> Result<Self> {
        Ok(match std::io::stdin().is_terminal() {
            true => Self::Typed(Box::new(rustyline::DefaultEditor::new()?)),
            false => Self::Piped(std::io::stdin().lock()),
        })
    }

    /// Whether a person is there, not a script.
    pub fn is_typed(&self) -> bool {
        matches!(self, Self::Typed(_))
    }

    pub fn next(&mut self) -> Result<Input> {
        match self {
            Self::Piped(input) => next_line(input),
            Self::Typed(editor) => match editor.readline("> ") {
                Ok(text) if text.len() as u64 > MOST_BYTES => Ok(Input::Refused(TOO_LONG)),
                Ok(text) => {
                    editor.add_history_entry(&text)?;
                    Ok(Input::Text(text))
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(Input::End),
                Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                    Ok(Input::Refused(NO_TEXT))
                }
                Err(error) => Err(error.into()),
            },
        }
    }
}

const NO_TEXT: &str = "that line is not UTF-8 text";
const UTF_16: &str = "that line is UTF-16 text, not UTF-8";
const TOO_LONG: &str = "that line has more than 1 MiB";

/// A line without its end.
fn next_line(input: &mut impl BufRead) -> Result<Input> {
    let mut bytes = Vec::new();
    input
        .by_ref()
        .take(MOST_BYTES + 1)
        .read_until(b'\n', &mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES && bytes.last() != Some(&b'\n') {
        skip_line(input)?;
        return Ok(Input::Refused(TOO_LONG));
    }
    if bytes.is_empty() {
        return Ok(Input::End);
    }
    Ok(match utf8::text(bytes) {
        Ok(text) => Input::Text(text.trim_end_matches(['\n', '\r']).to_owned()),
        Err(NotUtf8::Utf16) => Input::Refused(UTF_16),
        Err(NotUtf8::Byte(_)) => Input::Refused(NO_TEXT),
    })
}

/// Passes over the rest of a line.
fn skip_line(input: &mut impl BufRead) -> Result<()> {
    loop {
        let bytes = input.fill_buf()?;
        let (length, is_end) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (bytes.len(), bytes.is_empty()),
        };
        input.consume(length);
        if is_end {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_question_costs_only_itself() {
        let mut bytes = b"\xef\xbb\xbfone\r\n\n\xff\xff\ntwo\n\xff\xfea\0\n".to_vec();
        bytes.extend(vec![b'x'; (3 << 20) + 5]);
        bytes.extend(b"\nthree");
        let mut input = std::io::BufReader::new(&*bytes);
        let text = |text: &str| Input::Text(text.into());
        let refused = Input::Refused;
        for expected in [
            text("one"),
            text(""),
            refused(NO_TEXT),
            text("two"),
            refused(UTF_16),
            refused(TOO_LONG),
            text("three"),
            Input::End,
        ] {
            assert_eq!(next_line(&mut input).unwrap(), expected);
        }
    }
}
