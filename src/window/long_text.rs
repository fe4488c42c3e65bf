//! A box to write in that stays quick however long the text is. egui lays out all of a text in a box, and tells screen readers of each
//! of its lines, in every frame: with 100,000 characters that is 40 to 150 ms a frame. So a long text is edited in parts.

use std::borrow::Cow;
use std::ops::Range;

use egui::style::ScrollAnimation;
use egui::text::{CCursor, CCursorRange};
use egui::text_edit::TextEditState;
use egui::{Event, Response, TextEdit};

use super::icons::Icon;
use super::theme;
use super::widgets::icon_button;

/// The most bytes that are edited at once.
const LONG: usize = 12_000;

/// Bytes of a part before and after the place that it was made for.
const BEFORE: usize = 4_000;
const AFTER: usize = 2_000;

/// Which part of a text is in the box.
#[derive(Default)]
pub struct LongText {
    part: Range<usize>,
    /// Bytes of the text that it is a part of.
    length: usize,
    /// Whether the cursor was put somewhere and is to be seen there.
    shows_cursor: bool,
}

impl LongText {
    /// Draws the box, which `set` makes into what it is to be beside. Returns what the text has become, if it was changed.
    pub fn show(
        &mut self,
        ui: &mut egui::Ui,
        id: egui::Id,
        text: &str,
        set: impl for<'t> FnOnce(TextEdit<'t>) -> TextEdit<'t>,
    ) -> (Response, Option<String>) {
        // The text may have been replaced since the last frame.
        self.follow(ui, id, text);
        let pasted = self.paste(ui, id, text);
        let text = pasted.as_deref().unwrap_or(text);
        self.follow(ui, id, text);
        let Range { start, end } = self.part;
        let mut part = Cow::Borrowed(&text[start..end]);
        let output = set(TextEdit::multiline(&mut part).id(id)).show(ui);
        let response = output.response.response;
        if std::mem::take(&mut self.shows_cursor) {
            let cursor = output.state.cursor.char_range().map(|range| range.primary);
            let cursor = output.galley.pos_from_cursor(cursor.unwrap_or_default());
            let cursor = cursor.translate(output.galley_pos.to_vec2());
            ui.scroll_to_rect_animation(cursor, None, ScrollAnimation::none());
        }
        let changed = match part {
            Cow::Owned(part) => {
                self.part = start..start + part.len();
                let whole = [&text[..start], &part, &text[end..]].concat();
                self.length = whole.len();
                Some(whole)
            }
            Cow::Borrowed(_) => pasted,
        };
        (response, changed)
    }

    /// Another text is in the box: its end is what is seen of it, and what was done to the one before cannot be undone in it.
    pub fn begin(&mut self, ui: &egui::Ui, id: egui::Id, text: &str) {
        self.look_at(ui, id, text, text.len());
    }

    /// What a long text that is pasted makes of the text. Short ones are egui's business.
    fn paste(&mut self, ui: &egui::Ui, id: egui::Id, text: &str) -> Option<String> {
        if !ui.memory(|memory| memory.has_focus(id)) {
            return None;
        }
        let is_long = |event: &Event| matches!(event, Event::Paste(text) if text.len() > AFTER);
        let pasted = ui.input_mut(|input| {
            let at = input.events.iter().position(is_long)?;
            match input.events.remove(at) {
                Event::Paste(text) => Some(text),
                _ => None,
            }
        })?;
        let selected = self.selected(ui, id, text);
        let whole = [&text[..selected.start], &pasted, &text[selected.end..]].concat();
        self.look_at(ui, id, &whole, selected.start + pasted.len());
        Some(whole)
    }

    /// Bytes of the text that are selected, or where the cursor is.
    fn selected(&self, ui: &egui::Ui, id: egui::Id, text: &str) -> Range<usize> {
        let field = TextEditState::load(ui.ctx(), id);
        let cursor = field.and_then(|field| field.cursor.char_range());
        let part = text.get(self.part.clone()).unwrap_or_default();
        let byte = |index: usize| {
            let letter = part.char_indices().nth(index);
            self.part.start + letter.map_or(part.len(), |(byte, _)| byte)
        };
        match cursor {
            Some(range) => {
                let range = range.as_sorted_char_range();
                byte(range.start.0)..byte(range.end.0)
            }
            None => text.len()..text.len(),
        }
    }

    /// Sees to it that the part is one of this text.
    fn follow(&mut self, ui: &egui::Ui, id: egui::Id, text: &str) {
        if text.len() <= LONG && self.part.len() == self.length {
            // All of it.
            (self.part, self.length) = (0..text.len(), text.len());
        } else if self.length != text.len() || text.get(self.part.clone()).is_none() {
            self.look_at(ui, id, text, text.len());
        } else if self.part.len() > LONG {
            // It has grown.
            let cursor = self.selected(ui, id, text).end;
            self.look_at(ui, id, text, cursor);
        }
    }

    /// Puts the part around a place, and the cursor there.
    fn look_at(&mut self, ui: &egui::Ui, id: egui::Id, text: &str, place: usize) {
        self.length = text.len();
        self.part = match text.len() <= LONG {
            true => 0..text.len(),
            false => {
                text.floor_char_boundary(place.saturating_sub(BEFORE))
                    ..text.ceil_char_boundary(place.saturating_add(AFTER))
            }
        };
        let mut field = TextEditState::load(ui.ctx(), id).unwrap_or_default();
        // What was undone would be put into another part.
        field.clear_undoer();
        let cursor = CCursor::new(text[self.part.start..place].chars().count());
        field.cursor.set_char_range(Some(CCursorRange::one(cursor)));
        field.store(ui.ctx(), id);
        self.shows_cursor = true;
    }

    /// Says which part of a long text it is, with buttons that show others.
    pub fn parts(&mut self, ui: &mut egui::Ui, id: egui::Id, text: &str) {
        if self.length != text.len() || self.part.len() == text.len() {
            return;
        }
        let Range { start, end } = self.part;
        ui.horizontal(|ui| {
            let earlier = |ui: &mut egui::Ui| icon_button(ui, Icon::Up, "Earlier part", "");
            if ui.add_enabled(start > 0, earlier).clicked() {
                self.look_at(ui, id, text, start);
            }
            let later = |ui: &mut egui::Ui| icon_button(ui, Icon::Down, "Later part", "");
            if ui.add_enabled(end < text.len(), later).clicked() {
                let place = text.floor_char_boundary((end + BEFORE).min(text.len()));
                self.look_at(ui, id, text, place);
            }
            let count = |text: &str| text.chars().count();
            let (before, here, all) =
                (count(&text[..start]), count(&text[start..end]), count(text));
            let which = format!("characters {} to {} of {all}", before + 1, before + here);
            ui.label(theme::aside(which));
        });
    }
}
