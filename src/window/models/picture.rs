//! A model's shape as a picture: layer by layer, heads above the line and the FFN below it. In OpenELM both grow.

use egui::{Rect, Sense, Stroke, pos2, vec2};

use super::super::catalog::Facts;
use super::super::theme::{self, GRID};
use super::super::widgets::canvas;
use crate::checkpoint::LayerConfig;

/// Points for heads, and for the FFN.
const HEADS: f32 = 28.0;
const FFN: f32 = 28.0;

/// The widest that a layer gets.
const MOST_WIDTH: f32 = 20.0;

/// Draws it, at most `room` wide.
pub fn show(ui: &mut egui::Ui, facts: &Facts, room: f32) {
    let count = facts.layers.len().max(1) as f32;
    let pitch = (room / count).min(MOST_WIDTH);
    let size = vec2(pitch * count, HEADS + FFN + 1.0);
    let (response, painter) = canvas(ui, size, Sense::hover(), &in_words(facts));
    let rect = response.rect;
    let palette = theme::palette(ui);
    let most_heads = widest(facts, |layer| layer.q_heads);
    let most_ffn = widest(facts, |layer| layer.ffn_dim);
    let middle = rect.top() + HEADS;
    let (heads, ffn) = (
        theme::kernel_color("attention"),
        theme::kernel_color("proj_1"),
    );
    let gap = if pitch > 4.0 { 1.0 } else { 0.0 };
    for (at, layer) in facts.layers.iter().enumerate() {
        let left = rect.left() + pitch * at as f32;
        let bar = |top: f32, bottom: f32| {
            Rect::from_min_max(pos2(left, top), pos2(left + pitch - gap, bottom))
        };
        let height = |value: usize, most: usize, room: f32| room * value as f32 / most as f32;
        let q = height(layer.q_heads, most_heads, HEADS);
        let kv = height(layer.kv_heads, most_heads, HEADS);
        painter.rect_filled(bar(middle - q, middle), 0, heads.gamma_multiply(0.55));
        painter.rect_filled(bar(middle - kv, middle), 0, heads);
        let below = height(layer.ffn_dim, most_ffn, FFN);
        painter.rect_filled(bar(middle + 1.0, middle + 1.0 + below), 0, ffn);
    }
    let line = Stroke::new(1.0, palette.line);
    painter.hline(rect.x_range(), middle, line);
    if let Some(place) = response.hover_pos() {
        let at = ((place.x - rect.left()) / pitch) as usize;
        if let Some(layer) = facts.layers.get(at) {
            response.on_hover_ui(|ui| {
                ui.label(format!("Layer {at}"));
                ui.label(theme::aside(format!(
                    "{} query heads, {} KV heads, FFN {} wide",
                    layer.q_heads, layer.kv_heads, layer.ffn_dim
                )));
            });
        }
    }
}

/// What the colours are, with the numbers that they stand for.
pub fn legend(ui: &mut egui::Ui, facts: &Facts) {
    let (heads, ffn) = (
        theme::kernel_color("attention"),
        theme::kernel_color("proj_1"),
    );
    ui.spacing_mut().interact_size.y = 0.0;
    for (color, text) in [
        (
            heads.gamma_multiply(0.55),
            format!("{} query heads", span(facts, |layer| layer.q_heads)),
        ),
        (
            heads,
            format!("{} KV heads", span(facts, |layer| layer.kv_heads)),
        ),
        (
            ffn,
            format!("FFN {} wide", span(facts, |layer| layer.ffn_dim)),
        ),
    ] {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = GRID;
            let (_, square) = ui.allocate_space(vec2(8.0, 8.0));
            ui.painter().rect_filled(square, 1, color);
            ui.label(theme::aside(text));
        });
    }
}

fn widest(facts: &Facts, width: impl Fn(&LayerConfig) -> usize) -> usize {
    facts.layers.iter().map(width).max().unwrap_or(1).max(1)
}

/// From the first layer to the last.
fn span(facts: &Facts, width: impl Fn(&LayerConfig) -> usize) -> String {
    let (Some(first), Some(last)) = (facts.layers.first(), facts.layers.last()) else {
        return "no".into();
    };
    match (width(first), width(last)) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first} to {last}"),
    }
}

fn in_words(facts: &Facts) -> String {
    format!(
        "{} layers, from the first to the last: {} query heads, {} KV heads, FFN {} wide",
        facts.layers.len(),
        span(facts, |layer| layer.q_heads),
        span(facts, |layer| layer.kv_heads),
        span(facts, |layer| layer.ffn_dim)
    )
}
