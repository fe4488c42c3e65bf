//! The conversation, of which only what is in sight is laid out.

use std::collections::HashMap;
use std::ops::Range;

use egui::style::ScrollAnimation;
use egui::text_selection::LabelSelectionState;
use egui::{Align, Layout, Rect, ScrollArea, UiBuilder, vec2};

use super::action::Action;
use super::blocks::{self, Cut, Pieces};
use super::conversation::Mode;
use super::editor::Editor;
use super::find::{Find, Hit, Marks};
use super::flow::Flow;
use super::message;
use super::pace::Pace;
use super::prose::{Code, Source};
use super::state::State;
use super::theme::{self, CONTROL, CORNER, GRID, READING_LINE, READING_WIDTH};
use super::{inspector, tokens};
use crate::text::Role;

/// Between paragraphs.
const PARAGRAPH: f32 = 3.0 * GRID;

/// Above and below what stands in a bubble.
const INSET: f32 = 2.0 * GRID;

/// How far a bubble reaches beyond the column, so that its text stands where all other text does.
pub const OUTSET: f32 = 3.0 * GRID;

/// Height of the line that says who a message is by.
const HEADER: f32 = READING_LINE + GRID;

/// Between messages, beside the room for their buttons.
const GAP: f32 = 2.0 * GRID;

/// Above the first message, and beside what is widest.
const EDGE: f32 = 2.0 * GRID;

/// How much above and below what is in sight is laid out too.
const MARGIN: f32 = 40.0;

/// The most that is laid out out of sight because it is selected.
const MOST_SELECTED: usize = 200;

/// How often a match is looked for again after it was scrolled to: what was laid out on the way may have moved it.
const LOOKS: u8 = 2;

/// What only this view needs: what it has measured, and what it is to do when it is drawn next. Nothing else reads it.
#[derive(Default)]
pub struct Transcript {
    scrolls_to_end: bool,
    /// How many more times to scroll to the match that is looked at.
    looks: u8,
    cache: blocks::Cache,
    flow: Flow,
    editor: Editor,
    /// The conversation that the heights are of.
    conversation: String,
    /// Of all that is not a piece of text, as it was last drawn.
    heights: HashMap<Item, f32>,
    /// The message whose buttons the keyboard is on.
    focused: Option<usize>,
    /// What was in sight since something is selected: egui ends a selection whose ends are not laid out.
    selected: Option<Range<usize>>,
}

/// Something to draw, of a height that is known or guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Item {
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
}

impl Transcript {
    /// Puts the cursor into the message that is being edited.
    pub fn focus_editor(&mut self) {
        self.editor.focus();
    }

    /// Shows the end, where something was asked for.
    pub fn scroll_to_end(&mut self) {
        self.scrolls_to_end = true;
    }

    /// Shows the match that is looked at.
    pub fn scroll_to_match(&mut self) {
        self.looks = LOOKS;
    }

    /// Draws the conversation. `pace` says how soon to draw again where heights were news.
    pub fn show(
        &mut self,
        ui: &mut egui::Ui,
        state: &State,
        pace: &Pace,
        actions: &mut Vec<Action>,
    ) {
        let id = &state.conversation().id;
        if self.conversation != *id {
            self.conversation.clone_from(id);
            self.heights.clear();
            (self.focused, self.selected) = (None, None);
        }
        let bar = ui.spacing().scroll.bar_width + 2.0 * GRID;
        let room = ui.available_width() - bar;
        let width = (room - 2.0 * (OUTSET + EDGE)).clamp(60.0, READING_WIDTH);
        let margin = ((room - width) / 2.0).max(0.0);
        let items = self.items(state, width);
        let target = self.target(state);
        ScrollArea::vertical()
            .id_salt(("messages", id))
            .auto_shrink(false)
            .stick_to_bottom(true)
            .show_viewport(ui, |ui, viewport| {
                let origin = ui.max_rect().min + vec2(margin, 0.0);
                let mut page = Page {
                    column: Rect::from_min_size(origin, vec2(width, 0.0)),
                    viewport,
                    target,
                    has_changed: false,
                };
                let end = self.draw(ui, state, items, &mut page, actions);
                ui.set_height(end);
                if std::mem::take(&mut self.scrolls_to_end) {
                    let end = Rect::from_min_size(origin + vec2(0.0, end), vec2(1.0, 0.0));
                    ui.scroll_to_rect(end, Some(Align::BOTTOM));
                }
                if page.has_changed || self.looks > 0 {
                    // Once more, now that the heights are known.
                    pace.repaint(ui.ctx());
                }
            });
    }

