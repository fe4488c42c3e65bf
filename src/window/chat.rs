//! The conversation and the box to write in.

use std::collections::HashMap;

use egui::{Align, Key, Layout, Modifiers, RichText, ScrollArea, TextEdit, UiBuilder};
use egui_commonmark::{CommonMarkCache, CommonMarkViewer};

use super::app::Action;
use super::blocks;
use super::conversation::{Conversation, Mode, Stats};
use super::flow::Flow;
use super::inspector::{self, At, Span};
use super::name;
use super::pace::Pace;
use super::theme;
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

/// What only the view knows.
#[derive(Default)]
pub struct ChatView {
    pub draft: String,
    /// Messages that are being edited, one a conversation, by the conversation's id, and their texts so far.
    pub editing: HashMap<String, (usize, String)>,
    pub inspected: Option<At>,
    /// Put the cursor into the box to write in.
    pub focus: bool,
    /// Put it into the message that is being edited.
    pub focus_editor: bool,
    /// Show the end, where something was asked for.
    pub to_end: bool,
    cache: blocks::Cache,
    markdown: CommonMarkCache,
    flow: Flow,
    /// Of all that is not a piece of text, as it was last drawn.
    heights: HashMap<(String, Item), f32>,
}

/// What the view must know of the rest.
pub struct Context<'a> {
    pub conversation: &'a Conversation,
    /// The message that is being written by the model.
    pub writing: Option<usize>,
    /// Whether the model is busy, here or elsewhere.
    pub is_busy: bool,
    /// Why nothing can be sent, if so.
    pub not_ready: Option<&'a str>,
    pub probabilities: bool,
    pub has_tokenizer: bool,
    /// Whether the model is the embedded one.
    pub is_demo: bool,
    pub pace: &'a Pace,
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
    /// Draws the conversation above and the box to write in below.
    pub fn show(&mut self, ui: &mut egui::Ui, context: &Context<'_>, actions: &mut Vec<Action>) {
        let composer = egui::Panel::bottom("composer").resizable(false);
        composer.show(ui, |ui| {
            inspector::show(ui, context.conversation, &mut self.inspected, actions);
            self.composer(ui, context, actions);
        });
        egui::CentralPanel::default().show(ui, |ui| {
            if context.conversation.is_empty() {
                self.welcome(ui, context, actions);
            } else {
                self.messages(ui, context, actions);
            }
        });
    }

    fn welcome(&mut self, ui: &mut egui::Ui, context: &Context<'_>, actions: &mut Vec<Action>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.vertical_centered(|ui| {
                ui.add_space((ui.available_height() * 0.22).max(8.0));
                ui.heading(match context.conversation.mode {
                    Mode::Completion => "A text that the model continues",
                    Mode::Chat => "A chat",
                });
                let advice = match (context.conversation.mode, context.has_tokenizer) {
                    (_, false) => {
                        "This model has no tokenizer: write token ids, such as 1, 9038, 2501."
                    }
                    (Mode::Completion, _) => "Write its beginning below, or take one of these:",
                    (Mode::Chat, _) => "Ask something below.",
                };
                ui.label(advice);
                ui.add_space(8.0);
                if context.conversation.mode == Mode::Completion && context.has_tokenizer {
                    let can = context.not_ready.is_none() && !context.is_busy;
                    for suggestion in SUGGESTIONS {
                        let button =
                            egui::Button::new(suggestion).min_size(egui::vec2(240.0, 28.0));
                        if ui.add_enabled(can, button).clicked() {
                            actions.push(Action::Send(suggestion.to_owned()));
                        }
                    }
                }
                if context.is_demo {
                    ui.add_space(16.0);
                    ui.weak(
                        "This is the built-in demo: a tiny model that knows only old fairy tales.",
                    );
                    if ui.link("Get Apple's OpenELM weights…").clicked() {
                        actions.push(Action::ShowModels);
                    }
                }
            });
        });
    }

    fn messages(&mut self, ui: &mut egui::Ui, context: &Context<'_>, actions: &mut Vec<Action>) {
        let bar = ui.spacing().scroll.bar_width + 8.0;
        let width = (ui.available_width() - bar).clamp(60.0, MOST_WIDTH);
        let margin = ((ui.available_width() - bar - width) / 2.0).max(0.0);
        let items = self.items(context, width);
        ScrollArea::vertical()
            .id_salt(("messages", &context.conversation.id))
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
                        self.item(&mut child, context, item, actions);
                        let drawn = child.min_rect().height() + ui.spacing().item_spacing.y;
                        has_changed |= self.remember(&context.conversation.id, item, drawn, height);
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
                if std::mem::take(&mut self.to_end) {
                    let end = egui::Rect::from_min_size(
                        origin + egui::vec2(0.0, y),
                        egui::vec2(1.0, 0.0),
                    );
                    ui.scroll_to_rect(end, Some(Align::BOTTOM));
                }
                if has_changed {
                    // Once more, now that the heights are known.
                    context.pace.repaint(ui.ctx());
                }
            });
    }

    /// What there is to draw, first to last, with heights.
    fn items(&mut self, context: &Context<'_>, width: f32) -> Vec<(Item, f32)> {
        const LINE: f32 = 26.0;
        let conversation = context.conversation;
        let mut items = Vec::new();
        let editing = self.editing.get(&conversation.id).map(|(at, _)| *at);
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
            if context.probabilities && !message.tokens.is_empty() {
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

    fn item(
        &mut self,
        ui: &mut egui::Ui,
        context: &Context<'_>,
        item: Item,
        actions: &mut Vec<Action>,
    ) {
        let conversation = context.conversation;
        match item {
            Item::Header(at) => header(ui, conversation, at, actions),
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
                let spans = [(at, 0..conversation.message(at).text.len())];
                self.tokens(ui, context, &spans, false);
            }
            Item::Line(line) => {
                let spans = self.flow.lines[line].clone();
                self.tokens(ui, context, &spans, true);
            }
            Item::Editor(at) => {
                let can_send = context.not_ready.is_none() && !context.is_busy;
                let is_user = conversation.message(at).role == Role::User;
                self.editor(ui, &conversation.id, is_user.then_some(can_send), actions);
            }
            Item::TextEditor => {
                self.editor(ui, &conversation.id, None, actions);
            }
            Item::Footer(at) => {
                self.footer(ui, context, at, actions);
                ui.add_space(8.0);
            }
            Item::TextFooter => {
                if let Some(last) = conversation.last() {
                    ui.add_space(6.0);
                    self.footer(ui, context, last, actions);
                }
            }
        }
    }

    /// Text in which every token can be clicked.
    fn tokens(&mut self, ui: &mut egui::Ui, context: &Context<'_>, spans: &[Span], authors: bool) {
        let conversation = context.conversation;
        let job = inspector::job(
            ui,
            conversation,
            spans,
            context.probabilities,
            authors,
            self.inspected,
        );
        if !context.probabilities {
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
            for (message, range) in spans {
                if left < range.len() {
                    self.inspected =
                        inspector::token_at(conversation, *message, range.start + left);
                    break;
                }
                left -= range.len();
            }
        }
    }

    /// `can_send` is `None` for what is nobody's question.
    fn editor(
        &mut self,
        ui: &mut egui::Ui,
        conversation: &str,
        can_send: Option<bool>,
        actions: &mut Vec<Action>,
    ) {
        let Some((at, text)) = self.editing.get_mut(conversation) else {
            return;
        };
        let at = *at;
        let mut done = false;
        let scroll = ScrollArea::vertical().id_salt("editor");
        scroll
            .max_height(320.0)
            .min_scrolled_height(320.0)
            .show(ui, |ui| {
                let edit = TextEdit::multiline(text)
                    .desired_width(f32::INFINITY)
                    .desired_rows(4);
                let response = ui.add(edit);
                name(ui, &response, "Edit message");
                if std::mem::take(&mut self.focus_editor) {
                    response.request_focus();
                }
            });
        ui.horizontal(|ui| {
            if ui
                .button("Save")
                .on_hover_text("Change it where it stands")
                .clicked()
            {
                actions.push(Action::SaveEdit(at, text.clone()));
                done = true;
            }
            if let Some(can_send) = can_send {
                let again = egui::Button::new("Send as a new branch");
                if ui.add_enabled(can_send, again).clicked() {
                    actions.push(Action::SendBranch(at, text.clone()));
                    done = true;
                }
            }
            done |= ui.button("Cancel").clicked();
        });
        if done {
            self.editing.remove(conversation);
        }
    }

    fn composer(&mut self, ui: &mut egui::Ui, context: &Context<'_>, actions: &mut Vec<Action>) {
        let conversation = context.conversation;
        let can_send = context.not_ready.is_none() && !context.is_busy;
        let can_continue = conversation.mode == Mode::Completion && !conversation.is_empty();
        let hint = match (context.not_ready, conversation.mode) {
            (Some(why), _) => why,
            (None, Mode::Chat) => "Message (Enter sends, Shift+Enter for a new line)",
            (None, Mode::Completion) if conversation.is_empty() => {
                "How does the text begin? (Enter continues it)"
            }
            (None, Mode::Completion) => "Add to the text, or nothing, and continue",
        };
        ui.add_space(4.0);
        let mut send = false;
        ui.horizontal(|ui| {
            const BUTTON: f32 = 76.0;
            let width = (ui.available_width() - BUTTON - 8.0).max(40.0);
            let scroll = ScrollArea::vertical()
                .id_salt("draft")
                .max_width(width)
                .max_height(140.0)
                .auto_shrink([false, true]);
            scroll.show(ui, |ui| {
                let edit = TextEdit::multiline(&mut self.draft)
                    .id(egui::Id::unique("draft"))
                    .hint_text(hint.to_owned())
                    .desired_rows(1)
                    .desired_width(width)
                    .margin(egui::Margin::symmetric(8, 6))
                    .return_key(egui::KeyboardShortcut::new(Modifiers::SHIFT, Key::Enter));
                let response = ui.add(edit);
                name(ui, &response, "Message");
                if self.focus {
                    self.focus = false;
                    response.request_focus();
                }
                // Matching would let Shift pass, which is for new lines.
                let entered = |input: &mut egui::InputState| {
                    !input.modifiers.shift && input.consume_key(Modifiers::NONE, Key::Enter)
                };
                send |= response.has_focus() && ui.input_mut(entered);
            });
            let can_send = can_send && (can_continue || !self.draft.trim().is_empty());
            send &= can_send;
            let size = egui::vec2(BUTTON, 30.0);
            if context.is_busy {
                let stop = egui::Button::new("Stop").min_size(size);
                if ui.add(stop).on_hover_text("Escape").clicked() {
                    actions.push(Action::Stop);
                }
            } else {
                let label = match conversation.mode {
                    Mode::Chat => "Send",
                    Mode::Completion => "Continue",
                };
                let button = egui::Button::new(label).min_size(size);
                send |= ui.add_enabled(can_send, button).clicked();
            }
        });
        ui.add_space(4.0);
        if send {
            actions.push(Action::Send(std::mem::take(&mut self.draft)));
            self.focus = true;
        }
    }

    fn footer(
        &mut self,
        ui: &mut egui::Ui,
        context: &Context<'_>,
        at: usize,
        actions: &mut Vec<Action>,
    ) {
        let conversation = context.conversation;
        let message = conversation.message(at);
        let is_last = conversation.last() == Some(at);
        let can_send = context.not_ready.is_none() && !context.is_busy;
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            if context.writing == Some(at) {
                // Nothing that moves: every frame that is drawn without need is taken from the model.
                ui.weak("writing…");
                return;
            }
            let mut button = |ui: &mut egui::Ui, label: &str, can: bool, action: Action| {
                let button = egui::Button::new(RichText::new(label).small()).frame(false);
                if ui.add_enabled(can, button).clicked() {
                    actions.push(action);
                }
            };
            let is_text = conversation.mode == Mode::Completion;
            if message.role == Role::Assistant {
                button(ui, "Regenerate", can_send, Action::Regenerate(at));
                if is_last {
                    button(ui, "Continue", can_send, Action::Continue(at));
                }
            }
            button(ui, "Edit", context.writing.is_none(), Action::Edit(at));
            button(ui, "Copy", true, Action::Copy(at));
            button(ui, "Delete", context.writing.is_none(), Action::Delete(at));
            if is_text {
                let branching = conversation.path().iter().rev();
                let last = branching
                    .copied()
                    .find(|at| conversation.siblings(*at).len() > 1);
                if let Some(at) = last {
                    branches(ui, conversation, at, actions);
                }
            }
            if context.probabilities && !message.tokens.is_empty() {
                // For those who cannot click on a token.
                let button = egui::Button::new(RichText::new("Inspect").small()).frame(false);
                if ui.add(button).clicked() {
                    self.inspected = Some(At {
                        message: at,
                        token: 0,
                    });
                }
            }
            if let Some(stats) = &message.stats {
                ui.label(RichText::new(describe(stats)).small().weak());
            }
        });
    }
}

