//! The conversation, of which only what is in sight is laid out, and the box to write in.

use std::borrow::Cow;
use std::collections::HashMap;

use egui::{Align, Layout, ScrollArea, TextEdit, UiBuilder};
use egui_commonmark::{CommonMarkCache, CommonMarkViewer};

use super::action::{Action, Overlay};
use super::conversation::Mode;
use super::flow::Flow;
use super::pace::Pace;
use super::state::{OpenEdit, State};
use super::tokens::{Stretch, token_at};
use super::widgets::name;
use super::{blocks, composer, inspector, message};
use crate::text::Role;

/// Text is not read well in longer lines.
const MOST_WIDTH: f32 = 820.0;

/// Between paragraphs.
const PARAGRAPH: f32 = 5.0;

/// What to begin with, for those who just want to see something.
const SUGGESTIONS: [&str; 3] = [
    "Once upon a time there was a king",
    "The old woman said to the fox",
    "In the middle of the forest",
];

/// What only this view needs: what it has measured, and what it is to do when it is drawn next. Nothing else reads it.
#[derive(Default)]
pub struct ChatView {
    focus: Option<Focus>,
    scrolls_to_end: bool,
    cache: blocks::Cache,
    markdown: CommonMarkCache,
    flow: Flow,
    /// Of all that is not a piece of text, as it was last drawn.
    heights: HashMap<(String, Item), f32>,
}

/// Where to put the cursor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Focus {
    Composer,
    Editor,
}

/// Something to draw, of a height that is known or guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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

impl ChatView {
    /// Puts the cursor into the box to write in.
    pub fn focus_composer(&mut self) {
        self.focus = Some(Focus::Composer);
    }

    /// Puts it into the message that is being edited.
    pub fn focus_editor(&mut self) {
        self.focus = Some(Focus::Editor);
    }

    /// Shows the end, where something was asked for.
    pub fn scroll_to_end(&mut self) {
        self.scrolls_to_end = true;
    }

    /// Whether the cursor is to be put there now.
    fn takes_focus(&mut self, focus: Focus) -> bool {
        self.focus.take_if(|wanted| *wanted == focus).is_some()
    }

    /// Draws the conversation above and the box to write in below. `pace` says how soon to draw again where heights were news.
    pub fn show(
        &mut self,
        ui: &mut egui::Ui,
        state: &State,
        pace: &Pace,
        actions: &mut Vec<Action>,
    ) {
        let panel = egui::Panel::bottom("composer").resizable(false);
        panel.show(ui, |ui| {
            inspector::show(ui, state, actions);
            composer::show(ui, state, self.takes_focus(Focus::Composer), actions);
        });
        egui::CentralPanel::default().show(ui, |ui| {
            if state.conversation().is_empty() {
                welcome(ui, state, actions);
            } else {
                self.messages(ui, state, pace, actions);
            }
        });
    }

    fn messages(
        &mut self,
        ui: &mut egui::Ui,
        state: &State,
        pace: &Pace,
        actions: &mut Vec<Action>,
    ) {
        let id = &state.conversation().id;
        let bar = ui.spacing().scroll.bar_width + 8.0;
        let width = (ui.available_width() - bar).clamp(60.0, MOST_WIDTH);
        let margin = ((ui.available_width() - bar - width) / 2.0).max(0.0);
        let items = self.items(state, width);
        ScrollArea::vertical()
            .id_salt(("messages", id))
            .auto_shrink(false)
            .stick_to_bottom(true)
            .show_viewport(ui, |ui, viewport| {
                let origin = ui.max_rect().min + egui::vec2(margin, 0.0);
                let mut y = 0.0;
                let mut has_changed = false;
                for (i, (item, height)) in items.into_iter().enumerate() {
                    if y + height >= viewport.min.y - 40.0 && y <= viewport.max.y + 40.0 {
                        let rect = egui::Rect::from_min_size(
                            origin + egui::vec2(0.0, y),
                            egui::vec2(width, height),
                        );
                        let builder = UiBuilder::new()
                            .max_rect(rect)
                            .layout(Layout::top_down(Align::Min))
                            .id_salt(("item", i));
                        let mut child = ui.new_child(builder);
                        child.set_width(width);
                        self.item(&mut child, state, item, actions);
                        let drawn = child.min_rect().height() + ui.spacing().item_spacing.y;
                        has_changed |= self.remember(id, item, drawn, height);
                        // What follows must not lie over it, even if it has grown since it was last drawn.
                        y += match item {
                            Item::Header(_) => height,
                            _ => drawn,
                        };
                    } else {
                        y += height;
                    }
                }
                ui.set_height(y);
                if std::mem::take(&mut self.scrolls_to_end) {
                    let end = egui::Rect::from_min_size(
                        origin + egui::vec2(0.0, y),
                        egui::vec2(1.0, 0.0),
                    );
                    ui.scroll_to_rect(end, Some(Align::BOTTOM));
                }
                if has_changed {
                    // Once more, now that the heights are known.
                    pace.repaint(ui.ctx());
                }
            });
    }

