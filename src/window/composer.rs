//! The box to write in, below the conversation.

use egui::text_edit::TextEditState;
use egui::{Align, Event, ImeEvent, Key, Layout, Margin, Modifiers, ScrollArea, Stroke};

use super::action::Action;
use super::conversation::Mode;
use super::icons::Icon;
use super::long_text::LongText;
use super::state::State;
use super::theme::{self, CORNER, GRID, READING_LINE, READING_WIDTH};
use super::transcript::OUTSET;
use super::widgets::{labelled_button, name, primary};

/// Lines that are in sight; more are scrolled.
const MOST_LINES: f32 = 8.0;

/// The most of the window's height that they take.
const MOST_SHARE: f32 = 0.35;

/// What only the box needs.
#[derive(Default)]
pub struct Composer {
    takes_focus: bool,
    text: LongText,
    /// The conversation whose draft it is.
    conversation: String,
    /// Whether an input method is in the middle of a word.
    is_composing: bool,
    /// A text that was sent before and is now in the box.
    recalled: Option<Recalled>,
}

struct Recalled {
    /// How many texts ago it was sent.
    back: usize,
    text: String,
}

impl Composer {
    /// Puts the cursor into the box.
    pub fn focus(&mut self) {
        self.takes_focus = true;
    }

    /// The cursor goes elsewhere.
    pub fn leave(&mut self) {
        self.takes_focus = false;
    }

    pub fn show(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        let room = ui.available_width();
        let width = room.min(READING_WIDTH + 2.0 * OUTSET);
        // In the column that is read.
        let bar = ui.spacing().scroll.bar_width + 2.0 * GRID;
        let left = ((room - bar - width) / 2.0).max(0.0);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            ui.add_space(left);
            let layout = Layout::top_down(Align::Min);
            ui.allocate_ui_with_layout(egui::vec2(width, 0.0), layout, |ui| {
                self.card(ui, state, actions);
            });
        });
    }

    fn card(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        let palette = theme::palette(ui);
        let has_focus = ui.memory(|memory| memory.has_focus(field_id()));
        let stroke = match has_focus {
            true => Stroke::new(1.5, palette.accent),
            false => Stroke::new(1.0, palette.line),
        };
        let frame = egui::Frame::new()
            .fill(palette.field())
            .stroke(stroke)
            .corner_radius(2 * CORNER)
            .inner_margin(Margin::symmetric(OUTSET as i8, 2 * GRID as i8));
        frame.show(ui, |ui| {
            ui.set_width(ui.available_width());
            let draft = state.draft();
            let (changed, is_entered) = self.field(ui, state);
            let text = changed.as_deref().unwrap_or(draft);
            let conversation = state.conversation();
            let can_continue = match conversation.mode {
                Mode::Completion => !conversation.is_empty(),
                Mode::Chat => state.has_question(),
            };
            let can_send = state.can_generate() && (can_continue || !text.trim().is_empty());
            let mut send = is_entered && can_send;
            ui.horizontal(|ui| {
                let layout = Layout::right_to_left(Align::Center);
                ui.with_layout(layout, |ui| {
                    if state.is_busy() {
                        if labelled_button(ui, Icon::Stop, "Stop", "Escape").clicked() {
                            actions.push(Action::Stop);
                        }
                    } else {
                        let label = match conversation.mode {
                            Mode::Chat if text.trim().is_empty() && state.has_question() => {
                                "Answer"
                            }
                            Mode::Chat => "Send",
                            Mode::Completion => "Continue",
                        };
                        send |= primary(ui, can_send, label, "Enter").clicked();
                    }
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                        room_left(ui, state, text);
                    });
                });
            });
            actions.extend(changed.map(Action::SetDraft));
            if send {
                self.recalled = None;
                actions.push(Action::SendDraft);
            }
        });
    }

    /// Returns what the text has become, and whether it is to be sent.
    fn field(&mut self, ui: &mut egui::Ui, state: &State) -> (Option<String>, bool) {
        let is_composed = self.follow_input_method(ui);
        if self.conversation != state.conversation().id {
            self.conversation.clone_from(&state.conversation().id);
            self.text.begin(ui, field_id(), state.draft());
        }
        let mut recalled = None;
        if !is_composed {
            recalled = self.recall(ui, state);
        }
        if let Some(text) = &recalled {
            self.text.begin(ui, field_id(), text);
        }
        let draft = recalled.as_deref().unwrap_or(state.draft());
        let row = ui.text_style_height(&egui::TextStyle::Body);
        let line = READING_LINE.max(row);
        // A small window keeps room to read in.
        let share = MOST_SHARE * ui.ctx().content_rect().height();
        let most = (MOST_LINES * line).min(share).max(line);
        let scroll = ScrollArea::vertical()
            .id_salt("draft")
            .max_height(most)
            .min_scrolled_height(most)
            .auto_shrink([false, true]);
        self.text.parts(ui, field_id(), draft);
        let scrolled = scroll.show(ui, |ui| {
            ui.spacing_mut().extra_text_line_spacing = line - row;
            let hint = hint(state);
            let (response, changed) = self.text.show(ui, field_id(), draft, |edit| {
                edit.hint_text(hint)
                    .frame(egui::Frame::NONE)
                    .desired_rows(1)
                    .desired_width(f32::INFINITY)
                    .return_key(egui::KeyboardShortcut::new(Modifiers::SHIFT, Key::Enter))
            });
            name(ui, &response, "Message");
            if std::mem::take(&mut self.takes_focus) {
                response.request_focus();
            }
            // Matching would let Shift pass, which is for new lines.
            let entered = |input: &mut egui::InputState| {
                !input.modifiers.shift && input.consume_key(Modifiers::NONE, Key::Enter)
            };
            let is_entered = response.has_focus() && ui.input_mut(entered) && !is_composed;
            (changed, is_entered)
        });
        let (changed, is_entered) = scrolled.inner;
        (changed.or(recalled), is_entered)
    }

    /// Follows what an input method does. Returns whether the keys of this frame are its own: the Enter that takes a word over may
    /// come with the word, or while it is being composed.
    fn follow_input_method(&mut self, ui: &egui::Ui) -> bool {
        if !ui.memory(|memory| memory.has_focus(field_id())) {
            self.is_composing = false;
            return false;
        }
        let mut is_composed = self.is_composing;
        ui.input(|input| {
            for event in &input.events {
                match event {
                    Event::Ime(ImeEvent::Preedit { text, .. }) => {
                        self.is_composing = !text.is_empty();
                        is_composed |= self.is_composing;
                    }
                    Event::Ime(ImeEvent::Commit(text)) => {
                        self.is_composing = false;
                        is_composed |= !text.is_empty();
                    }
                    _ => {}
                }
            }
        });
        is_composed
    }

    /// A text that was sent before, if that is asked for: with Up in an empty box, or in one that has such a text unchanged.
    fn recall(&mut self, ui: &egui::Ui, state: &State) -> Option<String> {
        let draft = state.draft();
        let recalled = self.recalled.as_ref().filter(|sent| sent.text == draft);
        let back = recalled.map(|sent| sent.back);
        if !ui.memory(|memory| memory.has_focus(field_id()))
            || (back.is_none() && !draft.is_empty())
        {
            return None;
        }
        let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        let back = match back {
            None => pressed(Key::ArrowUp).then_some(0)?,
            Some(back) if pressed(Key::ArrowUp) => back + 1,
            Some(0) if pressed(Key::ArrowDown) => {
                self.recalled = None;
                return Some(String::new());
            }
            Some(back) if pressed(Key::ArrowDown) => back - 1,
            Some(_) => return None,
        };
        let text = state.sent(back)?.to_owned();
        self.recalled = Some(Recalled {
            back,
            text: text.clone(),
        });
        Some(text)
    }
}

