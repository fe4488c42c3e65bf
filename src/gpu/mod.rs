//! The only place that drives wgpu: adapters and devices, shaders and pipelines, memory.
//!
//! Architecture invariant: nothing here knows what a layer, a token or a model is.

pub mod adapter;
pub mod arrival;
pub mod cache_file;
mod candidate;
pub mod device;
pub mod memory;
pub mod pipeline;
mod pipeline_cache;
mod room;
pub mod shader;
pub mod timing;

pub(crate) use adapter::first_that_works;
pub use adapter::{AdapterFeatures, AdapterSummary, CooperativeMatrices, adapters};
#[cfg(feature = "window")]
pub(crate) use adapter::{free_memory, rank};
pub use arrival::{Arrival, Notice};
pub(crate) use candidate::Candidate;
pub use device::Gpu;
pub use memory::{Readback, Uploader};
pub use pipeline::{BindingKind, KernelSpec, Pipeline};
pub use timing::Timer;
