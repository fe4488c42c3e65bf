//! The model that is part of the program; `assets/demo/README.md` says where it comes from.

pub const CONFIG: &[u8] = include_bytes!("../../assets/demo/config.json");
pub const GENERATION: &[u8] = include_bytes!("../../assets/demo/generation_config.json");
pub const TOKENIZER: &[u8] = include_bytes!("../../assets/demo/tokenizer.json");
pub const TENSORS: &[u8] = include_bytes!("../../assets/demo/model.safetensors");
