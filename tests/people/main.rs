//! Models, prompts and command lines as people really have them: whatever lies on a disk is read, or named for what it is.

mod beyond;
mod checkpoints;
mod command;
#[path = "../common/mod.rs"]
mod common;
mod lora;
mod mlx;
mod sentencepiece;
mod tokenizers;
