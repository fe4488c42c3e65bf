//! Where in a text each of its ids begins.

use std::collections::VecDeque;

use super::spelling::Spelling;
use crate::text::Piece;

/// Counts the characters of a text, id by id. Where a byte begins is known only when the run of bytes ends: one that is no character
/// turns all of it into U+FFFD.
#[derive(Debug, Default)]
pub struct Offsets {
    /// Characters so far, without those of the run.
    chars: usize,
    /// Ids since the last text: a byte each, or nothing.
    run: Vec<Option<u8>>,
    /// Whether there was any text before, in which case a leading space is not dropped.
    has_text: bool,
    /// The same, special ones having none.
    has_any_text: bool,
    /// Of ids in order, those that are known and have not been taken.
    known: VecDeque<usize>,
}

impl Offsets {
    /// For a text that goes on, if there `is_before` anything.
    pub fn behind(is_before: bool) -> Self {
        Self {
            has_text: is_before,
            has_any_text: is_before,
            ..Self::default()
        }
    }

    /// Takes an id. What is special has no text, unless it `is_shown`; the text behind it then begins anew.
    pub fn push(&mut self, piece: &Piece, is_shown: bool) {
        if !piece.is_silent() {
            self.has_any_text = true;
        }
        match piece {
            Piece::Byte(byte) => {
                self.run.push(Some(*byte));
                self.has_text = true;
            }
            Piece::Special(spelled) if is_shown => {
                self.add(spelled);
                self.has_text = false;
            }
            // Bytes before and behind it can be of one character.
            Piece::Special(_) | Piece::None => self.run.push(None),
            Piece::Text { first, inner } => {
                self.add(if self.has_text { inner } else { first });
                self.has_text = true;
            }
        }
    }

    fn add(&mut self, text: &str) {
        self.settle();
        self.known.push_back(self.chars);
        self.chars += text.chars().count();
    }

    /// Whether the next id would be the first of a text.
    pub fn is_first(&self) -> bool {
        !self.has_text
    }

    /// From here on a leading space is dropped only where there was no text before.
    pub fn go_on(&mut self) {
        self.has_text = self.has_any_text;
    }

    /// Ends the run of bytes.
    pub fn settle(&mut self) {
        let bytes: Vec<u8> = self.run.iter().flatten().copied().collect();
        let is_text = std::str::from_utf8(&bytes).is_ok();
        let begins = |byte: u8| !is_text || byte & 0xC0 != 0x80;
        let mut next = self.chars;
        for byte in self.run.drain(..) {
            self.known.push_back(match byte {
                Some(byte) if begins(byte) => {
                    next += 1;
                    next - 1
                }
                Some(_) => next.saturating_sub(1),
                None => next,
            });
        }
        self.chars = next;
    }

    /// Of the ids that were not taken yet, where the next begins, if that is known and before `end`.
    pub fn take_before(&mut self, end: usize) -> Option<usize> {
        self.known.pop_front_if(|offset| *offset < end)
    }
}

/// What ids look like, special ones too; of a character that is not finished nothing is to be seen.
pub fn text_of(ids: &[u32], spelling: &Spelling) -> String {
    let (mut text, mut run, mut is_first) = (String::new(), Vec::new(), true);
    for id in ids {
        let piece = spelling.piece(*id);
        let next = match piece {
            Piece::Byte(byte) => {
                run.push(*byte);
                is_first = false;
                continue;
            }
            Piece::None => continue,
            Piece::Special(spelled) => spelled,
            Piece::Text { first, .. } if is_first => first,
            Piece::Text { inner, .. } => inner,
        };
        text += &text_of_run(&std::mem::take(&mut run));
        text += next;
        is_first = matches!(piece, Piece::Special(_));
    }
    let finished = match std::str::from_utf8(&run) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => run.len(),
    };
    run.truncate(finished);
    text + &text_of_run(&run)
}

fn text_of_run(run: &[u8]) -> String {
    match std::str::from_utf8(run) {
        Ok(text) => text.to_owned(),
        Err(_) => "\u{FFFD}".repeat(run.len()),
    }
}
