//! The only place that drives wgpu: adapters and devices, shaders and pipelines, memory.
//!
//! Architecture invariant: nothing here knows what a layer, a token or a model is.

pub mod arrival;
pub mod device;
pub mod memory;
pub mod pipeline;
pub mod shader;
pub mod timing;

pub use arrival::{Arrival, Notice, block_on};
pub use device::{AdapterSummary, Gpu, adapters};
pub use memory::{Readback, Uploader};
pub use pipeline::{BindingKind, KernelSpec, Pipeline};
pub use timing::Timer;
