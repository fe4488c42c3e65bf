//! The panel: one row of controls, the sentence, the strip, one view below them or two beside each other, and what stands quietly
//! at its foot.

use egui::{
    Align, ComboBox, FontSelection, Frame, Layout, Panel, Rect, ScrollArea, Ui, UiBuilder, pos2,
};

use super::axis::AxisView;
use super::record::Record;
use super::run::{Run, Sums};
use super::selection::{Selection, Tab};
use super::what_if::WhatIf;
use super::{compare, controls, flame, foot, heat, kernels, layers, lesson, memory, strip};
use crate::trace::units::layer_name;
use crate::trace::{Explanation, Phase};
use crate::window::action::Action;
use crate::window::icons::Icon;
use crate::window::settings::Settings;
use crate::window::theme::{self, GRID};
use crate::window::widgets::{icon_button, name, segments};

/// From this width on two views stand beside each other.
const TWO: f32 = 840.0;

/// Below this width the names of the views take two rows.
const ONE_ROW: f32 = 500.0;

/// Below this height the foot is one line.
const LOW: f32 = 560.0;

/// Below this height views scroll instead of getting smaller.
const LEAST_ROOM: f32 = 180.0;

/// What only the panel needs, and what it has worked out from the record: neither is read elsewhere.
#[derive(Default)]
pub struct TimingsView {
    sums: Sums,
    /// Steps in sight: of the strip, and of whatever is drawn along it.
    steps: AxisView,
    /// The run and phase whose steps those are.
    shown: Option<(u64, Phase)>,
    flame: flame::View,
    heat: heat::View,
    kernels: kernels::View,
    compare: compare::View,
}

impl TimingsView {
    pub fn show(
        &mut self,
        ui: &mut Ui,
        record: &Record,
        settings: &Settings,
        actions: &mut Vec<Action>,
    ) {
        let Record {
            run,
            phase,
            selection,
            tab,
            ..
        } = record;
        ui.add_space(GRID);
        controls::show(ui, record, settings, actions);
        source(ui, run, actions);
        self.sums.update(run, *phase, selection, record.run_peaks());
        let shown = Some((run.number, *phase));
        if self.shown != shown {
            self.steps.show_all();
            self.shown = shown;
        }
        let what_if = WhatIf::of(record);
        let is_low = ui.available_height() < LOW;
        Panel::bottom("timings foot")
            .resizable(false)
            .show_separator_line(false)
            .frame(Frame::NONE)
            .show(ui, |ui| {
                foot::show(ui, record, &self.sums, what_if.as_ref(), is_low)
            });
        if run.steps.is_empty() {
            tabs(ui, *tab, actions);
            let room = ui.available_rect_before_wrap();
            pane(ui, room, "lesson", |ui, room| match tab {
                Tab::Memory => memory::show(ui, record, what_if.as_ref()),
                _ => lesson::show(ui, room, settings.trace),
            });
            return;
        }
        sentence(ui, self.sums.explanation.as_ref());
        strip::show(ui, &mut self.steps, run, *phase, selection, actions);
        ui.scope(|ui| chips(ui, selection, actions));
        if ui.available_width() < TWO {
            tabs(ui, *tab, actions);
            let room = ui.available_rect_before_wrap();
            self.view(ui, room, *tab, record, what_if.as_ref(), actions);
            return;
        }
        let beside = tab.beside(record.beside);
        let whole = ui.available_rect_before_wrap();
        let middle = whole.center().x;
        let [left, right] = [
            whole.with_max_x(middle - 2.0 * GRID),
            whole.with_min_x(middle + 2.0 * GRID),
        ];
        let half = |ui: &mut Ui, room: Rect| {
            let layout = egui::Layout::top_down(Align::Min);
            ui.new_child(
                UiBuilder::new()
                    .max_rect(room)
                    .layout(layout)
                    .id_salt(room.left() as i32),
            )
        };
        let mut ui_left = half(ui, left);
        tabs(&mut ui_left, *tab, actions);
        let room = ui_left.available_rect_before_wrap();
        self.view(&mut ui_left, room, *tab, record, what_if.as_ref(), actions);
        let mut ui_right = half(ui, right);
        second(&mut ui_right, *tab, beside, actions);
        let room = ui_right.available_rect_before_wrap();
        self.view(
            &mut ui_right,
            room,
            beside,
            record,
            what_if.as_ref(),
            actions,
        );
        let line = egui::Stroke::new(1.0, theme::palette(ui).line);
        ui.painter().vline(middle, whole.y_range(), line);
        ui.advance_cursor_after_rect(whole);
    }

    fn view(
        &mut self,
        ui: &mut Ui,
        room: Rect,
        tab: Tab,
        record: &Record,
        what_if: Option<&WhatIf>,
        actions: &mut Vec<Action>,
    ) {
        let Record {
            run,
            phase,
            selection,
            ..
        } = record;
        let peaks = record.run_peaks();
        let shapes = &run.subject.layers;
        let totals = &self.sums.totals;
        pane(ui, room, tab.name(), |ui, room| match tab {
            Tab::Heat => {
                let axis = &mut self.steps;
                self.heat
                    .show(ui, room, axis, run, *phase, selection, actions);
            }
            Tab::Flame => self.flame.show(ui, room, run, *phase, selection, actions),
            Tab::Layers => layers::show(ui, room, totals, shapes, peaks, selection, actions),
            Tab::Kernels => self
                .kernels
                .show(ui, room, totals, peaks, selection, actions),
            Tab::Memory => memory::show(ui, record, what_if),
            Tab::Compare => self.compare.show(ui, room, record, actions),
        });
    }
}