/// Whether the cursor is in the box, and nothing that could be taken back there: then Undo means something else.
pub fn leaves_undo(egui: &egui::Context, draft: &str) -> bool {
    if !draft.is_empty() || !egui.memory(|memory| memory.has_focus(field_id())) {
        return false;
    }
    TextEditState::load(egui, field_id()).is_none_or(|field| {
        let now = (field.cursor.char_range().unwrap_or_default(), String::new());
        let undoer = field.undoer();
        !undoer.has_undo(&now) && !undoer.has_redo(&now)
    })
}

fn field_id() -> egui::Id {
    egui::Id::unique("draft")
}

fn hint(state: &State) -> String {
    let conversation = state.conversation();
    let hint = match (state.not_ready(), conversation.mode) {
        (Some(why), _) => why,
        (None, Mode::Chat) => "Message (Enter sends, Shift+Enter for a new line)",
        (None, Mode::Completion) if conversation.is_empty() => {
            "How does the text begin? (Enter continues it)"
        }
        (None, Mode::Completion) => "Add to the text, or nothing, and continue",
    };
    hint.to_owned()
}

/// How many tokens the text in the box has, and how much of the context is left after it.
fn room_left(ui: &mut egui::Ui, state: &State, text: &str) {
    let (Some(info), Some(with_draft)) = (state.info(), state.with_draft) else {
        return;
    };
    if text.is_empty() {
        return;
    }
    let before = state.positions_in_use();
    let (tokens, with_draft) = match state.is_writing_here() {
        // Then the draft was counted alone: what is before it grows.
        true => (with_draft, with_draft + before),
        false => (with_draft.saturating_sub(before), with_draft),
    };
    let words = if tokens == 1 { "token" } else { "tokens" };
    let context = info.context_size;
    if with_draft < context {
        let left = context - with_draft;
        ui.label(theme::aside(format!("{tokens} {words}, {left} left")));
        return;
    }
    // A chat goes on without its beginning; what does not fit by itself never will.
    let is_too_long = tokens >= context || state.conversation().mode == Mode::Completion;
    let what = match is_too_long {
        true => format!("{tokens} {words}: does not fit into {context}"),
        false => format!("{tokens} {words}: the oldest messages will be left out"),
    };
    let warning = egui::RichText::new(what).small().color(theme::warning(ui));
    ui.label(warning);
}
