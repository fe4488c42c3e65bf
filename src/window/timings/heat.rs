//! The heat map: layers down, steps across as in the strip above it, bright is slow.

use egui::{Align2, Color32, ColorImage, Pos2, Rect, RichText, Sense, Stroke, Ui, pos2, vec2};

use super::axis::{AxisView, Scale, moves};
use super::picture::{self, BELOW};
use super::run::Run;
use super::selection::Selection;
use super::strip::{chosen, extent};
use crate::trace::units::{duration, layer_name};
use crate::trace::{Phase, Step, heat_range};
use crate::window::action::Action;
use crate::window::theme::{self, viridis};
use crate::window::widgets::canvas;

/// Heights of a row, and of what stands below the map.
const LOWEST: f32 = 7.0;
const HIGHEST: f32 = 44.0;
const LEGEND: f32 = 44.0;

/// How strong the colour is of steps that were timed as a whole, where the one before stands for them.
const HELD: f32 = 0.3;

/// What the cells are of: the run, how many of its steps were let go, the phase, one kernel or all.
type Key = (u64, usize, Phase, Option<&'static str>);

/// What the picture is of, beside the cells: how many steps they are of, what is in sight, its width in pixels.
type Sight = (usize, f64, f64, usize);

#[derive(Default)]
pub struct View {
    key: Option<Key>,
    cells: Cells,
    sight: Option<Sight>,
    texture: Option<egui::TextureHandle>,
    range: Range,
}

/// What every layer took in every step that was timed in detail.
#[derive(Default)]
struct Cells {
    /// Layers in their order, what lies outside them below.
    rows: Vec<Option<u32>>,
    steps: Vec<Column>,
    /// Steps of the run that were looked at.
    seen: usize,
}

/// Nanoseconds a token in one step, by row; NaN where nothing of the kind was run.
struct Column {
    number: usize,
    values: Vec<f64>,
}

/// What the darkest and the brightest colour stand for, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Range {
    lowest: f64,
    highest: f64,
}

impl Range {
    fn share(&self, value: f64) -> f32 {
        ((value - self.lowest) / (self.highest - self.lowest).max(1.0)) as f32
    }
}

impl Cells {
    /// Takes in the steps that have come since.
    fn update(&mut self, run: &Run, phase: Phase, kernel: Option<&'static str>) {
        if run.count() == self.seen {
            return;
        }
        let seen = self.seen;
        let steps = run.of_phase(phase).rev();
        let new: Vec<(usize, &Step)> = steps.take_while(|(number, _)| *number >= seen).collect();
        for (number, step) in new.into_iter().rev() {
            self.add(number, step, kernel);
        }
        self.seen = run.count();
    }

    fn add(&mut self, number: usize, step: &Step, kernel: Option<&'static str>) {
        let Some(spans) = &step.spans else { return };
        let mut values = vec![f64::NAN; self.rows.len()];
        let tokens = f64::from(step.gained());
        for span in spans {
            let row = self.row(span.layer);
            // It may have been made just now.
            values.resize(self.rows.len().max(values.len()), f64::NAN);
            if kernel.is_some_and(|kernel| kernel != span.kernel) {
                continue;
            }
            let before = if values[row].is_nan() {
                0.0
            } else {
                values[row]
            };
            values[row] = before + span.duration_ns as f64 / tokens;
        }
        self.steps.push(Column { number, values });
    }

    /// The row of a layer, which is made if there is none. Rows are in the order in which layers came, and sorted for drawing.
    fn row(&mut self, layer: Option<u32>) -> usize {
        match self.rows.iter().position(|row| *row == layer) {
            Some(at) => at,
            None => {
                self.rows.push(layer);
                self.rows.len() - 1
            }
        }
    }

