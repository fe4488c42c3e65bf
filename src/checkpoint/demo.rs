//! The model that is part of the program; `assets/demo/README.md` says where it comes from.

use std::path::Path;

use super::files::TensorFiles;
use super::{Checkpoint, Result};

pub fn open() -> Result<Checkpoint> {
    let folder = Path::new("demo");
    Checkpoint::assemble(
        "demo",
        folder,
        include_bytes!("../../assets/demo/config.json"),
        Some(include_bytes!("../../assets/demo/generation_config.json")),
        Some(include_bytes!("../../assets/demo/tokenizer.json").to_vec()),
        TensorFiles::embedded(include_bytes!("../../assets/demo/model.safetensors"))?,
    )
}
