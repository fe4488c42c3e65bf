//! Runs Apple's OpenELM language models (270M, 450M, 1.1B, 3B, base and Instruct) on any GPU that Vulkan, Metal or DirectX 12
//! reaches, and on software adapters.
//!
//! A [`Model`] is a network on a device, a [`Session`] one timeline of tokens with its KV cache, a [`Generation`] an iterator
//! over the tokens that follow a prompt. Everything blocks; nothing needs an async runtime.
//!
//! ```
//! use openelm::{GenerateOptions, LoadOptions, Model};
//!
//! # fn main() -> openelm::Result<()> {
//! let model = Model::load("demo", &LoadOptions::default())?;
//! let mut session = model.session()?;
//! let prompt = model.encode("Once upon a time")?;
//! let mut options = GenerateOptions::default();
//! options.max_tokens = Some(8);
//! let mut story = String::new();
//! for token in session.generate(&prompt, &options)? {
//!     story += &token?.text;
//! }
//! assert!(story.starts_with(" there"));
//! # Ok(())
//! # }
//! ```
//!
//! An [`Error`] says what was wrong and where, and has what a caller may act on in its fields: how much memory was missing, how long
//! a context could be, which adapters there are.
//!
//! Without default features the library has no command line in it and compiles no C or C++.
//!
//! [`model`] has what loading takes, and sizes; ARCHITECTURE.md is the map of what lies below.

pub mod checkpoint;
mod dtype;
pub mod engine;
mod error;
#[cfg(feature = "eval")]
pub mod eval;
mod excerpt;
mod generate;
mod gpu;
pub mod hub;
mod kernels;
pub mod model;
#[cfg(feature = "server")]
pub mod server;
pub mod text;
mod threads;
pub mod trace;
pub mod utf8;
pub mod version;
pub mod whole_file;
#[cfg(feature = "window")]
pub mod window;

pub use checkpoint::{Checkpoint, Config};
pub use dtype::Dtype;
pub use error::{Error, Feature, HubError, MemoryNeed, ModelForm, Origin, Result};
pub use generate::{
    Assistant, AssistantSchedule, Candidate, Finish, GenerateOptions, Generation, GenerationConfig,
    Model, ModelFiles, PoolEvent, PoolLoad, ProcessorParams, PromptLogprobs, PromptLookup,
    PromptToken, SampleOn, Sampler, SamplingParams, SavedSession, Score, Session, Speculation,
    SpeculationSummary, Text, TextPool, Timing, Token, clock_seed, log_sum_exp,
};
pub use gpu::{AdapterFeatures, AdapterSummary, CooperativeMatrices, Gpu, adapters};
pub use kernels::{ComputePath, Tuning};
#[cfg(any(feature = "cli", feature = "window"))]
pub use model::tuning_cache;
pub use model::{LoadOptions, Progress, Tune};

#[cfg(test)]
extern crate self as openelm;

#[cfg(test)]
#[path = "../tests/inside/mod.rs"]
mod inside;
