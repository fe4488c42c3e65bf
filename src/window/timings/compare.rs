//! Two runs side by side: by kernel or by layer, as bars from zero, and what of it is more than noise.

use egui::{Align2, ComboBox, Rangef, Rect, Sense, Stroke, Ui, pos2, vec2};

use super::axis::Scale;
use super::picture::{self, BELOW};
use super::record::Record;
use super::run::Run;
use super::selection::Pair;
use crate::trace::units::{count, duration, layer_name};
use crate::trace::{Costs, Difference, NOISE_RULE, Phase, Spread, Verdict};
use crate::window::action::Action;
use crate::window::theme;
use crate::window::widgets::{canvas, segments};

/// Heights of a row, and of what stands below all of them.
const LOWEST: f32 = 20.0;
const HIGHEST: f32 = 34.0;
const NOTE: f32 = 56.0;

/// Widths of a name, of what it was and is, and of the verdict; with less than `ROOMY` there is no room for the second.
const NAME: f32 = 96.0;
const TIMES: f32 = 146.0;
const VERDICT: f32 = 128.0;
const ROOMY: f32 = 480.0;

/// What costs were worked out from: the run and its version, the phase.
type Key = (u64, u64, Phase);

/// What the table is of, and what was worked out for it.
#[derive(Default)]
pub struct View {
    is_by_layer: bool,
    now: Cached,
    then: Cached,
}

#[derive(Default)]
struct Cached {
    key: Option<Key>,
    costs: Costs,
}

impl Cached {
    fn update(&mut self, run: &Run, phase: Phase) {
        let key = Some((run.number, run.version, phase));
        if self.key != key {
            self.costs = Costs::of(run.of_phase(phase).map(|(_, step)| step));
            self.key = key;
        }
    }
}

/// Something that either run, or both, took time for.
struct Row {
    name: String,
    now: Option<Spread>,
    then: Option<Spread>,
}

impl Row {
    fn difference(&self) -> Option<Difference> {
        Some(Difference::of(&self.now?, &self.then?))
    }

    fn words(&self) -> String {
        match (self.difference(), self.now) {
            (Some(difference), _) => difference.words(),
            (None, Some(_)) => "only now".to_owned(),
            (None, None) => "only then".to_owned(),
        }
    }

    fn times(&self) -> String {
        let time = |spread: Option<Spread>| {
            spread.map_or("–".to_owned(), |spread| duration(spread.median))
        };
        format!("{} → {}", time(self.then), time(self.now))
    }
}

/// The same things of both runs, in the order of `now`.
fn rows<K: Copy + PartialEq>(
    now: &[(K, Spread)],
    then: &[(K, Spread)],
    name: impl Fn(K) -> String,
) -> Vec<Row> {
    let of = |all: &[(K, Spread)], wanted: K| {
        let found = all.iter().find(|(key, _)| *key == wanted);
        found.map(|(_, spread)| *spread)
    };
    let mut keys: Vec<K> = now.iter().map(|(key, _)| *key).collect();
    for (key, _) in then {
        if !keys.contains(key) {
            keys.push(*key);
        }
    }
    let row = |key: K| Row {
        name: name(key),
        now: of(now, key),
        then: of(then, key),
    };
    keys.into_iter().map(row).collect()
}

impl View {
    pub fn show(&mut self, ui: &mut Ui, room: f32, record: &Record, actions: &mut Vec<Action>) {
        let top = ui.cursor().top();
        let Some((now, then)) = record.pair() else {
            picture::nothing(
                ui,
                "There is one run so far: generate again, with another setting or model, to compare.",
            );
            return;
        };
        choices(ui, record, now, then, actions);
        self.now.update(now, record.phase);
        self.then.update(then, record.phase);
        let (new, old) = (&self.now.costs, &self.then.costs);
        let has_steps = |costs: &Costs| costs.whole.is_some() || costs.detailed.is_some();
        if !has_steps(new) || !has_steps(old) {
            picture::nothing(ui, "One of the two has no step of this kind.");
            return;
        }
        if let Some(text) = unlike(now, then) {
            ui.label(theme::aside(text));
        }
        for (name, now, then) in [
            ("A token", new.whole, old.whole),
            ("A token timed in detail", new.detailed, old.detailed),
            ("Between and around kernels", new.gap, old.gap),
        ] {
            if now.is_some() && then.is_some() {
                let name = name.to_owned();
                whole(ui, &Row { name, now, then });
            }
        }
        let by = [(false, "By kernel"), (true, "By layer")];
        if let Some(by_layer) = segments(ui, self.is_by_layer, &by) {
            self.is_by_layer = by_layer;
        }
        let rows = match self.is_by_layer {
            false => rows(&new.kernels, &old.kernels, str::to_owned),
            true => rows(&new.layers, &old.layers, layer_name),
        };
        if rows.is_empty() {
            picture::nothing(ui, picture::NOT_DETAILED);
            return;
        }
        let used = ui.cursor().top() - top + NOTE;
        let height = ((room - used) / rows.len() as f32).clamp(LOWEST, HIGHEST);
        table(ui, &rows, height);
        ui.label(theme::aside(
            "To the right: slower than then. Grey: no more than noise, whose width is the band around zero.",
        ))
        .on_hover_text(NOISE_RULE);
    }
}

