//! The conversation, of which only what is in sight is laid out.

use egui::style::ScrollAnimation;
use egui::text_selection::LabelSelectionState;
use egui::{Align, Layout, Rect, ScrollArea, UiBuilder, vec2};

use super::action::Action;
use super::arrangement::{Arrangement, GAP, Item};
use super::blocks::Pieces;
use super::editor::Editor;
use super::find::{Find, Marks};
use super::pace::Pace;
use super::prose::Source;
use super::state::State;
use super::theme::{self, CORNER, GRID, READING_WIDTH};
use super::written::{PARAGRAPH, written};
use super::{answers, inspector, message, scrolling};
use crate::text::Role;

/// Above and below what stands in a bubble.
const INSET: f32 = 2.0 * GRID;

/// How far a bubble reaches beyond the column, so that its text stands where all other text does.
pub const OUTSET: f32 = 3.0 * GRID;

/// Above the first message, and beside what is widest.
const EDGE: f32 = 2.0 * GRID;

/// How much above and below what is in sight is laid out too.
const MARGIN: f32 = 40.0;

/// The most that is laid out out of sight because it is selected.
const MOST_SELECTED: usize = 200;

/// How often a match is looked for again after it was scrolled to: what was laid out on the way may have moved it.
const LOOKS: u8 = 2;

/// The place of an item: its row, and where it stands in that.
type Place = (usize, usize);

