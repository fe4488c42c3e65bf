//! Timings as plain data: what every dispatch of a step cost, summed by layer and by kernel, explained, compared, and written for other
//! programs.
//!
//! Architecture invariant: no GPU here; a trace can be kept, compared and exported long after the device is gone.

mod cause;
pub mod colors;
mod export;
mod groups;
mod html;
mod import;
#[cfg(test)]
pub(crate) mod made_up;
mod mode;
mod range;
mod rationing;
mod spread;
mod step;
mod subject;
mod totals;
pub mod units;

pub use cause::{Explanation, Part, explain};
pub use export::{chrome, csv, json};
pub use groups::{GROUPS, group};
pub use html::{About, escaped, html};
pub use import::{Imported, MOST_BYTES, read_json};
pub use mode::TraceMode;
pub use range::{HICCUP, bars_end, heat_range, quantile};
pub use rationing::{Rationing, TracePlan};
pub use spread::{Costs, Difference, FEWEST, INDEPENDENT, LEAST, NOISE_RULE, Spread, Verdict};
pub use step::{Bound, KernelSum, LayerSum, Peaks, Phase, Span, Step, Sum, by_kernel, by_layer};
pub use subject::{LayerShape, Subject};
pub use totals::{Totals, Wall};
