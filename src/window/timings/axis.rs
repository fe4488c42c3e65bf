//! The stretch of an axis that is in sight, and how one moves along it: alike in every picture.
//!
//! The wheel zooms at the pointer, with Shift or sideways it pans; a double click shows all. Where dragging does not pan, it does with
//! Shift. A picture that has the focus takes `+`, `-`, `0`, the arrows, Home and End.

use egui::{EventFilter, Key, Rangef, Response, Ui};

/// By how much a key zooms, and which share of what is in sight it pans.
const KEY_ZOOM: f64 = 0.5;
const KEY_PAN: f64 = 0.25;

/// The stretch in sight: numbers of steps, or nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AxisView {
    /// `None`: all that there is, as it grows.
    range: Option<(f64, f64)>,
}

/// An axis as it is drawn: values from `low` to `high` on pixels from `left` to `right`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    pub left: f32,
    pub right: f32,
    pub low: f64,
    pub high: f64,
}

impl Scale {
    pub fn x(&self, value: f64) -> f32 {
        let share = (value - self.low) / (self.high - self.low).max(f64::MIN_POSITIVE);
        self.left + (share * f64::from(self.right - self.left)) as f32
    }

    pub fn value(&self, x: f32) -> f64 {
        let share = f64::from((x - self.left) / (self.right - self.left).max(1.0));
        self.low + share * (self.high - self.low)
    }

    /// Pixels for one unit.
    pub fn unit(&self) -> f32 {
        self.x(self.low + 1.0) - self.left
    }
}

/// What an axis is of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    pub low: f64,
    pub high: f64,
    /// The least that can be in sight.
    pub least: f64,
}

impl AxisView {
    /// What is in sight of `extent`.
    pub fn range(&self, extent: &Extent) -> (f64, f64) {
        let (low, high) = self.range.unwrap_or((extent.low, extent.high));
        let all = (extent.high - extent.low).max(extent.least);
        let width = (high - low).clamp(extent.least.min(all), all);
        let low = low.min(extent.high - width).max(extent.low);
        (low, low + width)
    }

    pub fn is_whole(&self) -> bool {
        self.range.is_none()
    }

    pub fn show_all(&mut self) {
        self.range = None;
    }

    /// Shows `factor` times as much, with `fixed` staying where it is.
    pub fn zoom(&mut self, extent: &Extent, factor: f64, fixed: f64) {
        let (low, high) = self.range(extent);
        let all = (extent.high - extent.low).max(extent.least);
        let width = ((high - low) * factor).clamp(extent.least.min(all), all);
        if width >= all {
            self.range = None;
            return;
        }
        let share = ((fixed - low) / (high - low)).clamp(0.0, 1.0);
        let low = (fixed - share * width).clamp(extent.low, extent.high - width);
        self.range = Some((low, low + width));
    }

    /// As [`AxisView::zoom`], at the middle of what is in sight.
    fn zoom_middle(&mut self, extent: &Extent, factor: f64) {
        let (low, high) = self.range(extent);
        self.zoom(extent, factor, (low + high) / 2.0);
    }

    pub fn pan(&mut self, extent: &Extent, by: f64) {
        if self.is_whole() {
            return;
        }
        let (low, high) = self.range(extent);
        let width = high - low;
        let low = (low + by).clamp(extent.low, (extent.high - width).max(extent.low));
        self.range = Some((low, low + width));
    }

    /// Moves as the pointer and the keyboard say, and returns the axis as it is to be drawn on pixels `across`. `drag_pans`: dragging
    /// pans without Shift too.
    pub fn navigate(
        &mut self,
        ui: &Ui,
        response: &Response,
        across: Rangef,
        extent: &Extent,
        drag_pans: bool,
    ) -> Scale {
        let pixels = f64::from(across.span().max(1.0));
        let scale = self.scale(across, extent);
        let shown = scale.high - scale.low;
        let is_shifted = ui.input(|input| input.modifiers.shift);
        if let Some(pointer) = response.hover_pos() {
            let (wheel, sideways) = ui.input_mut(|input| {
                let delta = input.smooth_scroll_delta();
                let wheel = delta.y + 100.0 * (input.zoom_delta() - 1.0);
                // What is around must not scroll as well.
                input.smooth_scroll_delta = egui::Vec2::ZERO;
                (wheel, delta.x)
            });
            if wheel != 0.0 {
                let factor = (-f64::from(wheel) / 200.0).exp();
                self.zoom(extent, factor, scale.value(pointer.x));
            }
            if sideways != 0.0 {
                self.pan(extent, -f64::from(sideways) / pixels * shown);
            }
        }
        if response.dragged() && (drag_pans || is_shifted) {
            let by = -f64::from(response.drag_delta().x) / pixels * shown;
            self.pan(extent, by);
        }
        if response.double_clicked() {
            self.show_all();
        }
        if response.has_focus() {
            self.keys(ui, extent, shown);
        }
        self.scale(across, extent)
    }