/// Where a run is from that is none of this window's, and how to leave it.
fn source(ui: &mut Ui, run: &Run, actions: &mut Vec<Action>) {
    let Some(file) = &run.file else {
        return;
    };
    ui.horizontal(|ui| {
        let from_right = Layout::right_to_left(Align::Center);
        ui.with_layout(from_right, |ui| {
            if icon_button(ui, Icon::Close, "Close this trace", "").clicked() {
                actions.push(Action::CloseTrace);
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let text = format!("From {}: {}", file.name, run.subject.words());
                let label = egui::Label::new(theme::strong(text).small()).truncate();
                ui.add(label);
            });
        });
    });
}

/// A place in which something is drawn that may take all of its height, or scroll.
fn pane(ui: &mut Ui, place: Rect, salt: &str, content: impl FnOnce(&mut Ui, f32)) {
    let place = Rect::from_min_max(
        pos2(place.left(), place.top() + GRID),
        pos2(place.right(), place.bottom() - GRID),
    );
    let room = place.height().max(LEAST_ROOM);
    let layout = egui::Layout::top_down(Align::Min);
    // What stands above may come and go: a picture keeps its id, and so the focus.
    let builder = UiBuilder::new()
        .max_rect(place)
        .layout(layout)
        .scope_id(egui::Id::unique(("timings", salt)));
    ui.scope_builder(builder, |ui| {
        ScrollArea::vertical()
            .id_salt(("view", salt))
            .auto_shrink(false)
            .show(ui, |ui| content(ui, room));
    });
}

/// What took the time and why; all parts of it when hovered over.
fn sentence(ui: &mut Ui, explanation: Option<&Explanation>) {
    let Some(explanation) = explanation else {
        return;
    };
    let mut job = egui::text::LayoutJob::default();
    let (what, why) = match explanation.sentence.split_once(": ") {
        Some((what, why)) if !explanation.parts.is_empty() => (what, format!(": {why}")),
        _ => ("", explanation.sentence.clone()),
    };
    for text in [theme::strong(what), why.into()] {
        text.append_to(&mut job, ui.style(), FontSelection::Default, Align::BOTTOM);
    }
    // A line more or less would move all that is below it.
    let lines = if ui.available_width() < ONE_ROW {
        3.0
    } else {
        2.0
    };
    let height = lines * ui.text_style_height(&egui::TextStyle::Body);
    let response = ui
        .scope(|ui| {
            ui.set_min_height(height);
            ui.label(job)
        })
        .inner;
    if explanation.parts.is_empty() {
        return;
    }
    response.on_hover_ui(|ui| {
        ui.label(theme::strong("Where the time of tokens goes that were timed in detail"));
        for part in &explanation.parts {
            if part.share >= 0.005 {
                ui.label(format!("{:.0} %  {}", 100.0 * part.share, part.name));
            }
        }
        ui.label(theme::aside(
            "Memory-bound, compute-bound: that alone, at the measured best, takes more than half of the time.",
        ));
    });
}

/// The views to choose from.
fn tabs(ui: &mut Ui, tab: Tab, actions: &mut Vec<Action>) {
    let each = if ui.available_width() < ONE_ROW { 3 } else { 6 };
    for row in Tab::ALL.chunks(each) {
        if let Some(tab) = segments(ui, tab, row) {
            actions.push(Action::ShowTab(tab));
        }
    }
}

/// Which view stands beside the first.
fn second(ui: &mut Ui, tab: Tab, beside: Tab, actions: &mut Vec<Action>) {
    ui.horizontal(|ui| {
        let choice = ComboBox::from_id_salt("second view")
            .selected_text(beside.name())
            .show_ui(ui, |ui| {
                for (choice, name) in Tab::ALL.into_iter().filter(|(choice, _)| *choice != tab) {
                    if ui.selectable_label(choice == beside, name).clicked() {
                        actions.push(Action::ShowBeside(choice));
                    }
                }
            });
        name(ui, &choice.response, "Second view");
    });
}

/// What is selected, each with a button that ends it.
fn chips(ui: &mut Ui, selection: &Selection, actions: &mut Vec<Action>) {
    if *selection == Selection::default() {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        ui.label("Only");
        let mut chip = |label: String, rest: Selection| {
            if ui.small_button(label).clicked() {
                actions.push(Action::Select(rest));
            }
        };
        if let Some((first, last)) = selection.steps {
            let label = match first == last {
                true => format!("step {first} ×"),
                false => format!("steps {first} to {last} ×"),
            };
            let steps = None;
            chip(
                label,
                Selection {
                    steps,
                    ..*selection
                },
            );
        }
        if let Some(layer) = selection.layer {
            let label = format!("{} ×", layer_name(layer));
            let layer = None;
            chip(
                label,
                Selection {
                    layer,
                    ..*selection
                },
            );
        }
        if let Some(kernel) = selection.kernel {
            let label = format!("{kernel} ×");
            let kernel = None;
            chip(
                label,
                Selection {
                    kernel,
                    ..*selection
                },
            );
        }
        chip("Show all".to_owned(), Selection::default());
    });
}