    /// Rows as they are drawn: each with its place in a column's values.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|row| self.rows[*row].unwrap_or(u32::MAX));
        order
    }

    /// The column that stands for a step: its own, or that of the last one before it that was timed in detail.
    fn column(&self, number: usize) -> Option<&Column> {
        let after = self.steps.partition_point(|column| column.number <= number);
        self.steps.get(after.checked_sub(1)?)
    }

    /// The scale of the layers among `columns`: the head, several times as large, would flatten it, and so would hiccups of the machine.
    fn range(&self, columns: &[(bool, Vec<f64>)]) -> Range {
        let has_layers = self.rows.iter().any(Option::is_some);
        let counts = |row: usize| !has_layers || self.rows[row].is_some();
        let shown = columns
            .iter()
            .flat_map(|(_, values)| values.iter().enumerate())
            .filter(|(row, value)| counts(*row) && !value.is_nan())
            .map(|(_, value)| *value);
        let (lowest, highest) = heat_range(shown.collect());
        Range { lowest, highest }
    }

    /// Means over `each` steps, from step `first` on, `count` times; with each whether any of them was timed in detail, or what was before
    /// stands for them.
    fn means(&self, first: usize, each: usize, count: usize) -> Vec<(bool, Vec<f64>)> {
        let mean = |i: usize| {
            let from = first + i * each;
            let begin = self.steps.partition_point(|column| column.number < from);
            let end = self
                .steps
                .partition_point(|column| column.number < from + each);
            match &self.steps[begin..end] {
                [] => {
                    let held = self.column(from).map(|column| column.values.clone());
                    (false, held.unwrap_or_default())
                }
                columns => (true, average(columns, self.rows.len())),
            }
        };
        (0..count).map(mean).collect()
    }
}

/// The mean of what columns have in each row.
fn average(columns: &[Column], rows: usize) -> Vec<f64> {
    let of_row = |row: usize| {
        let values = columns.iter().filter_map(|column| column.values.get(row));
        let (sum, count) = values
            .filter(|value| !value.is_nan())
            .fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        if count > 0.0 { sum / count } else { f64::NAN }
    };
    (0..rows).map(of_row).collect()
}

impl View {
    #[expect(
        clippy::too_many_arguments,
        reason = "what is drawn, where, and along which axis"
    )]
    pub fn show(
        &mut self,
        ui: &mut Ui,
        room: f32,
        axis: &mut AxisView,
        run: &Run,
        phase: Phase,
        selection: &Selection,
        actions: &mut Vec<Action>,
    ) {
        let key = Some((run.number, run.dropped, phase, selection.kernel));
        if self.key != key {
            *self = Self {
                key,
                ..Self::default()
            };
        }
        self.cells.update(run, phase, selection.kernel);
        let rows = self.cells.rows.len();
        if rows == 0 {
            picture::nothing(ui, picture::NOT_DETAILED);
            return;
        }
        let width = ui.available_width();
        let row = ((room - BELOW - LEGEND) / rows as f32).clamp(LOWEST, HIGHEST);
        let columns = self.cells.steps.len();
        let name = format!("Heat map of {rows} rows and {columns} columns");
        let size = vec2(width, row * rows as f32 + BELOW);
        let (response, painter, area) = picture::plot(ui, size, &name);
        let rect = response.rect;
        let extent = extent(run, phase, area.width());
        let scale = axis.navigate(ui, &response, area.x_range(), &extent, false);
        let order = self.cells.order();
        let end = run.ends(phase).map_or(0, |(_, end)| end);
        self.paint(ui, &painter, area, &scale, &order, end);
        let layers: Vec<Option<u32>> = order.iter().map(|row| self.cells.rows[*row]).collect();
        labels(ui, &painter, area, row, &layers);
        picture::marks_below(ui, &painter, area, &scale, "step", |value| {
            format!("{value:.0}")
        });
        let inside = painter.with_clip_rect(area.expand(3.0));
        marks(&inside, area, row, &scale, &layers, selection);
        if response.has_focus() {
            picture::focus(ui, &painter, rect);
        }
        let place = |position: Pos2| {
            let inside = area.contains(position).then(|| position - area.min)?;
            let at = ((inside.y / row) as usize).min(rows - 1);
            Some((self.cells.column(scale.value(position.x) as usize)?, at))
        };
        let mut steps = chosen(ui, &response, &scale, run, phase, selection);
        let mut layer = selection.layer;
        if response.clicked()
            && let Some((column, at)) = response.interact_pointer_pos().and_then(place)
        {
            // What was timed as a whole is shown as the step before it.
            let chosen = (Some((column.number, column.number)), Some(layers[at]));
            let again = chosen == (selection.steps, selection.layer);
            (steps, layer) = if again { (None, None) } else { chosen };
        }
        // Its number stands for a layer.
        if response.clicked()
            && let Some(pointer) = response.interact_pointer_pos()
            && pointer.x < area.left()
            && area.y_range().contains(pointer.y)
        {
            let row = (((pointer.y - area.top()) / row) as usize).min(rows - 1);
            let again = selection.layer == Some(layers[row]);
            layer = (!again).then_some(layers[row]);
        }
        let (_, down) = moves(ui, &response);
        if down != 0 {
            let from = selection
                .layer
                .and_then(|layer| layers.iter().position(|row| *row == layer));
            let to = from.map_or(0, |from| from as i64 + down);
            layer = Some(layers[to.clamp(0, rows as i64 - 1) as usize]);
        }
        if (steps, layer) != (selection.steps, selection.layer) {
            actions.push(Action::Select(Selection {
                steps,
                layer,
                ..*selection
            }));
        }
        if let Some(position) = response.hover_pos()
            && let Some((column, at)) = place(position)
        {
            let pointed = scale.value(position.x) as usize;
            let value = column.values.get(order[at]).copied().unwrap_or(f64::NAN);
            let text = describe(column.number, pointed, layers[at], value, selection.kernel);
            response.on_hover_text(text);
        }
        legend(ui, self.range);
    }

    /// Draws the cells before step `last`, of which a picture is kept until something changes.
    fn paint(
        &mut self,
        ui: &Ui,
        painter: &egui::Painter,
        area: Rect,
        scale: &Scale,
        order: &[usize],
        last: usize,
    ) {
        let pixels = (area.width() as usize).max(1);
        let sight = Some((self.cells.seen, scale.low, scale.high, pixels));
        let first = self.cells.steps.first().map_or(0, |column| column.number);
        let begin = (scale.low.floor().max(0.0) as usize).max(first);
        let end = (scale.high.ceil() as usize).min(last);
        let count = end.saturating_sub(begin);
        // As many steps a column as keep columns from being narrower than pixels.
        let each = count.div_ceil(pixels).max(1);
        let columns = count.div_ceil(each);
        if columns == 0 {
            return;
        }
        if self.sight != sight {
            let values = self.cells.means(begin, each, columns);
            self.range = self.cells.range(&values);
            let image = image(&values, order, self.range);
            let options = egui::TextureOptions::NEAREST;
            match &mut self.texture {
                Some(texture) => texture.set(image, options),
                None => self.texture = Some(ui.ctx().load_texture("heat", image, options)),
            }
            self.sight = sight;
        }
        if let Some(texture) = &self.texture {
            let right = scale.x((begin + columns * each) as f64);
            let place = Rect::from_x_y_ranges(scale.x(begin as f64)..=right, area.y_range());
            let whole = Rect::from_min_max(Pos2::ZERO, pos2(1.0, 1.0));
            let end = scale.x(end as f64).min(area.right());
            let inside = painter.with_clip_rect(area.with_max_x(end));
            inside.image(texture.id(), place, whole, Color32::WHITE);
        }
    }
}