    fn keys(&mut self, ui: &Ui, extent: &Extent, shown: f64) {
        let pressed =
            |key: Key| ui.input(|input| input.modifiers.is_none() && input.key_pressed(key));
        if pressed(Key::Plus) || pressed(Key::Equals) {
            self.zoom_middle(extent, KEY_ZOOM);
        }
        if pressed(Key::Minus) {
            self.zoom_middle(extent, 1.0 / KEY_ZOOM);
        }
        if pressed(Key::Num0) {
            self.show_all();
        }
        let all = extent.high - extent.low;
        let pans = [
            (Key::ArrowLeft, -KEY_PAN * shown),
            (Key::ArrowRight, KEY_PAN * shown),
            (Key::Home, -all),
            (Key::End, all),
        ];
        for (key, by) in pans {
            if pressed(key) {
                self.pan(extent, by);
            }
        }
    }

    fn scale(&self, across: Rangef, extent: &Extent) -> Scale {
        let (low, high) = self.range(extent);
        Scale {
            left: across.min,
            right: across.max,
            low,
            high,
        }
    }
}

/// Keeps the arrows for a picture that has the focus: they would move the focus to its neighbour.
pub fn keep_arrows(ui: &Ui, response: &Response) {
    let arrows = EventFilter {
        horizontal_arrows: true,
        vertical_arrows: true,
        ..EventFilter::default()
    };
    if response.has_focus() {
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
    }
}

/// How far the arrows move what is selected in a picture that has the focus: steps with Shift and left or right, rows with up or down.
pub fn moves(ui: &Ui, response: &Response) -> (i64, i64) {
    if !response.has_focus() {
        return (0, 0);
    }
    ui.input(|input| {
        let of = |less: Key, more: Key| {
            i64::from(input.key_pressed(more)) - i64::from(input.key_pressed(less))
        };
        let steps = match input.modifiers.shift {
            true => of(Key::ArrowLeft, Key::ArrowRight),
            false => 0,
        };
        (steps, of(Key::ArrowUp, Key::ArrowDown))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent = Extent {
        low: 10.0,
        high: 110.0,
        least: 4.0,
    };

    #[test]
    fn what_is_pointed_at_stays_and_nothing_goes_beyond_the_ends() {
        let mut view = AxisView::default();
        assert_eq!(view.range(&EXTENT), (10.0, 110.0));
        view.zoom(&EXTENT, 0.5, 30.0);
        assert_eq!(view.range(&EXTENT), (20.0, 70.0));
        view.pan(&EXTENT, -50.0);
        assert_eq!(view.range(&EXTENT), (10.0, 60.0));
        view.pan(&EXTENT, 1e9);
        assert_eq!(view.range(&EXTENT), (60.0, 110.0));
        view.zoom(&EXTENT, 1e-9, 100.0);
        let (low, high) = view.range(&EXTENT);
        assert!((high - low - 4.0).abs() < 1e-9 && low < 100.0 && high > 100.0);
        view.zoom(&EXTENT, 1e9, 100.0);
        assert!(view.is_whole());
        // All of it does not pan.
        view.pan(&EXTENT, 5.0);
        assert_eq!(view.range(&EXTENT), (10.0, 110.0));
    }

    #[test]
    fn what_is_in_sight_stays_within_what_there_is() {
        let mut view = AxisView::default();
        view.zoom(&EXTENT, 0.1, 110.0);
        assert_eq!(view.range(&EXTENT), (100.0, 110.0));
        let shorter = Extent {
            high: 50.0,
            ..EXTENT
        };
        assert_eq!(view.range(&shorter), (40.0, 50.0));
        let empty = Extent {
            low: 3.0,
            high: 3.0,
            least: 1.0,
        };
        let (low, high) = view.range(&empty);
        assert!(high > low && low.is_finite());
    }

    #[test]
    fn pixels_and_values_are_each_others() {
        let scale = Scale {
            left: 50.0,
            right: 250.0,
            low: 10.0,
            high: 110.0,
        };
        assert_eq!(scale.x(60.0), 150.0);
        assert_eq!(scale.value(150.0), 60.0);
        assert_eq!(scale.unit(), 2.0);
    }
}