fn header(ui: &mut egui::Ui, conversation: &Conversation, at: usize, actions: &mut Vec<Action>) {
    ui.horizontal(|ui| {
        let (who, color) = match conversation.message(at).role {
            Role::User => ("You", ui.visuals().text_color()),
            Role::Assistant => ("Assistant", theme::accent(ui)),
            Role::System => ("System", ui.visuals().weak_text_color()),
        };
        ui.label(RichText::new(who).strong().color(color));
        branches(ui, conversation, at, actions);
    });
}

/// `< 1/3 >` where a message has alternatives.
fn branches(ui: &mut egui::Ui, conversation: &Conversation, at: usize, actions: &mut Vec<Action>) {
    let siblings = conversation.siblings(at);
    let Some(here) = siblings.iter().position(|sibling| *sibling == at) else {
        return;
    };
    if siblings.len() < 2 {
        return;
    }
    let step = |ui: &mut egui::Ui, label: &str, hint: &str, to: Option<&usize>| {
        let button = egui::Button::new(label).small();
        let response = ui.add_enabled(to.is_some(), button);
        name(ui, &response, hint);
        response.clicked().then_some(to).flatten().copied()
    };
    let before = here.checked_sub(1).and_then(|i| siblings.get(i));
    let to = step(ui, "<", "Previous branch", before);
    ui.label(format!("{}/{}", here + 1, siblings.len()));
    let to = to.or(step(ui, ">", "Next branch", siblings.get(here + 1)));
    if let Some(to) = to {
        actions.push(Action::Choose(to));
    }
}

/// Speed and end of a message in a line.
fn describe(stats: &Stats) -> String {
    let mut parts = Vec::new();
    if let Some(rate) = stats.decode_rate() {
        parts.push(format!("{rate:.1} tok/s"));
    }
    match stats.prompt_rate() {
        // All of it was there from before but the token that is always computed.
        Some(_) if stats.prompt_tokens == 1 => parts.push("prompt known".to_owned()),
        Some(rate) => parts.push(format!("prompt {} at {rate:.0} tok/s", stats.prompt_tokens)),
        None => {}
    }
    if stats.first_token_s > 0.0 {
        parts.push(format!("first token {:.0} ms", 1e3 * stats.first_token_s));
    }
    parts.push(format!("{} tokens", stats.tokens));
    parts.push(
        match stats.finish.as_str() {
            "eos" => "the model ended it",
            "stop" => "stop text met",
            "length" => "length reached",
            "context" => "context full",
            "cancelled" => "stopped",
            other => other,
        }
        .to_owned(),
    );
    parts.join(" · ")
}