    /// What there is to draw, first to last, with heights.
    fn items(&mut self, state: &State, width: f32) -> Vec<(Item, f32)> {
        const LINE: f32 = 26.0;
        let conversation = state.conversation();
        let mut items = Vec::new();
        let editing = state.edit().map(|edit| edit.message);
        let known = |item: Item, guess: f32| {
            let key = (conversation.id.clone(), item);
            (item, self.heights.get(&key).copied().unwrap_or(guess))
        };
        if conversation.mode == Mode::Completion {
            if editing.is_some() {
                return vec![known(Item::TextEditor, 400.0)];
            }
            self.flow.update(conversation, width);
            let heights = self.flow.heights.iter();
            items.extend(
                heights
                    .enumerate()
                    .map(|(i, height)| (Item::Line(i), *height)),
            );
            items.push(known(Item::TextFooter, 2.0 * LINE));
            return items;
        }
        for at in conversation.path() {
            let message = conversation.message(*at);
            items.push((Item::Header(*at), LINE));
            if editing == Some(*at) {
                items.push(known(Item::Editor(*at), 380.0));
                continue;
            }
            if state.settings.probabilities && !message.tokens.is_empty() {
                let pieces =
                    self.cache
                        .pieces(&conversation.id, *at, &message.text, message.version, width);
                let guess = pieces.heights.iter().sum();
                items.push((Item::Tokens(*at), guess));
            } else {
                let pieces =
                    self.cache
                        .pieces(&conversation.id, *at, &message.text, message.version, width);
                let heights = pieces.heights.iter().enumerate();
                items.extend(heights.map(|(i, height)| (Item::Piece(*at, i), *height)));
            }
            items.push(known(Item::Footer(*at), LINE + 8.0));
        }
        items
    }

    /// Keeps a height that turned out. Returns whether it was news.
    fn remember(&mut self, conversation: &str, item: Item, drawn: f32, expected: f32) -> bool {
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
                self.heights.insert((conversation.to_owned(), item), drawn);
            }
        }
        true
    }

    fn item(&mut self, ui: &mut egui::Ui, state: &State, item: Item, actions: &mut Vec<Action>) {
        let conversation = state.conversation();
        match item {
            Item::Header(at) => message::header(ui, conversation, at, actions),
            Item::Piece(at, piece) => {
                let message = conversation.message(at);
                let Some(text) = self.cache.piece(at, piece) else {
                    return;
                };
                if message.role == Role::Assistant {
                    CommonMarkViewer::new().show(ui, &mut self.markdown, text);
                } else {
                    ui.label(text.trim_end());
                }
                // Pieces are paragraphs.
                ui.add_space(PARAGRAPH);
            }
            Item::Tokens(at) => {
                let stretches = [(at, 0..conversation.message(at).text.len())];
                tokens(ui, state, &stretches, false, actions);
            }
            Item::Line(line) => {
                let stretches = &self.flow.lines[line];
                tokens(ui, state, stretches, true, actions);
            }
            Item::Editor(at) => {
                let is_user = conversation.message(at).role == Role::User;
                let can_send = is_user.then_some(state.can_generate());
                self.editor(ui, state, can_send, actions);
            }
            Item::TextEditor => {
                self.editor(ui, state, None, actions);
            }
            Item::Footer(at) => {
                message::footer(ui, state, at, actions);
                ui.add_space(8.0);
            }
            Item::TextFooter => {
                if let Some(last) = conversation.last() {
                    ui.add_space(6.0);
                    message::footer(ui, state, last, actions);
                }
            }
        }
    }

    /// `can_send` is `None` for what is nobody's question.
    fn editor(
        &mut self,
        ui: &mut egui::Ui,
        state: &State,
        can_send: Option<bool>,
        actions: &mut Vec<Action>,
    ) {
        let Some(OpenEdit { text, .. }) = state.edit() else {
            return;
        };
        let mut text = Cow::Borrowed(text.as_str());
        let scroll = ScrollArea::vertical().id_salt("editor");
        scroll
            .max_height(320.0)
            .min_scrolled_height(320.0)
            .show(ui, |ui| {
                let edit = TextEdit::multiline(&mut text)
                    .desired_width(f32::INFINITY)
                    .desired_rows(4);
                let response = ui.add(edit);
                name(ui, &response, "Edit message");
                if self.takes_focus(Focus::Editor) {
                    response.request_focus();
                }
            });
        if let Cow::Owned(text) = text {
            actions.push(Action::SetEdit(text));
        }
        ui.horizontal(|ui| {
            if ui
                .button("Save")
                .on_hover_text("Change it where it stands")
                .clicked()
            {
                actions.push(Action::SaveEdit);
            }
            if let Some(can_send) = can_send {
                let again = egui::Button::new("Send as a new branch");
                if ui.add_enabled(can_send, again).clicked() {
                    actions.push(Action::SendEdit);
                }
            }
            if ui.button("Cancel").clicked() {
                actions.push(Action::CancelEdit);
            }
        });
    }
}

