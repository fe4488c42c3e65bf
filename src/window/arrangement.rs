//! What there is to draw of a conversation, and how high it is: known where it was drawn before, guessed elsewhere.

use std::collections::HashMap;
use std::ops::Range;

use super::blocks::{self, Cut, Pieces};
use super::conversation::{Conversation, Mode};
use super::find::Hit;
use super::flow::Flow;
use super::state::State;
use super::theme::{CONTROL, GRID, READING_LINE};
use super::tokens::Stretch;
use crate::text::Role;

/// Height of the line that says who a message is by.
const HEADER: f32 = READING_LINE + GRID;

/// A guess at the height of answers to choose from.
const ANSWERS: f32 = 10.0 * READING_LINE;

/// Between messages, beside the room for their buttons.
pub const GAP: f32 = 2.0 * GRID;

/// Something to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item {
    Header(usize),
    /// A piece of a message.
    Piece(usize, usize),
    /// A message whose tokens are shown.
    Tokens(usize),
    Editor(usize),
    Footer(usize),
    /// A line of a text that is written together.
    Line(usize),
    /// A text that is written together is being edited.
    TextEditor,
    TextFooter,
    /// Answers to choose from, which end with this one.
    Answers(usize),
}

/// How a message is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Pieces,
    Tokens,
    Editor,
    Answers,
}

/// A message, or all of a text that is written together.
struct Row {
    message: usize,
    version: u64,
    length: usize,
    shown: Shown,
    height: f32,
}

/// A conversation in rows of items. Of rows that are out of sight only the height is looked at: there may be many.
#[derive(Default)]
pub struct Arrangement {
    /// The conversation that it is of.
    conversation: String,
    width: f32,
    rows: Vec<Row>,
    cache: blocks::Cache,
    flow: Flow,
    /// Of all that is not a piece of text, as it was last drawn.
    heights: HashMap<Item, f32>,
}

impl Arrangement {
    /// Follows what has changed. Returns whether it is of another conversation than before.
    pub fn update(&mut self, state: &State, width: f32) -> bool {
        let conversation = state.conversation();
        let is_other = self.conversation != conversation.id;
        if is_other {
            self.conversation.clone_from(&conversation.id);
            self.heights.clear();
        }
        if is_other || self.width != width {
            self.width = width;
            self.rows.clear();
        }
        if conversation.mode == Mode::Completion {
            let mut path = conversation.path();
            if !state.offered().is_empty() {
                path = &path[..path.len() - 1];
            }
            self.flow.update(conversation, path, width);
            self.rows.clear();
            let all = self.text_items(state);
            self.rows.push(Row {
                message: usize::MAX,
                version: 0,
                length: 0,
                shown: Shown::Pieces,
                height: all.iter().map(|(_, height)| height).sum(),
            });
            return is_other;
        }
        for (i, at) in conversation.path().iter().enumerate() {
            let message = conversation.message(*at);
            let (version, length) = (message.version, message.text.len());
            let shown = shown(state, *at);
            let is_known = self.rows.get(i).is_some_and(|row| {
                (row.message, row.version, row.length) == (*at, version, length)
                    && row.shown == shown
            });
            if is_known {
                continue;
            }
            let items = self.message_items(conversation, *at, shown);
            let row = Row {
                message: *at,
                version,
                length,
                shown,
                height: items.iter().map(|(_, height)| height).sum(),
            };
            match self.rows.get_mut(i) {
                Some(old) => *old = row,
                None => self.rows.push(row),
            }
        }
        self.rows.truncate(conversation.path().len());
        is_other
    }

