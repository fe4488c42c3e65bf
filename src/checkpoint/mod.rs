//! Files to typed, checked data: configuration, tensors, generation defaults. No GPU here.

mod chat;
pub mod config;
mod demo;
mod entries;
mod files;
mod find;
mod fingerprint;
mod folder;
mod foreign;
mod generation;
mod gguf;
mod lora;
mod lora_config;
mod mapped;
mod mlx;
mod names;
mod oddities;
pub mod quantize;
mod read;
mod sentencepiece;
pub mod shapes;
mod spec;
mod tensor;
mod tensor_file;
mod tokenizer_file;
mod vocabulary;
mod write;

pub use chat::ChatFiles;
pub use config::{Activation, Config, LayerConfig, LayerTensors, OuterTensors};
pub use folder::{Checkpoint, check_config};
pub use generation::GenerationDefaults;
pub(crate) use oddities::{faint, non_finite};
pub use spec::TensorSpec;
pub use tensor::{RowReader, Tensor};
pub use tokenizer_file::read_tokenizer;
