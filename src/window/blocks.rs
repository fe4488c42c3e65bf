//! Long texts in pieces that can be laid out one by one: only those in sight are.

use std::collections::HashMap;
use std::ops::Range;

use super::theme::READING_LINE;

/// About the most bytes of a piece.
const MOST: usize = 2000;

/// What a piece is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Words, with or without marks of Markdown.
    Prose,
    /// Code between two fences, or a part of it where it is long. `opening` is where the line of its first fence is.
    Code { opening: Range<usize> },
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the text.
    pub range: Range<usize>,
    pub kind: Kind,
}

/// Pieces of a message, and how high each was when it was last drawn.
#[derive(Default)]
pub struct Pieces {
    version: u64,
    length: usize,
    width: f32,
    pub all: Vec<Piece>,
    pub heights: Vec<f32>,
}

impl Pieces {
    /// All of the code that a piece is a part of.
    pub fn code(&self, piece: usize) -> Range<usize> {
        let kind = &self.all[piece].kind;
        let mut parts = self.all.iter().filter(|other| other.kind == *kind);
        let first = parts
            .next()
            .map_or(0..0, |first: &Piece| first.range.clone());
        let end = parts.next_back().map_or(first.end, |last| last.range.end);
        first.start..end
    }
}

/// How a message's text is to be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Markdown,
    /// As it is: what the person wrote.
    Plain,
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
        (text, version, cut): (&str, u64, Cut),
        width: f32,
    ) -> &mut Pieces {
        if self.conversation != conversation {
            self.messages.clear();
            self.conversation = conversation.to_owned();
        }
        let pieces = self.messages.entry(message).or_default();
        let is_new = pieces.all.is_empty();
        if is_new || pieces.version != version || pieces.length != text.len() {
            let all = split(text, cut);
            let same = pieces.all.iter().zip(&all);
            // A piece that has grown by a word is probably as high as it was.
            let kept = same.take_while(|(a, b)| a == b).count() + 1;
            pieces.heights.truncate(kept.min(all.len()));
            pieces.all = all;
            (pieces.version, pieces.length) = (version, text.len());
        }
        if pieces.width != width {
            pieces.heights.clear();
            pieces.width = width;
        }
        for piece in &pieces.all[pieces.heights.len()..] {
            pieces
                .heights
                .push(guess(&text[piece.range.clone()], width));
        }
        pieces
    }

    /// The pieces of a message, if they are known.
    pub fn known(&self, message: usize) -> Option<&Pieces> {
        self.messages.get(&message)
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
    READING_LINE * lines.max(1) as f32
}

/// Cuts a text at blank lines, and what is longer than a piece may be at line ends, spaces or anywhere. In Markdown the code between
/// fences is a piece of its own, or several.
pub fn split(text: &str, cut: Cut) -> Vec<Piece> {
    let mut splitter = Splitter::default();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let range = at..at + line.len();
        at = range.end;
        match (cut, &splitter.fence) {
            (Cut::Markdown, Some(fence)) => match fence.is_closed_by(line) {
                true => splitter.end_code(range),
                false => splitter.add(line, range.start),
            },
            (Cut::Markdown, None) => match Fence::opened_by(line) {
                Some(fence) => splitter.begin_code(fence, range),
                None => splitter.prose(line, range.start),
            },
            (Cut::Plain, _) => splitter.prose(line, range.start),
        }
    }
    splitter.finish();
    splitter.pieces
}

/// The line that code begins with.
struct Fence {
    mark: char,
    length: usize,
    line: Range<usize>,
}

impl Fence {
    fn opened_by(line: &str) -> Option<Self> {
        let line = line.trim();
        let mark = line.chars().next().filter(|mark| "`~".contains(*mark))?;
        let length = line.chars().take_while(|other| *other == mark).count();
        let info = &line[length..];
        // Otherwise it is code within a line.
        let is_fence = length >= 3 && (mark == '~' || !info.contains('`'));
        is_fence.then_some(Self {
            mark,
            length,
            line: 0..0,
        })
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let line = line.trim();
        line.len() >= self.length && line.chars().all(|other| other == self.mark)
    }
}

#[derive(Default)]
struct Splitter {
    pieces: Vec<Piece>,
    /// Of the piece that is being made.
    open: Range<usize>,
    fence: Option<Fence>,
    /// Whether that piece has a list, to which lines further in belong after a blank one too.
    is_list: bool,
    is_blank: bool,
}

impl Splitter {
    fn prose(&mut self, line: &str, at: usize) {
        if line.trim().is_empty() {
            self.is_blank = true;
            return;
        }
        let is_further_in = line.starts_with("  ") || line.starts_with('\t');
        let may_go_on = self.is_list && is_further_in && !self.open.is_empty();
        if std::mem::take(&mut self.is_blank) && !may_go_on {
            self.finish();
        }
        self.is_list |= is_item(line);
        self.add(line, at);
    }

