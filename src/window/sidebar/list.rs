//! The list of conversations: found by title or tag, and gone through by keyboard.

use egui::{
    Align, EventFilter, FocusDirection, Key, Modifiers, Rect, Response, ScrollArea, Sense,
    TextEdit, vec2,
};

use super::super::action::Action;
use super::super::calendar::Calendar;
use super::super::conversation::Mode;
use super::super::history::{Entry, parse_tags};
use super::super::icons::Icon;
use super::super::state::State;
use super::super::theme::{self, CONTROL, GRID};
use super::super::widgets::{icon_button, labelled_button, name};
use super::row::{self, Look, Wish};
use super::rows::{Filter, Row, Rows};

/// Tags that have a button; others are found by typing them.
const MOST_TAGS: usize = 12;

/// Height of such a button.
const TAG: f32 = 5.0 * GRID;

/// What only the list needs: nothing else reads it.
#[derive(Default)]
pub struct List {
    filter: Filter,
    rows: Rows,
    editing: Option<Editing>,
    /// Id of the conversation whose row is to have the keyboard.
    focus: Option<String>,
}

/// What is being typed in the place of a row.
struct Editing {
    id: String,
    is_title: bool,
    text: String,
    has_begun: bool,
}

impl List {
    pub fn show(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        buttons(ui, actions);
        let calendar = Calendar::here();
        let enters = self.find(ui);
        self.rows.update(&state.history, &calendar, &self.filter);
        ui.add_space(GRID);
        self.tags(ui);
        if enters && let Some(first) = self.rows.end(false) {
            self.focus = self.entry(state, first).map(|entry| entry.id.clone());
        }
        if self.rows.all().is_empty() {
            let text = match state.history.entries().is_empty() {
                true => "What you write is kept here.",
                false => "No title or tag has that in it.",
            };
            ui.add_space(GRID);
            ui.label(theme::aside(text));
        }
        let count = self.rows.all().len();
        ui.spacing_mut().item_spacing.y = 0.0;
        // At once: the keyboard goes to the row that is scrolled to, which must be there then.
        ScrollArea::vertical()
            .auto_shrink(false)
            .animated(false)
            .show_rows(ui, CONTROL, count, |ui, range| {
                let mut focused = None;
                for at in range {
                    let size = vec2(ui.available_width(), CONTROL);
                    let (_, rect) = ui.allocate_space(size);
                    match self.rows.all()[at].clone() {
                        Row::Heading(text) => heading(ui, rect, &text),
                        Row::Entry(place) => {
                            let Some(entry) = state.history.entries().get(place) else {
                                continue;
                            };
                            let response = self.row(ui, rect, state, entry, &calendar, actions);
                            if response.is_some_and(|response| response.has_focus()) {
                                focused = Some((at, rect, entry));
                            }
                        }
                    }
                }
                if let Some((at, rect, entry)) = focused {
                    self.keys(ui, state, (at, rect, entry), actions);
                }
            });
    }

