//! How often to draw. Where the processor draws, every frame is taken from the model, which needs the same cores more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Pixels to draw a second while text streams: on llvmpipe with two cores these cost less than a tenth of the model's speed.
const PIXELS_A_SECOND: f32 = 8e6;

/// Between frames where the processor draws, however small or large the window is.
const SHORTEST: f32 = 0.07;
const LONGEST: f32 = 1.0;

/// The time between frames that nobody asked for by touching something; none where a GPU draws.
#[derive(Clone, Default)]
pub struct Pace {
    /// Milliseconds.
    interval: Arc<AtomicU64>,
    is_slow: bool,
}

impl Pace {
    pub fn slow() -> Self {
        let interval = Arc::new(AtomicU64::new(100));
        Self {
            interval,
            is_slow: true,
        }
    }

    pub fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// Takes the size of the window into account.
    pub fn update(&self, context: &egui::Context) {
        if self.is_slow {
            let size = context.viewport_rect().size() * context.pixels_per_point();
            let seconds = (size.x * size.y / PIXELS_A_SECOND).clamp(SHORTEST, LONGEST);
            let milliseconds = (1e3 * seconds) as u64;
            self.interval.store(milliseconds, Ordering::Relaxed);
        }
    }

    /// Has the next frame drawn when it is time.
    pub fn repaint(&self, context: &egui::Context) {
        match self.interval.load(Ordering::Relaxed) {
            0 => context.request_repaint(),
            wait => context.request_repaint_after(Duration::from_millis(wait)),
        }
    }
}