    /// Adds a line to the open piece, or as much of it as there is room for.
    fn add(&mut self, line: &str, at: usize) {
        let mut at = at;
        for part in parts(line) {
            let grown = at + part.len();
            if self.open.is_empty() {
                self.open = at..grown;
            } else if grown - self.open.start > MOST {
                self.finish();
                self.open = at..grown;
            } else {
                self.open.end = grown;
            }
            at = grown;
        }
    }

    fn begin_code(&mut self, mut fence: Fence, line: Range<usize>) {
        self.finish();
        self.open = line.end..line.end;
        fence.line = line;
        self.fence = Some(fence);
    }

    fn end_code(&mut self, line: Range<usize>) {
        if self.open.is_empty() {
            // Code without a line is code nevertheless.
            self.open = line.start..line.start;
        }
        self.push();
        self.fence = None;
        self.open = line.end..line.end;
    }

    fn finish(&mut self) {
        let is_opened = self
            .fence
            .as_ref()
            .is_some_and(|fence| fence.line.end == self.open.start);
        if !self.open.is_empty() || is_opened {
            self.push();
        }
    }

    fn push(&mut self) {
        let kind = match &self.fence {
            Some(fence) => Kind::Code {
                opening: fence.line.clone(),
            },
            None => Kind::Prose,
        };
        let range = self.open.clone();
        self.open = range.end..range.end;
        (self.is_list, self.is_blank) = (false, false);
        self.pieces.push(Piece { range, kind });
    }
}

/// Whether a line begins an item of a list.
fn is_item(line: &str) -> bool {
    let line = line.trim_start();
    let after_number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_numbered = after_number.len() < line.len()
        && (after_number.starts_with(". ") || after_number.starts_with(") "));
    is_numbered || ["- ", "* ", "+ "].iter().any(|mark| line.starts_with(mark))
}

/// A line in parts of at most [`MOST`] bytes.
fn parts(mut line: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if line.is_empty() {
            return None;
        }
        let mut end = line.floor_char_boundary(MOST);
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

    fn texts(text: &str, cut: Cut) -> Vec<&str> {
        let pieces = split(text, cut).into_iter();
        pieces.map(|piece| &text[piece.range]).collect()
    }

    #[test]
    fn paragraphs_and_code_are_pieces() {
        let text = "One\ntwo\n\nThree\n```rust\na\n\nb\n```\nafter\n";
        assert_eq!(
            texts(text, Cut::Markdown),
            ["One\ntwo\n", "Three\n", "a\n\nb\n", "after\n"]
        );
        let pieces = split(text, Cut::Markdown);
        let Kind::Code { opening } = &pieces[2].kind else {
            panic!("{pieces:?}");
        };
        assert_eq!(&text[opening.clone()], "```rust\n");
        // What the person wrote stays as it is.
        assert_eq!(
            texts(text, Cut::Plain),
            ["One\ntwo\n", "Three\n```rust\na\n", "b\n```\nafter\n"]
        );
        assert_eq!(split(" \n\n", Cut::Markdown), []);
    }

    #[test]
    fn code_ends_where_its_fence_says() {
        assert_eq!(
            texts("~~~~\n~~~\n```\n~~~~\nx", Cut::Markdown),
            ["~~~\n```\n", "x"]
        );
        // Not written to its end yet, or without a line.
        assert_eq!(texts("```py\nx = 1", Cut::Markdown), ["x = 1"]);
        assert_eq!(texts("```py", Cut::Markdown), [""]);
        assert_eq!(texts("```\n```\nx", Cut::Markdown), ["", "x"]);
        assert_eq!(
            texts("```not code``` but words", Cut::Markdown),
            ["```not code``` but words"]
        );
    }

    #[test]
    fn what_belongs_to_an_item_stays_with_it() {
        assert_eq!(
            texts("1. a\n\n   more\n\n2. b\n\nEnd", Cut::Markdown),
            ["1. a\n\n   more\n", "2. b\n", "End"]
        );
    }

    #[test]
    fn long_texts_are_cut_and_complete() {
        for text in [
            "word ".repeat(20_000),
            "é".repeat(50_000),
            "a line\n".repeat(10_000),
        ] {
            for cut in [Cut::Markdown, Cut::Plain] {
                let pieces = texts(&text, cut);
                assert!(pieces.len() > 10);
                assert!(pieces.iter().all(|piece| piece.len() <= MOST));
                assert_eq!(pieces.concat(), text);
            }
        }
        let text = format!("```\n{}```\n", "let x = 1;\n".repeat(1000));
        let mut cache = Cache::default();
        let pieces = cache.pieces("1", 0, (&text, 0, Cut::Markdown), 500.0);
        assert!(pieces.all.len() > 3);
        for piece in 0..pieces.all.len() {
            assert_eq!(
                text[pieces.code(piece)].lines().count(),
                1000,
                "all of it is copied"
            );
        }
    }
}