/// Which two runs.
fn choices(ui: &mut Ui, record: &Record, now: &Run, then: &Run, actions: &mut Vec<Action>) {
    let all: Vec<&Run> = std::iter::once(&record.run)
        .chain(&record.earlier)
        .collect();
    let room = (ui.available_width() - 130.0).clamp(110.0, 420.0);
    let choice = |ui: &mut Ui, label: &str, shown: &Run, other: &Run| {
        let mut picked = None;
        let label = ui.label(label);
        ComboBox::from_id_salt(label.id)
            .width(room)
            .truncate()
            .selected_text(name(shown))
            .show_ui(ui, |ui| {
                for run in &all {
                    let is_shown = run.number == shown.number;
                    let is_other = run.number == other.number;
                    ui.add_enabled_ui(!is_other, |ui| {
                        if ui.selectable_label(is_shown, name(run)).clicked() {
                            picked = Some(run.number);
                        }
                    });
                }
            })
            .response
            .labelled_by(label.id);
        ui.end_row();
        picked
    };
    let (first, second) = egui::Grid::new("compared")
        .num_columns(2)
        .show(ui, |ui| {
            let first = choice(ui, "now", now, then);
            (first, choice(ui, "compared with", then, now))
        })
        .inner;
    if let Some(number) = first {
        let now = Some(number);
        actions.push(Action::Compare(Pair {
            now,
            ..record.compared
        }));
    }
    if let Some(number) = second {
        let then = Some(number);
        actions.push(Action::Compare(Pair {
            then,
            ..record.compared
        }));
    }
}

fn name(run: &Run) -> String {
    let label: String = run.label.chars().take(60).collect();
    format!(
        "{}. {label}, {}",
        run.number,
        count(run.count() as u64, "step")
    )
}

/// In what the two runs are unlike each other.
fn unlike(now: &Run, then: &Run) -> Option<String> {
    let (now, then) = (&now.subject, &then.subject);
    if now.is_unknown() || then.is_unknown() {
        return None;
    }
    let mut all = Vec::new();
    let mut differ = |what: &str, now: String, then: String| {
        if now != then {
            all.push(format!("{what}: {now}, then {then}"));
        }
    };
    differ("model", now.model.clone(), then.model.clone());
    differ("weights", now.dtype.clone(), then.dtype.clone());
    differ("adapter", now.adapter.clone(), then.adapter.clone());
    differ(
        "layers, compared by number",
        now.layers.len().to_string(),
        then.layers.len().to_string(),
    );
    (!all.is_empty()).then(|| format!("Unlike each other in {}", all.join("; ")))
}

/// A line about all of a token.
fn whole(ui: &mut Ui, row: &Row) {
    let text = format!("{}: {}, {}", row.name, row.times(), row.words());
    let is_change = row
        .difference()
        .is_some_and(|difference| matches!(difference.verdict, Verdict::Slower | Verdict::Faster));
    let text = match is_change {
        true => theme::strong(text),
        false => egui::RichText::new(text),
    };
    ui.label(text.small()).on_hover_text(details(row));
}