/// What only this view needs: what it has measured, and what it is to do when it is drawn next. Nothing else reads it.
#[derive(Default)]
pub struct Transcript {
    scrolls_to_end: bool,
    /// How many more times to scroll to the match that is looked at.
    looks: u8,
    arrangement: Arrangement,
    editor: Editor,
    /// The message whose buttons the keyboard is on.
    focused: Option<usize>,
    /// First and last of what was in sight since something is selected: egui ends a selection whose ends are not laid out.
    selected: Option<(Place, Place)>,
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
        let bar = ui.spacing().scroll.bar_width + 2.0 * GRID;
        let room = ui.available_width() - bar;
        let width = (room - 2.0 * (OUTSET + EDGE)).clamp(60.0, READING_WIDTH);
        let margin = ((room - width) / 2.0).max(0.0);
        if self.arrangement.update(state, width) {
            (self.focused, self.selected) = (None, None);
        }
        ScrollArea::vertical()
            .id_salt(("messages", id))
            .auto_shrink(false)
            .stick_to_bottom(true)
            .show_viewport(ui, |ui, viewport| {
                if state.overlays.is_empty() {
                    scrolling::by_page(ui, viewport.height());
                }
                let origin = ui.max_rect().min + vec2(margin, 0.0);
                let mut page = Page {
                    column: Rect::from_min_size(origin, vec2(width, 0.0)),
                    answers: wide(origin, margin, room, state.offered().len()),
                    viewport,
                    target: self.arrangement.target(state),
                    pointer: hovered(ui, origin),
                    shows_all: ui.input(egui::InputState::has_touch_screen),
                    in_sight: None,
                    has_changed: false,
                };
                let end = self.draw(ui, state, &mut page, actions);
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
        page: &mut Page,
        actions: &mut Vec<Action>,
    ) -> f32 {
        let selection = ui.ctx().plugin::<LabelSelectionState>();
        if !selection.lock().has_selection() {
            self.selected = None;
        }
        let selected = self.selected;
        let mut y = EDGE;
        let mut out_of_sight = 0;
        for row in 0..self.arrangement.rows() {
            let height = self.arrangement.height(row);
            let is_selected = selected.is_some_and(|(a, b)| (a.0..=b.0).contains(&row));
            let is_target = page.target.is_some_and(|(at, _)| at == row) && self.looks > 0;
            if !page.is_in_sight(y, height) && !is_selected && !is_target {
                y += height;
                continue;
            }
            let top = y;
            let items = self.arrangement.items(state, row).into_iter().enumerate();
            for (i, (item, height)) in items {
                let place = (row, i);
                let is_in_sight = page.is_in_sight(y, height);
                if is_in_sight {
                    let first = page.in_sight.map_or(place, |(first, _)| first);
                    page.in_sight = Some((first, place));
                }
                let is_selected = selected.is_some_and(|(a, b)| a <= place && place <= b);
                if is_in_sight || is_selected {
                    out_of_sight += usize::from(!is_in_sight);
                    y += self.draw_item(ui, state, item, (top, y, height), page, actions);
                    continue;
                }
                if page.target.is_some_and(|(_, target)| target == item) && self.looks > 0 {
                    scroll_to(ui, page.rect(y, height));
                }
                y += height;
            }
            self.arrangement.set_height(row, y - top);
        }
        if selection.lock().has_selection() {
            let sight = page.in_sight;
            let all = sight.zip(self.selected);
            let all = all.map(|(sight, old)| (sight.0.min(old.0), sight.1.max(old.1)));
            self.selected = all.filter(|_| out_of_sight <= MOST_SELECTED).or(sight);
        }
        y
    }

    /// Draws an item of a message that begins at `top`. Returns how high it is.
    fn draw_item(
        &mut self,
        ui: &mut egui::Ui,
        state: &State,
        item: Item,
        (top, y, height): (f32, f32, f32),
        page: &mut Page,
        actions: &mut Vec<Action>,
    ) -> f32 {
        let rect = match item {
            Item::Answers(_) => page.wide_rect(y, height),
            _ => page.rect(y, height),
        };
        let builder = UiBuilder::new()
            .max_rect(rect)
            .layout(Layout::top_down(Align::Min))
            // The same wherever it is scrolled to: a selection knows texts by it.
            .scope_id(egui::Id::unique(("item", &state.conversation().id, item)));
        let mut child = ui.new_child(builder);
        child.set_width(rect.width());
        child.spacing_mut().item_spacing.y = 0.0;
        let is_hovered = page
            .pointer
            .is_some_and(|pointer| (top..y + height).contains(&pointer));
        let is_hovered = page.shows_all || is_hovered;
        let matched = self.item(&mut child, state, item, is_hovered, actions);
        if page.target.is_some_and(|(_, target)| target == item) && self.looks > 0 {
            scroll_to(ui, matched.unwrap_or(rect));
            self.looks -= 1;
        }
        let drawn = child.min_rect().height();
        page.has_changed |= self.arrangement.remember(item, drawn, height);
        // What follows must not lie over it, even if it has grown since it was last drawn.
        match item {
            Item::Header(_) => height,
            _ => drawn,
        }
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
                let pieces = self.arrangement.pieces(at)?;
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
                let stretches = self.arrangement.line(line);
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
            Item::Answers(_) => {
                ui.add_space(GAP);
                let matched = answers::show(ui, state, &mut self.arrangement, &marks, actions);
                ui.add_space(PARAGRAPH);
                return matched;
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
    /// Where answers to choose from stand.
    answers: Rect,
    /// What of it is in sight.
    viewport: Rect,
    /// The row and the item that have the match that is looked at.
    target: Option<(usize, Item)>,
    /// How far down the pointer is.
    pointer: Option<f32>,
    /// Whether all is shown that is shown where the pointer is.
    shows_all: bool,
    /// First and last of what is in sight.
    in_sight: Option<(Place, Place)>,
    /// Whether a height was news.
    has_changed: bool,
}

impl Page {
    fn is_in_sight(&self, y: f32, height: f32) -> bool {
        y + height >= self.viewport.top() - MARGIN && y <= self.viewport.bottom() + MARGIN
    }

    fn rect(&self, y: f32, height: f32) -> Rect {
        below(self.column, y, height)
    }

    fn wide_rect(&self, y: f32, height: f32) -> Rect {
        below(self.answers, y, height)
    }
}

/// What is so far below a rectangle's top, as wide as that.
fn below(top: Rect, y: f32, height: f32) -> Rect {
    Rect::from_min_size(top.min + vec2(0.0, y), vec2(top.width(), height))
}

/// Where `count` answers stand, in the middle of all the room that there is.
fn wide(column: egui::Pos2, margin: f32, room: f32, count: usize) -> Rect {
    let width = answers::width(count, (room - 2.0 * EDGE).max(60.0));
    let left = column.x - margin + (room - width) / 2.0;
    Rect::from_min_size(egui::pos2(left, column.y), vec2(width, 0.0))
}

/// How far below `origin` the pointer is, if it is on the conversation.
fn hovered(ui: &egui::Ui, origin: egui::Pos2) -> Option<f32> {
    let is_here = ui.rect_contains_pointer(ui.clip_rect());
    let pointer = ui.ctx().pointer_hover_pos().filter(|_| is_here)?;
    Some(pointer.y - origin.y)
}

fn scroll_to(ui: &egui::Ui, rect: Rect) {
    ui.scroll_to_rect_animation(rect, Some(Align::Center), ScrollAnimation::none());
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