    /// The field that titles are found with. Returns whether the keyboard goes on to the list.
    fn find(&mut self, ui: &mut egui::Ui) -> bool {
        ui.horizontal(|ui| {
            let clear = if self.filter.text.is_empty() {
                0.0
            } else {
                CONTROL + GRID
            };
            let edit = TextEdit::singleline(&mut self.filter.text)
                .hint_text("Find in titles")
                .desired_width((ui.available_width() - clear).max(40.0))
                .char_limit(200);
            let response = ui.add(edit);
            name(ui, &response, "Find in titles");
            if !self.filter.text.is_empty()
                && icon_button(ui, Icon::Close, "Show all", "").clicked()
            {
                self.filter.text.clear();
            }
            response.has_focus()
                && ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::ArrowDown))
        })
        .inner
    }

    fn tags(&mut self, ui: &mut egui::Ui) {
        let tags = self.rows.tags();
        if tags.is_empty() {
            self.filter.tag = None;
            return;
        }
        if self
            .filter
            .tag
            .as_ref()
            .is_some_and(|tag| !tags.contains(tag))
        {
            self.filter.tag = None;
        }
        let mut picked = None;
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(GRID, GRID);
            ui.spacing_mut().interact_size.y = TAG;
            for tag in tags.iter().take(MOST_TAGS) {
                let is_on = self.filter.tag.as_ref() == Some(tag);
                let label = egui::RichText::new(format!("#{tag}")).small();
                let button = egui::Button::new(label)
                    .selected(is_on)
                    .corner_radius(TAG / 2.0);
                let response = ui.add(button);
                name(ui, &response, &format!("Only tag {tag}"));
                if response.clicked() {
                    picked = Some((!is_on).then(|| tag.clone()));
                }
            }
        });
        if let Some(tag) = picked {
            self.filter.tag = tag;
        }
    }

    /// A conversation, or what is being typed in its place.
    fn row(
        &mut self,
        ui: &mut egui::Ui,
        rect: Rect,
        state: &State,
        entry: &Entry,
        calendar: &Calendar,
        actions: &mut Vec<Action>,
    ) -> Option<Response> {
        if self
            .editing
            .as_ref()
            .is_some_and(|editing| editing.id == entry.id)
        {
            self.edit(ui, rect, actions);
            return None;
        }
        let running = state.running.as_ref();
        let look = Look {
            is_current: state.conversation().id == entry.id,
            note: match running.is_some_and(|running| running.conversation == entry.id) {
                true => Some("writing…"),
                false if state.opening.contains(&entry.id) => Some("opening…"),
                false => None,
            },
            calendar,
        };
        let (response, wish) = row::show(ui, rect, entry, &look);
        if self.focus.as_ref() == Some(&entry.id) {
            self.focus = None;
            // The key that led here leads nowhere else.
            ui.memory_mut(|memory| memory.move_focus(FocusDirection::None));
            response.request_focus();
            response.scroll_to_me(None);
        }
        match wish {
            Some(Wish::Open) if response.double_clicked() => self.begin(entry, true),
            Some(wish) => self.wish(wish, entry, actions),
            None => {}
        }
        if wish.is_some() {
            ui.ctx().request_repaint();
        }
        Some(response)
    }

    fn wish(&mut self, wish: Wish, entry: &Entry, actions: &mut Vec<Action>) {
        let id = entry.id.clone();
        match wish {
            Wish::Open => actions.push(Action::Open(id)),
            Wish::Pin => actions.push(Action::Pin(id, !entry.pinned)),
            Wish::Rename => self.begin(entry, true),
            Wish::Tag => self.begin(entry, false),
            Wish::Duplicate => actions.push(Action::Duplicate(id)),
            Wish::Delete => actions.push(Action::DeleteConversation(id)),
        }
    }

    fn begin(&mut self, entry: &Entry, is_title: bool) {
        self.editing = Some(Editing {
            id: entry.id.clone(),
            is_title,
            text: match is_title {
                true => entry.title.clone(),
                false => entry.tags.join(", "),
            },
            has_begun: false,
        });
    }

    /// A title or tags in the making: Enter keeps them, as going elsewhere does, and Escape leaves it as it was.
    fn edit(&mut self, ui: &mut egui::Ui, rect: Rect, actions: &mut Vec<Action>) {
        let Some(mut editing) = self.editing.take() else {
            return;
        };
        let (what, hint) = match editing.is_title {
            true => ("Title", "its first words"),
            false => ("Tags", "words, between commas"),
        };
        let edit = TextEdit::singleline(&mut editing.text)
            .hint_text(hint)
            .char_limit(200)
            .desired_width(f32::INFINITY);
        let response = ui.put(rect, edit);
        name(ui, &response, what);
        if !std::mem::replace(&mut editing.has_begun, true) {
            response.request_focus();
            select_all(ui, &response, &editing.text);
        } else if response.lost_focus() || !response.has_focus() {
            // What else Escape means is not meant here.
            let leaves = ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape));
            let by_key = leaves || ui.input(|input| input.key_pressed(Key::Enter));
            self.focus = by_key.then(|| editing.id.clone());
            if !leaves {
                actions.push(match editing.is_title {
                    true => Action::Rename(editing.id, editing.text),
                    false => Action::Tag(editing.id, parse_tags(&editing.text)),
                });
            }
            ui.ctx().request_repaint();
            return;
        }
        self.editing = Some(editing);
    }

    fn entry<'a>(&self, state: &'a State, row: usize) -> Option<&'a Entry> {
        match self.rows.all().get(row)? {
            Row::Entry(at) => state.history.entries().get(*at),
            Row::Heading(_) => None,
        }
    }

    /// What keys do while a row has the keyboard; Enter is a click.
    fn keys(
        &mut self,
        ui: &egui::Ui,
        state: &State,
        (at, rect, entry): (usize, Rect, &Entry),
        actions: &mut Vec<Action>,
    ) {
        let arrows = EventFilter {
            vertical_arrows: true,
            ..EventFilter::default()
        };
        let this = row::id(entry);
        ui.memory_mut(|memory| memory.set_focus_lock_filter(this, arrows));
        let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        let next = if pressed(Key::ArrowDown) {
            self.rows.next_entry(at, 1)
        } else if pressed(Key::ArrowUp) {
            self.rows.next_entry(at, -1)
        } else if pressed(Key::Home) {
            self.rows.end(false)
        } else if pressed(Key::End) {
            self.rows.end(true)
        } else {
            None
        };
        if let Some(next) = next
            && let Some(other) = self.entry(state, next)
        {
            let rows = next as f32 - at as f32;
            let there = rect.translate(vec2(0.0, rows * CONTROL));
            ui.scroll_to_rect(there, None);
            ui.memory_mut(|memory| {
                memory.move_focus(FocusDirection::None);
                memory.request_focus(row::id(other));
            });
            ui.ctx().request_repaint();
        }
        if pressed(Key::F2) {
            self.begin(entry, true);
            ui.ctx().request_repaint();
        }
        if pressed(Key::Delete) {
            let beside = self.rows.next_entry(at, 1);
            let beside = beside.or_else(|| self.rows.next_entry(at, -1));
            let beside = beside.and_then(|row| self.entry(state, row));
            self.focus = beside.map(|entry| entry.id.clone());
            actions.push(Action::DeleteConversation(entry.id.clone()));
        }
    }
}