    /// Rows, first to last.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    pub fn height(&self, row: usize) -> f32 {
        self.rows[row].height
    }

    /// Keeps how high a row turned out.
    pub fn set_height(&mut self, row: usize, height: f32) {
        self.rows[row].height = height;
    }

    /// What there is to draw of a row, with heights.
    pub fn items(&mut self, state: &State, row: usize) -> Vec<(Item, f32)> {
        let conversation = state.conversation();
        match conversation.mode {
            Mode::Completion => self.text_items(state),
            Mode::Chat => {
                let Row { message, shown, .. } = self.rows[row];
                self.message_items(conversation, message, shown)
            }
        }
    }

    /// The pieces of a message that is drawn.
    pub fn pieces(&self, message: usize) -> Option<&Pieces> {
        self.cache.known(message)
    }

    /// A line of a text that is written together.
    pub fn line(&self, line: usize) -> &[Stretch] {
        &self.flow.lines[line]
    }

    fn known(&self, item: Item, guess: f32) -> (Item, f32) {
        let height = self.heights.get(&item);
        (item, height.copied().unwrap_or(guess))
    }

    fn text_items(&self, state: &State) -> Vec<(Item, f32)> {
        if state.edit().is_some() {
            return vec![self.known(Item::TextEditor, 400.0)];
        }
        let lines = self.flow.heights.iter().enumerate();
        let lines = lines.map(|(i, height)| (Item::Line(i), *height));
        let end = match state.offered().last() {
            Some(last) => self.known(Item::Answers(*last), ANSWERS),
            None => self.known(Item::TextFooter, CONTROL + GAP),
        };
        lines.chain([end]).collect()
    }

    fn message_items(
        &mut self,
        conversation: &Conversation,
        at: usize,
        shown: Shown,
    ) -> Vec<(Item, f32)> {
        let mut items = vec![(Item::Header(at), HEADER)];
        if shown == Shown::Editor {
            items.push(self.known(Item::Editor(at), 380.0));
            return items;
        }
        if shown == Shown::Answers {
            items.push(self.known(Item::Answers(at), ANSWERS));
            return items;
        }
        let pieces = self.pieces_of(conversation, at, self.width);
        if shown == Shown::Tokens {
            items.push((Item::Tokens(at), pieces.heights.iter().sum()));
        } else {
            let heights = pieces.heights.iter().enumerate();
            items.extend(heights.map(|(i, height)| (Item::Piece(at, i), *height)));
        }
        items.push(self.known(Item::Footer(at), CONTROL + GAP));
        items
    }

    /// The pieces of a message in a column of another width than the others have.
    pub fn pieces_of(&mut self, conversation: &Conversation, at: usize, width: f32) -> &mut Pieces {
        let message = conversation.message(at);
        let cut = match message.role {
            Role::Assistant => Cut::Markdown,
            _ => Cut::Plain,
        };
        let text = (message.text.as_str(), message.version, cut);
        self.cache.pieces(&conversation.id, at, text, width)
    }

    /// Where the match is that is looked at: its row, and the item in it.
    pub fn target(&self, state: &State) -> Option<(usize, Item)> {
        let Hit { message, range } = state.find.as_ref()?.hit()?;
        let conversation = state.conversation();
        if conversation.mode == Mode::Completion {
            let holds =
                |(other, part): &(usize, Range<usize>)| other == message && range.start < part.end;
            let mut lines = self.flow.lines.iter();
            let line = lines.position(|line| line.iter().any(holds));
            let item = line.map(Item::Line);
            let answers = || state.offered().last().map(|last| Item::Answers(*last));
            return item.or_else(answers).map(|item| (0, item));
        }
        // A message comes after those that it answers.
        let path = conversation.path();
        let Ok(row) = path.binary_search(message) else {
            let (row, last) = (path.len().checked_sub(1)?, *path.last()?);
            let is_offered = state.offered().contains(message);
            return is_offered.then_some((row, Item::Answers(last)));
        };
        match self.rows.get(row)?.shown {
            Shown::Tokens => return Some((row, Item::Tokens(*message))),
            Shown::Answers => return Some((row, Item::Answers(*message))),
            _ => {}
        }
        let mut pieces = self.cache.known(*message)?.all.iter();
        let piece = pieces.position(|piece| range.start < piece.range.end)?;
        Some((row, Item::Piece(*message, piece)))
    }

    /// Keeps a height that turned out. Returns whether it was news.
    pub fn remember(&mut self, item: Item, drawn: f32, expected: f32) -> bool {
        if (drawn - expected).abs() < 0.5 {
            return false;
        }
        match item {
            Item::Line(line) => match self.flow.heights.get_mut(line) {
                Some(height) => *height = drawn,
                None => return false,
            },
            Item::Piece(message, piece) => {
                return self.cache.set_height(message, piece, drawn);
            }
            Item::Tokens(message) => return self.cache.set_total(message, drawn),
            // One line, always.
            Item::Header(_) => return false,
            _ => {
                self.heights.insert(item, drawn);
            }
        }
        true
    }
}

fn shown(state: &State, at: usize) -> Shown {
    let message = state.conversation().message(at);
    if state.edit().is_some_and(|edit| edit.message == at) {
        Shown::Editor
    } else if state.conversation().last() == Some(at) && !state.offered().is_empty() {
        Shown::Answers
    } else if state.settings.probabilities && !message.tokens.is_empty() {
        Shown::Tokens
    } else {
        Shown::Pieces
    }
}