fn image(columns: &[(bool, Vec<f64>)], order: &[usize], range: Range) -> ColorImage {
    let color = |value: Option<&f64>| match value {
        Some(value) if !value.is_nan() => viridis(range.share(*value)),
        _ => Color32::from_gray(96),
    };
    let cell = |row: &usize, (is_timed, values): &(bool, Vec<f64>)| {
        let color = color(values.get(*row));
        match is_timed {
            true => color,
            false => color.gamma_multiply(HELD),
        }
    };
    let rows = order.iter();
    let pixels = rows.flat_map(|row| columns.iter().map(move |column| cell(row, column)));
    ColorImage::new([columns.len(), order.len()], pixels.collect())
}

/// Numbers of layers at the left, as many as have room.
fn labels(ui: &Ui, painter: &egui::Painter, area: Rect, row: f32, layers: &[Option<u32>]) {
    let font = picture::small(ui);
    let color = theme::palette(ui).weak;
    let every = (13.0 / row).ceil() as usize;
    for (i, layer) in layers.iter().enumerate().step_by(every) {
        let label = match (layer, i) {
            (None, _) => "other".to_owned(),
            (Some(layer), 0) => format!("layer {layer}"),
            (Some(layer), _) => layer.to_string(),
        };
        let at = pos2(area.left() - 6.0, area.top() + row * (i as f32 + 0.5));
        painter.text(at, Align2::RIGHT_CENTER, label, font.clone(), color);
    }
}

