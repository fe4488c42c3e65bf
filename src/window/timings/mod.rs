//! Timings, live: what every step, layer and kernel costs, and how far that is from what the device can do.
//!
//! [`Record`] is the data, the other files draw it. Every view looks at the same selection: steps chosen in one filter all others,
//! and so do a layer and a kernel. Pictures along an axis of steps or of time share how one moves along it (`axis`), and how axes,
//! marks and legends look (`picture`).

mod axis;
mod compare;
mod controls;
mod flame;
mod foot;
mod heat;
mod kernels;
mod layers;
mod lesson;
mod memory;
mod panel;
mod picture;
mod record;
mod run;
mod selection;
mod strip;
mod subject;
mod what_if;

pub use panel::TimingsView;
pub use record::Record;
pub use run::Run;
pub use selection::{Pair, Selection, Tab};