/// Beginning something, and what is done with conversations as files.
fn buttons(ui: &mut egui::Ui, actions: &mut Vec<Action>) {
    ui.horizontal_wrapped(|ui| {
        let text = labelled_button(ui, Icon::Text, "New text", "");
        let hint =
            "A text that you and the model write together. Ctrl+N begins another of what is open.";
        if text.on_hover_text(hint).clicked() {
            actions.push(Action::New(Mode::Completion));
        }
        let chat = labelled_button(ui, Icon::Chat, "New chat", "");
        let hint = "Questions and answers, for Instruct models";
        if chat.on_hover_text(hint).clicked() {
            actions.push(Action::New(Mode::Chat));
        }
    });
}

fn heading(ui: &egui::Ui, rect: Rect, text: &str) {
    let response = ui.interact(rect, ui.scope_id().with(("heading", text)), Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::Heading, true, text));
    let place = rect.left_bottom() + vec2(2.0 * GRID, -GRID);
    let font = egui::TextStyle::Small.resolve(ui.style());
    let color = theme::palette(ui).weak;
    ui.painter().text(
        place,
        egui::Align2([Align::Min, Align::Max]),
        text,
        font,
        color,
    );
}

/// Typing replaces the text.
fn select_all(ui: &egui::Ui, response: &Response, text: &str) {
    use egui::text::{CCursor, CCursorRange};
    if let Some(mut state) = TextEdit::load_state(ui.ctx(), response.id) {
        let all = CCursorRange::two(CCursor::default(), CCursor::new(text.chars().count()));
        state.cursor.set_char_range(Some(all));
        state.store(ui.ctx(), response.id);
    }
}