/// Frames around what is selected.
fn marks(
    painter: &egui::Painter,
    area: Rect,
    row: f32,
    scale: &Scale,
    layers: &[Option<u32>],
    selection: &Selection,
) {
    let mark = |rect: Rect| {
        // On any colour.
        for (width, color) in [(4.0, Color32::BLACK), (2.0, Color32::WHITE)] {
            let rect = rect.expand((width - 2.0) / 2.0);
            let stroke = Stroke::new(width, color);
            painter.rect_stroke(rect, 0.0, stroke, egui::StrokeKind::Inside);
        }
    };
    if let Some(layer) = selection.layer
        && let Some(i) = layers.iter().position(|own| *own == layer)
    {
        let top = area.top() + row * i as f32;
        mark(Rect::from_x_y_ranges(area.x_range(), top..=top + row));
    }
    if let Some((first, last)) = selection.steps {
        let (left, right) = (scale.x(first as f64), scale.x(last as f64 + 1.0));
        // Outside, where it would cover a narrow column.
        let around = if right - left < 6.0 { 3.0 } else { 0.0 };
        let range = left - around..=right + around;
        mark(Rect::from_x_y_ranges(range, area.y_range()));
    }
}

fn describe(
    number: usize,
    pointed: usize,
    layer: Option<u32>,
    value: f64,
    kernel: Option<&str>,
) -> String {
    let layer = layer_name(layer);
    let what = kernel.unwrap_or("all kernels");
    let mut text = match value.is_nan() {
        true => format!("Step {number}, {layer}: nothing ({what})"),
        false => format!(
            "Step {number}, {layer}: {} a token ({what})",
            duration(value)
        ),
    };
    if pointed != number {
        text += &format!(
            "\nSteps {} to {pointed} and on were timed as a whole.",
            number + 1
        );
    }
    text += &format!(
        "\n{}\nClick: its step and layer in all views. Up and down: layer.\n{}",
        picture::BY_DEVICE,
        picture::MOVES
    );
    text
}

fn legend(ui: &mut Ui, range: Range) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.label(RichText::new(duration(range.lowest)).small());
        let (response, painter) = canvas(ui, vec2(80.0, 10.0), Sense::hover(), "Colour scale");
        let rect = response.rect;
        let steps = 30;
        for i in 0..steps {
            let x = |i: i32| rect.left() + rect.width() * i as f32 / steps as f32;
            let part = Rect::from_x_y_ranges(x(i)..=x(i + 1) + 0.5, rect.y_range());
            painter.rect_filled(part, 0.0, viridis(i as f32 / (steps - 1) as f32));
        }
        let highest = format!("{} and more", duration(range.highest));
        ui.label(RichText::new(highest).small());
        let text = "Faint steps were timed as a whole: the one before that was timed in detail stands for them. \
                    OpenELM's later layers are wider by design, and so slower.";
        let label = egui::Label::new(theme::aside("a token and layer; faint: as the step before"));
        ui.add(label.truncate()).on_hover_text(text);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::made_up::{decode, span};

    fn step(layers: &[(Option<u32>, u64)]) -> Step {
        let spans = layers.iter();
        let spans = spans.map(|(layer, duration_ns)| span(*layer, "layer", *duration_ns, 0));
        let mut step = decode(spans.collect());
        if layers.is_empty() {
            step.spans = None;
        }
        step
    }

    #[test]
    fn rows_are_layers_in_their_order_and_untimed_steps_show_the_one_before() {
        let mut run = Run::default();
        run.push(step(&[(None, 9), (Some(0), 1)]), vec![1]);
        run.push(step(&[]), vec![1]);
        run.push(step(&[(None, 7), (Some(0), 3), (Some(1), 5)]), vec![1]);
        let mut cells = Cells::default();
        cells.update(&run, Phase::Decode, None);
        let layers: Vec<_> = cells.order().iter().map(|row| cells.rows[*row]).collect();
        assert_eq!(layers, [Some(0), Some(1), None]);
        assert_eq!(cells.column(1).map(|column| column.number), Some(0));
        let columns = cells.means(0, 1, 3);
        assert_eq!(columns[0].1[..2], [9.0, 1.0]);
        assert_eq!(columns[1].1[..2], [9.0, 1.0]);
        assert!(columns[0].0 && !columns[1].0);
        // In the order in which rows came: outside, 0, 1.
        assert_eq!(columns[2], (true, vec![7.0, 3.0, 5.0]));
        let both = cells.means(0, 3, 1);
        assert_eq!(both[0].1, [8.0, 2.0, 5.0]);
        // The head does not count in the scale.
        let range = cells.range(&columns);
        assert_eq!(range.lowest, 1.0);
        assert!(range.highest <= 5.0);
    }
}
