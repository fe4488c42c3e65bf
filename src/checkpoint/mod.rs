//! Files to typed, checked data: configuration, tensors, generation defaults. No GPU here.

pub mod config;
mod demo;
mod files;
mod fingerprint;
mod folder;
mod generation;
pub mod quantize;
mod read;
pub mod shapes;
mod spec;
mod tensor;
mod write;

pub use config::{Activation, Config, LayerConfig, LayerTensors, OuterTensors};
pub use folder::{Checkpoint, is_hub_id};
pub use generation::GenerationDefaults;
pub use read::read_tokenizer;
pub use spec::TensorSpec;
pub use tensor::{RowReader, Tensor};
