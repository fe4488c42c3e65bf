//! The heat map: layers down, steps across, bright is slow.

use std::fmt::Write;

use super::figures::{COLUMNS, axis, percent};
use crate::trace::colors::viridis;
use crate::trace::units::duration;
use crate::trace::{Step, heat_range};

/// Cells in all: models with very many layers get fewer columns.
const MOST_CELLS: usize = 12_000;

/// Colours that are told apart.
const SHADES: usize = 32;

struct Map {
    rows: Vec<Option<u32>>,
    /// Steps that share a column.
    each: usize,
    /// Numbers of the first and the last step of each column; those between columns were timed as a whole.
    columns: Vec<(usize, usize)>,
    /// [rows, columns]: nanoseconds a token; none where nothing of the kind was run.
    values: Vec<Option<f64>>,
    lowest: f64,
    highest: f64,
}

impl Map {
    fn of(timed: &[(usize, &Step)]) -> Self {
        let spans = timed
            .iter()
            .flat_map(|(_, step)| step.spans.iter().flatten());
        let mut rows: Vec<Option<u32>> = spans.map(|span| span.layer).collect();
        // Layers in their order, what lies outside them below.
        rows.sort_unstable_by_key(|layer| layer.unwrap_or(u32::MAX));
        rows.dedup();
        let most = (MOST_CELLS / rows.len().max(1)).clamp(1, COLUMNS);
        let each = timed.len().div_ceil(most).max(1);
        let groups = timed.chunks(each);
        let width = groups.len();
        let mut values = vec![None; rows.len() * width];
        for (column, group) in groups.enumerate() {
            let tokens: u32 = group.iter().map(|(_, step)| step.gained()).sum();
            for span in group
                .iter()
                .flat_map(|(_, step)| step.spans.iter().flatten())
            {
                let key = span.layer.unwrap_or(u32::MAX);
                let found = rows.binary_search_by_key(&key, |layer| layer.unwrap_or(u32::MAX));
                if let Ok(row) = found {
                    let value: &mut Option<f64> = &mut values[row * width + column];
                    let time = span.duration_ns as f64 / f64::from(tokens.max(1));
                    *value = Some(value.unwrap_or(0.0) + time);
                }
            }
        }
        // The scale is that of the layers: the head, several times as large, would flatten it. Nor may a few hiccups of the machine.
        let layers = rows.iter().filter(|layer| layer.is_some()).count() * width;
        let scaled = if layers > 0 { layers } else { values.len() };
        let (lowest, highest) = heat_range(values[..scaled].iter().copied().flatten().collect());
        let ends = |group: &[(usize, &Step)]| Some((group.first()?.0, group.last()?.0));
        Self {
            rows,
            each,
            columns: timed.chunks(each).filter_map(ends).collect(),
            values,
            lowest,
            highest,
        }
    }

    /// The shade of a cell.
    fn shade(&self, value: f64) -> usize {
        let share = (value - self.lowest) / (self.highest - self.lowest).max(1.0);
        (share.clamp(0.0, 1.0) * (SHADES - 1) as f64).round() as usize
    }

    /// Cells of one shade are one path, of unit squares.
    fn cells(&self, text: &mut String) {
        let width = self.columns.len();
        let mut paths = vec![String::new(); SHADES];
        for (at, value) in self.values.iter().enumerate() {
            if let Some(value) = value {
                let (x, y) = (at % width, at / width);
                let _ = write!(paths[self.shade(*value)], "M{x} {y}h1v1h-1z");
            }
        }
        for (shade, path) in paths
            .iter()
            .enumerate()
            .filter(|(_, path)| !path.is_empty())
        {
            let color = viridis(shade as f64 / (SHADES - 1) as f64);
            let _ = write!(text, "<path fill=\"{color}\" d=\"{path}\"/>");
        }
    }

    /// What the script reads: microseconds to a tenth.
    fn data(&self) -> String {
        let values: Vec<String> = self
            .values
            .iter()
            .map(|value| value.map_or("null".to_owned(), |ns| format!("{:.1}", ns / 1e3)))
            .collect();
        let rows: Vec<String> = self
            .rows
            .iter()
            .map(|row| row.map_or("null".to_owned(), |layer| layer.to_string()))
            .collect();
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|(first, last)| format!("[{first},{last}]"))
            .collect();
        format!(
            "{{\"rows\":[{}],\"columns\":[{}],\"values\":[{}]}}",
            rows.join(","),
            columns.join(","),
            values.join(",")
        )
    }
}

/// A map of steps that all have spans; of one step it would only say again what the bars say.
pub fn map(text: &mut String, timed: &[(usize, &Step)]) {
    let map = Map::of(timed);
    let (rows, columns) = (map.rows.len(), map.columns.len());
    if columns < 2 || rows == 0 {
        return;
    }
    text.push_str("<h3>Layers and steps</h3>");
    let height = (560.0 / rows as f64).clamp(1.0, 16.0);
    let tall = height * rows as f64;
    let _ = write!(
        text,
        "<div class=\"heat\"><div class=\"rows\" aria-hidden=\"true\" style=\"height:{tall:.0}px\">"
    );
    let every = (14.0 / height).ceil() as usize;
    for (i, layer) in map.rows.iter().enumerate().step_by(every) {
        let label = layer.map_or("other".to_owned(), |layer| layer.to_string());
        let top = percent(i as f64 / rows as f64);
        let _ = write!(text, "<span style=\"top:{top}\">{label}</span>");
    }
    let _ = write!(
        text,
        "</div><svg width=\"100%\" height=\"{tall:.0}\" viewBox=\"0 0 {columns} {rows}\" preserveAspectRatio=\"none\" \
         shape-rendering=\"crispEdges\" role=\"img\" aria-label=\"Heat map of {rows} rows and {columns} columns of steps: {} to {} a token and layer\">",
        duration(map.lowest),
        duration(map.highest),
    );
    map.cells(text);
    text.push_str("</svg><div></div><div>");
    let marks = columns.min(5);
    let step = |mark: usize| map.columns[mark * (columns - 1) / (marks - 1).max(1)].0;
    let labels: Vec<String> = (0..marks)
        .map(|mark| format!("step {}", step(mark)))
        .collect();
    axis(text, &labels);
    let _ = write!(
        text,
        "<p class=\"legend\"><span>{}</span>{}<span>{} and more, a token and layer</span></p><output></output>",
        duration(map.lowest),
        scale(),
        duration(map.highest),
    );
    let _ = write!(
        text,
        "</div><script type=\"application/json\">{}</script></div>",
        map.data()
    );
    let several = match map.each {
        1 => String::new(),
        each => format!(" {each} steps share a column, of which the mean is shown."),
    };
    let _ = write!(
        text,
        "<p class=\"note\">Layers down, timed steps across; brighter is slower.{several}</p>"
    );
}

/// The colours from fast to slow.
fn scale() -> String {
    let mut text = String::from("<svg width=\"140\" height=\"10\" aria-hidden=\"true\">");
    let parts = 35;
    for part in 0..parts {
        let color = viridis(f64::from(part) / f64::from(parts - 1));
        let _ = write!(
            text,
            "<rect x=\"{}\" width=\"5\" height=\"10\" fill=\"{color}\"/>",
            4 * part
        );
    }
    text + "</svg>"
}