    /// Returns how high all of it is.
    fn draw(
        &mut self,
        ui: &mut egui::Ui,
        state: &State,
        items: Vec<(Item, f32)>,
        page: &mut Page,
        actions: &mut Vec<Action>,
    ) -> f32 {
        let selected = self.still_selected(ui);
        let pointer = ui
            .rect_contains_pointer(ui.clip_rect())
            .then(|| ui.ctx().pointer_hover_pos())
            .flatten()
            .map(|pointer| pointer.y - page.column.top());
        // On a touch screen nothing hovers.
        let shows_all = ui.input(egui::InputState::has_touch_screen);
        let (mut y, mut message_top) = (EDGE, EDGE);
        let mut in_sight: Option<Range<usize>> = None;
        for (i, (item, height)) in items.into_iter().enumerate() {
            if matches!(item, Item::Header(_)) {
                message_top = y;
            }
            let reach = page.viewport.y_range().expand(MARGIN);
            let is_in_sight = y + height >= reach.min && y <= reach.max;
            if is_in_sight {
                let begin = in_sight.map_or(i, |range| range.start);
                in_sight = Some(begin..i + 1);
            }
            let is_selected = selected.as_ref().is_some_and(|range| range.contains(&i));
            if !is_in_sight && !is_selected {
                if page.target == Some(item) && self.looks > 0 {
                    let rect = Rect::from_min_size(
                        page.column.min + vec2(0.0, y),
                        vec2(page.column.width(), height),
                    );
                    scroll_to(ui, rect);
                }
                y += height;
                continue;
            }
            let rect = Rect::from_min_size(
                page.column.min + vec2(0.0, y),
                vec2(page.column.width(), height),
            );
            let builder = UiBuilder::new()
                .max_rect(rect)
                .layout(Layout::top_down(Align::Min))
                // The same wherever it is scrolled to: a selection knows texts by it.
                .scope_id(egui::Id::unique(("item", &self.conversation, item)));
            let mut child = ui.new_child(builder);
            child.set_width(page.column.width());
            child.spacing_mut().item_spacing.y = 0.0;
            let is_hovered = pointer.is_some_and(|y_of| (message_top..y + height).contains(&y_of));
            let matched = self.item(&mut child, state, item, shows_all || is_hovered, actions);
            if page.target == Some(item) && self.looks > 0 {
                scroll_to(ui, matched.unwrap_or(rect));
                self.looks -= 1;
            }
            let drawn = child.min_rect().height();
            page.has_changed |= self.remember(item, drawn, height);
            // What follows must not lie over it, even if it has grown since it was last drawn.
            y += match item {
                Item::Header(_) => height,
                _ => drawn,
            };
        }
        if let (Some(selected), Some(sight)) = (&mut self.selected, in_sight) {
            let all = selected.start.min(sight.start)..selected.end.max(sight.end);
            *selected = if all.len() > MOST_SELECTED {
                sight
            } else {
                all
            };
        }
        y
    }

    /// What is to be laid out because of what is selected.
    fn still_selected(&mut self, ui: &egui::Ui) -> Option<Range<usize>> {
        let selection = ui.ctx().plugin::<LabelSelectionState>();
        if selection.lock().has_selection() {
            self.selected.get_or_insert(usize::MAX..0);
        } else {
            self.selected = None;
        }
        self.selected.clone()
    }

