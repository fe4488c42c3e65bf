//! Timings as plain data: what every dispatch of a step cost, summed by layer and by kernel, and written for other programs.
//!
//! Architecture invariant: no GPU here; a trace can be kept, compared and exported long after the device is gone.

mod export;
mod html;
mod mode;
mod rationing;
mod step;

pub use export::{chrome, csv, json};
pub use html::{About, LayerShape, html};
pub use mode::TraceMode;
pub use rationing::{Rationing, TracePlan};
pub use step::{Bound, KernelSum, LayerSum, Peaks, Phase, Span, Step, Sum, by_kernel, by_layer};
