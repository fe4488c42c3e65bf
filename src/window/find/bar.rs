//! The bar to find texts with, above the conversation, and the list of conversations that match.

use std::borrow::Cow;

use egui::text::{LayoutJob, TextFormat};
use egui::{Align, Key, Layout, Modifiers, ScrollArea, TextEdit, TextStyle};

use super::marks::mark;
use super::search::{Find, Found};
use crate::window::action::Action;
use crate::window::icons::Icon;
use crate::window::theme::{self, GRID};
use crate::window::widgets::{icon_button, name, switch};

/// The most of the page that the list takes.
const LIST_SHARE: f32 = 0.4;

fn id() -> egui::Id {
    egui::Id::unique("find")
}

/// Puts the cursor into the bar, from the frame on in which it is drawn next: what is typed then is for it.
pub fn focus(context: &egui::Context) {
    context.memory_mut(|memory| memory.request_focus(id()));
}

pub fn show(ui: &mut egui::Ui, find: &Find, actions: &mut Vec<Action>) {
    let room = ui.available_height();
    let panel = egui::Panel::top("find").resizable(false);
    panel.frame(theme::bar(ui)).show(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            field(ui, find, actions);
            ui.label(theme::aside(tally(find)));
            let can_step = !find.hits().is_empty();
            ui.add_enabled_ui(can_step, |ui| {
                if icon_button(ui, Icon::Up, "Previous match", "Shift+Enter").clicked() {
                    actions.push(Action::StepFind { is_back: true });
                }
                if icon_button(ui, Icon::Down, "Next match", "Enter").clicked() {
                    actions.push(Action::StepFind { is_back: false });
                }
            });
            let (_, everywhere) = switch(ui, find.everywhere, "All conversations");
            actions.extend(everywhere.map(Action::FindEverywhere));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if icon_button(ui, Icon::Close, "Close find", "Escape").clicked() {
                    actions.push(Action::CloseFind);
                }
            });
        });
        if find.everywhere && !find.query.is_empty() {
            list(ui, find, room * LIST_SHARE, actions);
        }
    });
}

fn field(ui: &mut egui::Ui, find: &Find, actions: &mut Vec<Action>) {
    let mut query = Cow::Borrowed(find.query.as_str());
    let edit = TextEdit::singleline(&mut query)
        .id(id())
        .hint_text("Find")
        .desired_width(180.0)
        // Enter goes on to the next match.
        .return_key(None);
    let response = ui.add(edit);
    name(ui, &response, "Find text");
    if response.has_focus() {
        for (modifiers, is_back) in [(Modifiers::SHIFT, true), (Modifiers::NONE, false)] {
            if ui.input_mut(|input| input.consume_key(modifiers, Key::Enter)) {
                actions.push(Action::StepFind { is_back });
            }
        }
    }
    if let Cow::Owned(query) = query {
        actions.push(Action::SetFind(query));
    }
}

/// How many matches there are.
fn tally(find: &Find) -> String {
    match (find.query.is_empty(), find.hits().len()) {
        (true, _) => String::new(),
        (false, 0) => "no match here".to_owned(),
        (false, count) => format!("{} of {count}", find.at + 1),
    }
}

fn list(ui: &mut egui::Ui, find: &Find, height: f32, actions: &mut Vec<Action>) {
    let (done, all) = find.searched;
    let texts = match find.found.len() {
        0 if done == all => "No conversation has it".to_owned(),
        1 => "1 conversation".to_owned(),
        count => format!("{count} conversations"),
    };
    let progress = match done == all {
        true => texts,
        false => format!("{texts}, {done} of {all} searched…"),
    };
    ui.label(theme::aside(progress));
    let row = 2.0 * theme::CONTROL - GRID;
    ScrollArea::vertical()
        .id_salt("found")
        .max_height(height)
        .min_scrolled_height(height)
        .auto_shrink([false, true])
        .show_rows(ui, row, find.found.len(), |ui, range| {
            for (i, found) in find.found[range.clone()].iter().enumerate() {
                if entry(ui, found, row) {
                    actions.push(Action::OpenFound(range.start + i));
                }
            }
        });
}

/// The name and how many matches there are, and below it the line of the first. Returns whether it was chosen.
fn entry(ui: &mut egui::Ui, found: &Found, height: f32) -> bool {
    let size = egui::vec2(ui.available_width(), height);
    let (rect, response) = ui.allocate_exact_size(size, egui::Sense::click());
    let role = egui::accesskit::Role::Button;
    let label = format!("{}: {}", found.name, found.line);
    response.widget_info(|| egui::WidgetInfo::labeled(role, true, &label));
    if ui.is_rect_visible(rect) {
        let palette = theme::palette(ui);
        if response.hovered() || response.has_focus() {
            let stroke = match response.has_focus() {
                true => egui::Stroke::new(2.0, palette.accent),
                false => egui::Stroke::NONE,
            };
            let inside = egui::StrokeKind::Inside;
            ui.painter()
                .rect(rect, theme::CORNER, palette.hovered(), stroke, inside);
        }
        let room = rect.shrink(GRID);
        for (job, top) in [
            (title(ui, found), room.top()),
            (context(ui, found), room.center().y),
        ] {
            let mut job = job;
            job.wrap.max_width = room.width();
            job.wrap.max_rows = 1;
            job.wrap.break_anywhere = true;
            let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
            let corner = egui::pos2(room.left(), top);
            ui.painter().galley(corner, galley, palette.text);
        }
    }
    response.clicked()
}

fn title(ui: &egui::Ui, found: &Found) -> LayoutJob {
    let palette = theme::palette(ui);
    let button = TextStyle::Button.resolve(ui.style());
    let small = TextStyle::Small.resolve(ui.style());
    let mut job = LayoutJob::default();
    job.append(&found.name, 0.0, TextFormat::simple(button, palette.text));
    if found.count > 1 {
        let matches = format!("{} matches", found.count);
        let weak = TextFormat::simple(small, palette.weak);
        job.append(&matches, 2.0 * GRID, weak);
    }
    job
}

fn context(ui: &egui::Ui, found: &Found) -> LayoutJob {
    let palette = theme::palette(ui);
    let small = TextStyle::Small.resolve(ui.style());
    let mut job = LayoutJob::default();
    job.append(&found.line, 0.0, TextFormat::simple(small, palette.weak));
    mark(&mut job, &[(found.marked.clone(), false)], palette);
    job
}