    /// What there is to draw, first to last, with heights.
    fn items(&mut self, state: &State, width: f32) -> Vec<(Item, f32)> {
        let conversation = state.conversation();
        let mut items = Vec::new();
        let editing = state.edit().map(|edit| edit.message);
        let known = |item: Item, guess: f32| {
            let height = self.heights.get(&item);
            (item, height.copied().unwrap_or(guess))
        };
        if conversation.mode == Mode::Completion {
            if editing.is_some() {
                return vec![known(Item::TextEditor, 400.0)];
            }
            self.flow.update(conversation, width);
            let heights = self.flow.heights.iter().enumerate();
            items.extend(heights.map(|(i, height)| (Item::Line(i), *height)));
            items.push(known(Item::TextFooter, CONTROL + GAP));
            return items;
        }
        for at in conversation.path() {
            let message = conversation.message(*at);
            items.push((Item::Header(*at), HEADER));
            if editing == Some(*at) {
                items.push(known(Item::Editor(*at), 380.0));
                continue;
            }
            let cut = match message.role {
                Role::Assistant => Cut::Markdown,
                _ => Cut::Plain,
            };
            let text = (message.text.as_str(), message.version, cut);
            let pieces = self.cache.pieces(&conversation.id, *at, text, width);
            if state.settings.probabilities && !message.tokens.is_empty() {
                let guess = pieces.heights.iter().sum();
                items.push((Item::Tokens(*at), guess));
            } else {
                let heights = pieces.heights.iter().enumerate();
                items.extend(heights.map(|(i, height)| (Item::Piece(*at, i), *height)));
            }
            items.push(known(Item::Footer(*at), CONTROL + GAP));
        }
        items
    }

    /// Where the match is that is looked at.
    fn target(&self, state: &State) -> Option<Item> {
        let Hit { message, range } = state.find.as_ref()?.hit()?;
        let conversation = state.conversation();
        if conversation.mode == Mode::Completion {
            let holds =
                |(other, part): &(usize, Range<usize>)| other == message && range.start < part.end;
            let line = self
                .flow
                .lines
                .iter()
                .position(|line| line.iter().any(holds));
            return line.map(Item::Line);
        }
        let has_tokens = !conversation.message(*message).tokens.is_empty();
        if state.settings.probabilities && has_tokens {
            return Some(Item::Tokens(*message));
        }
        let pieces = self.cache.known(*message)?;
        let piece = pieces
            .all
            .iter()
            .position(|piece| range.start < piece.range.end);
        piece.map(|piece| Item::Piece(*message, piece))
    }

