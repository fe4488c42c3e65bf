//! Timings, live: what every step, layer and kernel costs, and how far that is from what the device can do.
//!
//! [`Record`] is the data, the other files draw it. Every view looks at the same selection: steps chosen in one filter all others,
//! and so do a layer and a kernel.

mod compare;
mod flame;
mod heat;
mod kernels;
mod layers;
mod memory;
mod panel;
mod record;
mod run;
mod selection;
mod strip;

pub use panel::TimingsView;
pub use record::Record;
pub use selection::{Selection, Tab};
