//! Files to typed, checked data: configuration, tensors, generation defaults. No GPU here.

mod chat;
pub mod config;
mod demo;
mod files;
mod fingerprint;
mod folder;
mod generation;
mod gguf;
mod mapped;
pub mod quantize;
mod read;
pub mod shapes;
mod spec;
mod tensor;
mod write;

pub use chat::ChatFiles;
pub use config::{Activation, Config, LayerConfig, LayerTensors, OuterTensors};
pub use folder::{Checkpoint, check_config};
pub use generation::GenerationDefaults;
pub use read::read_tokenizer;
pub use spec::TensorSpec;
pub use tensor::{RowReader, Tensor};