    /// Keeps a height that turned out. Returns whether it was news.
    fn remember(&mut self, item: Item, drawn: f32, expected: f32) -> bool {
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

    /// Draws an item; `is_hovered`: the pointer is on its message. Returns where the match is that is looked at.
    fn item(
        &mut self,
        ui: &mut egui::Ui,
        state: &State,
        item: Item,
        is_hovered: bool,
        actions: &mut Vec<Action>,
    ) -> Option<Rect> {
        let conversation = state.conversation();
        let find = state.find.as_ref();
        let marks = |message| find.map_or(Marks::NONE, |find: &Find| find.marks(message));
        match item {
            Item::Header(at) => message::header(ui, conversation, at),
            Item::Piece(at, piece) => {
                let message = conversation.message(at);
                let pieces = self.cache.known(at)?;
                let source = Source {
                    text: &message.text,
                    marks: marks(at),
                };
                return match message.role {
                    Role::Assistant => written(ui, source, pieces, piece),
                    _ => bubble(ui, source, pieces, piece),
                };
            }
            Item::Tokens(at) => {
                let stretches = [(at, 0..conversation.message(at).text.len())];
                let matched = inspector::text(ui, state, &stretches, &marks, actions);
                ui.add_space(PARAGRAPH);
                return matched;
            }
            Item::Line(line) => {
                let stretches: &[tokens::Stretch] = &self.flow.lines[line];
                return inspector::text(ui, state, stretches, &marks, actions);
            }
            Item::Editor(at) => {
                let is_user = conversation.message(at).role == Role::User;
                let can_send = is_user.then_some(state.can_generate());
                self.editor.show(ui, state, can_send, actions);
                ui.add_space(GAP);
            }
            Item::TextEditor => self.editor.show(ui, state, None, actions),
            Item::Footer(at) => {
                self.footer(ui, state, at, is_hovered, actions);
                ui.add_space(GAP);
            }
            Item::TextFooter => {
                if let Some(last) = conversation.last() {
                    ui.add_space(PARAGRAPH);
                    self.footer(ui, state, last, true, actions);
                    ui.add_space(PARAGRAPH);
                }
            }
        }
        None
    }

    fn footer(
        &mut self,
        ui: &mut egui::Ui,
        state: &State,
        at: usize,
        is_hovered: bool,
        actions: &mut Vec<Action>,
    ) {
        let is_shown = is_hovered || self.focused == Some(at);
        let has_focus = message::footer(ui, state, at, is_shown, actions);
        if has_focus != (self.focused == Some(at)) {
            self.focused = has_focus.then_some(at);
            // What the keyboard is on is seen.
            ui.ctx().request_repaint();
        }
    }
}

/// What a frame of the conversation needs to know.
struct Page {
    /// Where text stands; it has no height.
    column: Rect,
    /// What of it is in sight.
    viewport: Rect,
    /// What has the match that is looked at.
    target: Option<Item>,
    /// Whether a height was news.
    has_changed: bool,
}

fn scroll_to(ui: &egui::Ui, rect: Rect) {
    ui.scroll_to_rect_animation(rect, Some(Align::Center), ScrollAnimation::none());
}

/// What the model wrote stands on the page.
fn written(ui: &mut egui::Ui, source: Source<'_>, pieces: &Pieces, piece: usize) -> Option<Rect> {
    let range = &pieces.all[piece].range;
    let matched = match &pieces.all[piece].kind {
        blocks::Kind::Prose => source.markdown(ui, range),
        blocks::Kind::Code { opening } => {
            let code = Code {
                opening: &source.text[opening.clone()],
                whole: pieces.code(piece),
            };
            let is_last = range.end == code.whole.end;
            let matched = source.code(ui, code, range);
            if !is_last {
                return matched;
            }
            matched
        }
    };
    ui.add_space(PARAGRAPH);
    matched
}

/// What the person wrote stands in a bubble.
fn bubble(ui: &mut egui::Ui, source: Source<'_>, pieces: &Pieces, piece: usize) -> Option<Rect> {
    let background = ui.painter().add(egui::Shape::Noop);
    let is_first = piece == 0;
    let is_last = piece + 1 == pieces.all.len();
    ui.add_space(if is_first { INSET } else { 0.0 });
    let (width, matched) = source.plain(ui, &pieces.all[piece].range);
    ui.add_space(if is_last { INSET } else { PARAGRAPH });
    let mut rect = ui.min_rect();
    if is_first && is_last {
        // A short text has a short bubble.
        rect.set_width(width);
    }
    let rect = rect.expand2(vec2(OUTSET, 0.0));
    let corner = |is_end: bool| if is_end { 2 * CORNER } else { 0 };
    let corners = egui::CornerRadius {
        nw: corner(is_first),
        ne: corner(is_first),
        sw: corner(is_last),
        se: corner(is_last),
    };
    let fill = theme::palette(ui).person();
    let shape = egui::epaint::RectShape::filled(rect, corners, fill);
    ui.painter().set(background, shape);
    matched
}
