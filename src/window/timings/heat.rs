//! The heat map: layers down, steps across, bright is slow.

use egui::{Color32, ColorImage, Pos2, Rect, RichText, Sense, Stroke, pos2, vec2};

use super::run::Run;
use super::selection::Selection;
use crate::trace::units::{duration, layer_name};
use crate::trace::{Phase, Step};
use crate::window::action::Action;
use crate::window::theme::viridis;
use crate::window::widgets::canvas;

/// The picture of a run, drawn anew when the run or what is shown of it has changed.
#[derive(Default)]
pub struct View {
    key: Option<(u64, u64, Phase, Option<&'static str>, usize)>,
    texture: Option<egui::TextureHandle>,
    map: Map,
}

/// Nanoseconds a token, by layer and column of steps.
#[derive(Default)]
struct Map {
    rows: Vec<Option<u32>>,
    /// Numbers of the first and the last step of each column; those between columns were timed as a whole.
    columns: Vec<(usize, usize)>,
    /// [rows, columns]; NaN where nothing of the kind was run.
    values: Vec<f64>,
    lowest: f64,
    highest: f64,
}

/// What is so many times as slow as the median is a hiccup, and not the layer's doing.
const HICCUP: f64 = 4.0;

impl Map {
    fn of(run: &Run, phase: Phase, kernel: Option<&'static str>, most_columns: usize) -> Self {
        let timed = run.of_phase(phase).filter(|(_, step)| step.spans.is_some());
        let steps: Vec<(usize, &Step)> = timed.collect();
        let mut rows: Vec<Option<u32>> = Vec::new();
        for span in steps
            .iter()
            .flat_map(|(_, step)| step.spans.iter().flatten())
        {
            if !rows.contains(&span.layer) {
                rows.push(span.layer);
            }
        }
        // Layers in their order, what lies outside them below.
        rows.sort_by_key(|layer| layer.unwrap_or(u32::MAX));
        let each = steps.len().div_ceil(most_columns.max(1)).max(1);
        let groups: Vec<&[(usize, &Step)]> = steps.chunks(each).collect();
        let mut values = vec![f64::NAN; rows.len() * groups.len()];
        for (column, group) in groups.iter().enumerate() {
            let tokens: u32 = group.iter().map(|(_, step)| step.tokens).sum();
            for (_, step) in *group {
                for span in step.spans.iter().flatten() {
                    if kernel.is_some_and(|kernel| kernel != span.kernel) {
                        continue;
                    }
                    if let Some(row) = rows.iter().position(|layer| *layer == span.layer) {
                        let value = &mut values[row * groups.len() + column];
                        let before = if value.is_nan() { 0.0 } else { *value };
                        *value = before + span.duration_ns as f64 / f64::from(tokens.max(1));
                    }
                }
            }
        }
        // The scale is that of the layers: the head, several times as large, would flatten it.
        let layers = rows.iter().filter(|layer| layer.is_some()).count() * groups.len();
        let scaled = if layers > 0 {
            &values[..layers]
        } else {
            &values[..]
        };
        // Nor may a few hiccups of the machine.
        let mut sorted: Vec<f64> = scaled.iter().copied().filter(|x| !x.is_nan()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let quantile = |share: f64| {
            let at = (sorted.len().saturating_sub(1)) as f64 * share;
            sorted.get(at as usize).copied().unwrap_or(0.0)
        };
        Self {
            lowest: quantile(0.0),
            highest: quantile(0.97).min(HICCUP * quantile(0.5)),
            columns: groups
                .iter()
                .map(|group| (group[0].0, group[group.len() - 1].0))
                .collect(),
            rows,
            values,
        }
    }

    fn image(&self) -> ColorImage {
        let range = (self.highest - self.lowest).max(1.0);
        let shares = self
            .values
            .iter()
            .map(|value| (value - self.lowest) / range);
        let pixels = shares.map(|share| match share.is_nan() {
            true => Color32::from_gray(96),
            false => viridis(share as f32),
        });
        let pixels = pixels.collect();
        ColorImage::new([self.columns.len(), self.rows.len()], pixels)
    }
}

impl View {
    pub fn show(
        &mut self,
        ui: &mut egui::Ui,
        run: &Run,
        phase: Phase,
        selection: &Selection,
        actions: &mut Vec<Action>,
    ) {
        const LABELS: f32 = 42.0;
        let width = ui.available_width() - LABELS;
        let most_columns = width.max(1.0) as usize;
        let key = Some((
            run.number,
            run.version,
            phase,
            selection.kernel,
            most_columns,
        ));
        if self.key != key {
            self.map = Map::of(run, phase, selection.kernel, most_columns);
            let options = egui::TextureOptions::NEAREST;
            self.texture = (!self.map.values.is_empty())
                .then(|| ui.ctx().load_texture("heat", self.map.image(), options));
            self.key = key;
        }
        let map = &self.map;
        let Some(texture) = &self.texture else {
            ui.weak("No step of this kind was timed kernel by kernel or layer by layer.");
            return;
        };
        let rows = map.rows.len();
        let row = ((ui.available_height() - 64.0) / rows as f32).clamp(9.0, 24.0);
        let column = (width / map.columns.len() as f32).min(14.0);
        let size = vec2(ui.available_width(), row * rows as f32);
        let name = format!("Heat map of {rows} rows and {} columns", map.columns.len());
        let (response, painter) = canvas(ui, size, Sense::click(), &name);
        let area = Rect::from_min_size(
            response.rect.min + vec2(LABELS, 0.0),
            vec2(column * map.columns.len() as f32, size.y),
        );
        let whole = Rect::from_min_max(Pos2::ZERO, pos2(1.0, 1.0));
        painter.image(texture.id(), area, whole, Color32::WHITE);
        let font = egui::TextStyle::Small.resolve(ui.style());
        let every = (13.0 / row).ceil() as usize;
        for (i, layer) in map.rows.iter().enumerate().step_by(every) {
            let label = layer.map_or("other".to_owned(), |layer| layer.to_string());
            let at = pos2(area.left() - 6.0, area.top() + row * (i as f32 + 0.5));
            let color = ui.visuals().text_color();
            painter.text(at, egui::Align2::RIGHT_CENTER, label, font.clone(), color);
        }
        let outline = Stroke::new(2.0, Color32::WHITE);
        let mark = |rect: Rect| {
            painter.rect_stroke(
                rect.expand(1.0),
                0.0,
                Stroke::new(4.0, Color32::BLACK),
                egui::StrokeKind::Inside,
            );
            painter.rect_stroke(rect, 0.0, outline, egui::StrokeKind::Inside);
        };
        if let Some(layer) = selection.layer
            && let Some(i) = map.rows.iter().position(|row| *row == layer)
        {
            let top = area.top() + row * i as f32;
            mark(Rect::from_x_y_ranges(area.x_range(), top..=top + row));
        }
        if let Some((first, last)) = selection.steps {
            let is_in = |column: &(usize, usize)| column.0 <= last && column.1 >= first;
            let left = map.columns.iter().position(is_in);
            let right = map.columns.iter().rposition(is_in);
            if let (Some(left), Some(right)) = (left, right) {
                let x = |at: usize| area.left() + column * at as f32;
                // Outside, where it would cover a narrow column.
                let around = if column < 6.0 { 3.0 } else { 0.0 };
                let range = x(left) - around..=x(right + 1) + around;
                mark(Rect::from_x_y_ranges(range, area.y_range()));
            }
        }
        let at = |position: Pos2| {
            let inside = area.contains(position).then(|| position - area.min)?;
            let x = ((inside.x / column) as usize).min(map.columns.len() - 1);
            let y = ((inside.y / row) as usize).min(rows - 1);
            Some((x, y))
        };
        if response.clicked()
            && let Some((x, y)) = response.interact_pointer_pos().and_then(at)
        {
            let chosen = (Some(map.columns[x]), Some(map.rows[y]));
            let again = chosen == (selection.steps, selection.layer);
            let (steps, layer) = if again { (None, None) } else { chosen };
            actions.push(Action::Select(Selection {
                steps,
                layer,
                ..*selection
            }));
        }
        if let Some((x, y)) = response.hover_pos().and_then(at) {
            let value = map.values[y * map.columns.len() + x];
            let what = selection.kernel.unwrap_or("all kernels");
            let (first, last) = map.columns[x];
            let steps = match first == last {
                true => format!("step {first}"),
                false => format!("steps {first} to {last}"),
            };
            let time = match value.is_nan() {
                true => "nothing".to_owned(),
                false => format!("{} a token", duration(value)),
            };
            let layer = layer_name(map.rows[y]);
            response.on_hover_text(format!("{steps}, {layer}: {time} ({what})"));
        }
        legend(ui, map);
    }
}

fn legend(ui: &mut egui::Ui, map: &Map) {
    ui.add_space(6.0);
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(duration(map.lowest)).small());
        let (response, painter) = canvas(ui, vec2(140.0, 10.0), Sense::hover(), "Colour scale");
        let rect = response.rect;
        let steps = 35;
        for i in 0..steps {
            let x = |i: i32| rect.left() + rect.width() * i as f32 / steps as f32;
            let part = Rect::from_x_y_ranges(x(i)..=x(i + 1) + 0.5, rect.y_range());
            painter.rect_filled(part, 0.0, viridis(i as f32 / (steps - 1) as f32));
        }
        ui.label(
            RichText::new(format!(
                "{} and more, a token and layer",
                duration(map.highest)
            ))
            .small(),
        );
    });
    ui.label(
        RichText::new("Layers down, timed steps across; brighter is slower. OpenELM's later layers are wider by design. Click a cell to see its step and layer elsewhere.")
            .small()
            .weak(),
    );
}
