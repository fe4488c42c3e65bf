//! Tests of what is not public: they are compiled into the library's unit tests (src/lib.rs).
#![allow(
    clippy::field_reassign_with_default,
    reason = "options are filled as users of the library fill them"
)]

mod adapters;
mod attention;
#[path = "../common/mod.rs"]
mod common;
mod consistency;
mod core;
mod golden;
mod gpu_report;
mod hlsl;
mod kernels;
mod kv_transfer;
mod matrices;
#[cfg(feature = "server")]
mod openai;
mod processors;
#[cfg(feature = "eval")]
mod python;
mod quantized;
mod races;
mod sampling;
mod shaders;
mod speculation;
mod steps;
mod twin;
mod wanted;
mod warpers;
