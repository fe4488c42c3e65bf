//! Long texts in pieces that can be laid out one by one: only those in sight are.

use std::collections::HashMap;

/// About the most bytes of a piece.
const MOST: usize = 2000;

/// Pieces of a message, and how high each was when it was last drawn.
#[derive(Default)]
pub struct Pieces {
    version: u64,
    length: usize,
    width: f32,
    pub texts: Vec<String>,
    pub heights: Vec<f32>,
}

/// Pieces of the messages of one conversation.
#[derive(Default)]
pub struct Cache {
    conversation: String,
    messages: HashMap<usize, Pieces>,
}

impl Cache {
    /// The pieces of `message`, cut anew if its text has changed, with guesses for heights not known yet.
    pub fn pieces(
        &mut self,
        conversation: &str,
        message: usize,
        text: &str,
        version: u64,
        width: f32,
    ) -> &mut Pieces {
        if self.conversation != conversation {
            self.messages.clear();
            self.conversation = conversation.to_owned();
        }
        let pieces = self.messages.entry(message).or_default();
        let is_new = pieces.texts.is_empty();
        if is_new || pieces.version != version || pieces.length != text.len() {
            let texts = split(text);
            let same = pieces.texts.iter().zip(&texts);
            // A piece that has grown by a word is probably as high as it was.
            let kept = same.take_while(|(a, b)| a == b).count() + 1;
            pieces.heights.truncate(kept.min(texts.len()));
            pieces.texts = texts;
            (pieces.version, pieces.length) = (version, text.len());
        }
        if pieces.width != width {
            pieces.heights.clear();
            pieces.width = width;
        }
        for text in &pieces.texts[pieces.heights.len()..] {
            pieces.heights.push(guess(text, width));
        }
        pieces
    }

    /// A piece of a message whose pieces are known.
    pub fn piece(&self, message: usize, piece: usize) -> Option<&str> {
        let pieces = self.messages.get(&message)?;
        pieces.texts.get(piece).map(String::as_str)
    }

    /// Keeps how high a piece turned out. Returns whether it is still there.
    pub fn set_height(&mut self, message: usize, piece: usize, height: f32) -> bool {
        let pieces = self.messages.get_mut(&message);
        let known = pieces.and_then(|pieces| pieces.heights.get_mut(piece));
        known.is_some_and(|known| {
            *known = height;
            true
        })
    }

    /// Keeps how high a message turned out that was drawn in one piece.
    pub fn set_total(&mut self, message: usize, height: f32) -> bool {
        let Some(pieces) = self.messages.get_mut(&message) else {
            return false;
        };
        let others: f32 = pieces.heights.iter().skip(1).sum();
        pieces.heights.first_mut().is_some_and(|first| {
            *first = height - others;
            true
        })
    }
}

/// About how high a text will be.
fn guess(text: &str, width: f32) -> f32 {
    let per_line = (width / 7.0).max(10.0) as usize;
    let lines: usize = text.lines().map(|line| 1 + line.len() / per_line).sum();
    18.0 * lines.max(1) as f32
}

/// Cuts Markdown at blank lines, and what is longer than a piece may be at line ends, spaces or anywhere. Code that is cut stays
/// code: each part gets its own fence.
pub fn split(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut fence: Option<&str> = None;
    let mut finish = |piece: &mut String| {
        if !piece.trim().is_empty() {
            pieces.push(std::mem::take(piece));
        }
        piece.clear();
    };
    for line in text.split_inclusive('\n') {
        let is_fence = line.trim_start().starts_with("```");
        if fence.is_none() && line.trim().is_empty() {
            finish(&mut piece);
            continue;
        }
        for part in parts(line) {
            if piece.len() + part.len() > MOST && !piece.is_empty() {
                match fence {
                    Some(opening) => {
                        piece += "\n```\n";
                        finish(&mut piece);
                        piece += opening;
                    }
                    None => finish(&mut piece),
                }
            }
            piece += part;
        }
        if is_fence {
            fence = match fence {
                None => Some(line),
                Some(_) => None,
            };
        }
    }
    finish(&mut piece);
    pieces
}

/// A line in parts of at most [`MOST`] bytes.
fn parts(mut line: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if line.is_empty() {
            return None;
        }
        let mut end = line.len().min(MOST);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        if end < line.len()
            && let Some(space) = line[..end].rfind(' ')
        {
            end = space + 1;
        }
        let (part, rest) = line.split_at(end);
        line = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_and_code_are_pieces() {
        let text = "One\ntwo\n\nThree\n\n```rust\na\n\nb\n```\nafter\n";
        assert_eq!(
            split(text),
            ["One\ntwo\n", "Three\n", "```rust\na\n\nb\n```\nafter\n"]
        );
        assert_eq!(split(" \n\n"), Vec::<String>::new());
    }

    #[test]
    fn long_texts_are_cut_and_complete() {
        for text in [
            "word ".repeat(20_000),
            "é".repeat(50_000),
            "a line\n".repeat(10_000),
        ] {
            let pieces = split(&text);
            assert!(pieces.len() > 10);
            assert!(pieces.iter().all(|piece| piece.len() <= MOST));
            assert_eq!(pieces.concat(), text);
        }
        let code = format!("```\n{}```\n", "let x = 1;\n".repeat(1000));
        for piece in split(&code) {
            assert_eq!(piece.matches("```").count(), 2, "{piece}");
        }
    }
}
