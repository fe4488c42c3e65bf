//! Models fetched by their names on the Hugging Face hub, into the cache that Hugging Face's own library uses.
//!
//! Names and cache are always here; what speaks to a hub needs the feature `hub`. Nothing here knows what is in the files.
//!
//! ```no_run
//! # #[cfg(feature = "hub")]
//! # fn main() -> openelm::Result<()> {
//! use openelm::hub::{Hub, ModelId, Settings, TokenizerNeed, ModelRequest};
//! use openelm::{LoadOptions, ModelFiles};
//!
//! let hub = Hub::new(Settings::from_env()?);
//! let request = ModelRequest {
//!     id: &ModelId::parse("apple/OpenELM-270M-Instruct")?,
//!     tokenizer: TokenizerNeed::Needed,
//!     refresh: false,
//!     check: &|_| Ok(()),
//!     cancel: None,
//! };
//! let found = hub.model(&request, &mut |progress| eprintln!("{:?}", progress.sum()))?;
//! let mut files = ModelFiles::open(&found.folder.to_string_lossy())?;
//! if let Some(tokenizer) = found.tokenizer? {
//!     files.set_tokenizer(&tokenizer)?;
//! }
//! let model = files.load(&LoadOptions::default(), |_| {})?;
//! # drop(model);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "hub"))]
//! # fn main() {}
//! ```

#![cfg_attr(
    not(feature = "hub"),
    allow(dead_code, reason = "what fetches needs the rest of the cache")
)]

#[cfg(feature = "hub")]
mod address;
mod cache;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod download;
mod gguf;
#[cfg(feature = "hub")]
mod hasher;
mod lock;
mod models;
mod name;
#[cfg(feature = "hub")]
mod progress;
#[cfg(feature = "hub")]
mod pull;
#[cfg(feature = "hub")]
mod resolve;
#[cfg(feature = "hub")]
mod retry;
#[cfg(feature = "hub")]
mod settings;

pub use cache::{Cache, Snapshot, missing_file};
pub use models::{CachedModel, CachedSnapshot};
pub use name::{ModelId, RepoId, Revision};
#[cfg(feature = "hub")]
pub use progress::{FileProgress, Progress};
#[cfg(feature = "hub")]
pub use resolve::{
    Found, Hub, ModelRequest, TOKENIZER_COPIES, TOKENIZER_REPO, TokenizerNeed, hub_model,
};
#[cfg(feature = "hub")]
pub use settings::{Settings, Token};