fn table(ui: &mut Ui, rows: &[Row], height: f32) {
    let most = rows.iter().filter_map(Row::difference);
    let most = most
        .map(|difference| difference.delta.abs().max(difference.noise))
        .fold(1.0, f64::max);
    let spacing = std::mem::take(&mut ui.spacing_mut().item_spacing.y);
    head(ui);
    for row in rows {
        draw(ui, row, height, most);
    }
    let size = vec2(ui.available_width(), BELOW);
    let name = "Difference of a token's time";
    let (response, painter) = canvas(ui, size, Sense::hover(), name);
    let rect = response.rect;
    let scale = scale(rect, most);
    let area = Rect::from_x_y_ranges(scale.left..=scale.right, rect.top()..=rect.top());
    picture::marks_below(ui, &painter, area, &scale, "", picture::time_mark);
    ui.spacing_mut().item_spacing.y = spacing;
}

/// What the columns are.
fn head(ui: &mut Ui) {
    let size = vec2(ui.available_width(), BELOW);
    let (response, painter) = canvas(ui, size, Sense::hover(), "Columns");
    let rect = response.rect;
    let scale = scale(rect, 1.0);
    let color = theme::palette(ui).weak;
    let text = |x: f32, align, text: &str| {
        let at = pos2(x, rect.center().y);
        painter.text(at, align, text, picture::small(ui), color);
    };
    if rect.width() > ROOMY {
        text(rect.left() + NAME, Align2::LEFT_CENTER, "then → now");
    }
    text(scale.x(0.0), Align2::CENTER_CENTER, "faster ← now → slower");
}

/// Where differences are drawn in a row of that place.
fn scale(rect: Rect, most: f64) -> Scale {
    let times = if rect.width() > ROOMY { TIMES } else { 0.0 };
    let left = rect.left() + NAME + times;
    let range = Rangef::new(left, (rect.right() - VERDICT).max(left + 20.0));
    Scale {
        left: range.min,
        right: range.max,
        low: -1.05 * most,
        high: 1.05 * most,
    }
}

fn draw(ui: &mut Ui, row: &Row, height: f32, most: f64) {
    let words = row.words();
    let label = format!("{}: {}, {words}", row.name, row.times());
    let size = vec2(ui.available_width(), height);
    let (response, painter) = canvas(ui, size, Sense::hover(), &label);
    let rect = response.rect;
    let palette = theme::palette(ui);
    if response.hovered() {
        painter.rect_filled(rect, 2.0, palette.stripe());
    }
    let scale = scale(rect, most);
    let text = |x: f32, text: String, color| {
        let at = pos2(x, rect.center().y);
        painter.text(at, Align2::LEFT_CENTER, text, picture::small(ui), color);
    };
    text(rect.left(), row.name.clone(), palette.text);
    if rect.width() > ROOMY {
        text(rect.left() + NAME, row.times(), palette.weak);
    }
    let bars = rect.y_range().shrink(3.0);
    let mut ink = palette.weak;
    if let Some(difference) = row.difference() {
        let band = scale.x(-difference.noise)..=scale.x(difference.noise);
        let noise = Rect::from_x_y_ranges(band, rect.y_range());
        painter.rect_filled(noise, 0.0, palette.raised);
        let color = match difference.verdict {
            Verdict::Slower => theme::SLOWER,
            Verdict::Faster => theme::FASTER,
            Verdict::WithinNoise | Verdict::TooFew => palette.weak.gamma_multiply(0.6),
        };
        if matches!(difference.verdict, Verdict::Slower | Verdict::Faster) {
            ink = palette.text;
        }
        let (zero, end) = (scale.x(0.0), scale.x(difference.delta));
        let bar = Rect::from_x_y_ranges(zero.min(end)..=zero.max(end), bars);
        painter.rect_filled(bar, 1.0, color);
    }
    let stroke = Stroke::new(1.0, palette.line);
    painter.vline(scale.x(0.0), rect.y_range(), stroke);
    text(scale.right + 8.0, words, ink);
    response.on_hover_text(details(row));
}

/// Where the figures of a row are from, and what is noise.
fn details(row: &Row) -> String {
    let mut text = row.name.clone();
    for (what, spread) in [("now", row.now), ("then", row.then)] {
        if let Some(spread) = spread {
            text += &format!(
                "\n{what}: {} a token, the middle half of {} from {} to {}",
                duration(spread.median),
                count(spread.count as u64, "step"),
                duration(spread.low),
                duration(spread.high)
            );
        }
    }
    if let Some(difference) = row.difference() {
        text += &format!(
            "\ndifference: {}{}; up to {} is noise",
            if difference.delta < 0.0 { "−" } else { "+" },
            duration(difference.delta.abs()),
            duration(difference.noise)
        );
    }
    format!("{text}\n{NOISE_RULE}")
}
