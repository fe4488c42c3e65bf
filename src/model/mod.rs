//! The network on the device: weights, the plan of a step, the executor that records it, and the pool of keys and values.
//!
//! Architecture invariant: nothing here knows text. Token ids go in, logits and chosen ids come out.

mod adapter_facts;
mod batch;
mod executor;
pub(crate) mod f16_prefill;
mod inputs;
mod known_numbers;
mod kv_origin;
mod kv_pool;
mod kv_transfer;
mod launch;
mod network;
mod op;
mod options;
mod pack;
mod peaks;
mod pieces;
mod plan;
mod record;
mod resident;
mod results;
mod rows;
mod self_test;
mod sequence;
mod sizes;
mod stopwatch;
mod store;
mod time;
mod tune;
mod tune_cache;
mod tune_layer;
mod weights;

pub(crate) use crate::kernels::BatchClass;
pub use adapter_facts::AdapterRates;
pub(crate) use batch::{Batch, ChoiceParams, Room, TokenSource, Wants};
pub(crate) use executor::Ticket;
#[cfg(test)]
pub(crate) use known_numbers::Known;
pub(crate) use kv_origin::KvOrigin;
pub use network::{Network, kv_bytes, weight_bytes};
pub use options::{LoadOptions, Progress, Tune};
#[cfg(test)]
pub(crate) use plan::kernels_of;
pub(crate) use results::{RowResult, Scored};
pub(crate) use sequence::{Sequence, common_prefix};
pub(crate) use sizes::kv_row_bytes;
#[cfg(any(feature = "cli", feature = "window"))]
pub use tune_cache::default_path as tuning_cache;