/// What an empty conversation shows.
fn welcome(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let mode = state.conversation().mode;
    let has_tokenizer = state.has_tokenizer();
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.vertical_centered(|ui| {
            ui.add_space((ui.available_height() * 0.22).max(8.0));
            ui.heading(match mode {
                Mode::Completion => "A text that the model continues",
                Mode::Chat => "A chat",
            });
            let advice = match (mode, has_tokenizer) {
                (_, false) => {
                    "This model has no tokenizer: write token ids, such as 1, 9038, 2501."
                }
                (Mode::Completion, _) => "Write its beginning below, or take one of these:",
                (Mode::Chat, _) => "Ask something below.",
            };
            ui.label(advice);
            ui.add_space(8.0);
            if mode == Mode::Completion && has_tokenizer {
                let can = state.can_generate();
                for suggestion in SUGGESTIONS {
                    let button = egui::Button::new(suggestion).min_size(egui::vec2(240.0, 28.0));
                    if ui.add_enabled(can, button).clicked() {
                        actions.push(Action::Send(suggestion.to_owned()));
                    }
                }
            }
            if state.info().is_some_and(|info| info.name == "demo") {
                ui.add_space(16.0);
                ui.weak("This is the built-in demo: a tiny model that knows only old fairy tales.");
                if ui.link("Get Apple's OpenELM weights…").clicked() {
                    actions.push(Action::ShowOverlay(Overlay::Models));
                }
            }
        });
    });
}

/// Text in which every token can be clicked.
fn tokens(
    ui: &mut egui::Ui,
    state: &State,
    stretches: &[Stretch],
    authors: bool,
    actions: &mut Vec<Action>,
) {
    let conversation = state.conversation();
    let probabilities = state.settings.probabilities;
    let job = inspector::job(
        ui,
        conversation,
        stretches,
        probabilities,
        authors,
        state.inspected,
    );
    if !probabilities {
        ui.label(job);
        return;
    }
    let label = egui::Label::new(job)
        .selectable(false)
        .sense(egui::Sense::click());
    let (position, galley, response) = label.layout_in_ui(ui);
    let color = ui.visuals().text_color();
    ui.painter().galley(position, galley.clone(), color);
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::accesskit::Role::Label, true, galley.text())
    });
    let clicked = response.clicked().then(|| response.interact_pointer_pos());
    if let Some(pointer) = clicked.flatten() {
        let index = galley.cursor_from_pos(pointer - position).index.0;
        let byte = galley.text().char_indices().nth(index);
        let mut left = byte.map_or(galley.text().len(), |(byte, _)| byte);
        for (message, range) in stretches {
            if left < range.len() {
                let token = token_at(conversation, *message, range.start + left);
                actions.push(token.map_or(Action::CloseInspector, Action::Inspect));
                break;
            }
            left -= range.len();
        }
    }
}
