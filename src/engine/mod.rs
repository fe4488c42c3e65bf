//! A worker thread that owns device and model: commands go in, events come out. What the window talks to, so that it
//! never waits for the device. Requests run side by side; every event names the one that it belongs to.

mod api;
mod handle;
#[cfg(feature = "hub")]
mod hub_loader;
mod loader;
mod pieces;
mod sink;
mod worker;

pub use api::{
    Alternative, Chat, Command, Event, Load, Memory, ModelInfo, Prompt, Request, Stage, TokenEvent,
};
pub use handle::Engine;
#[cfg(feature = "hub")]
pub use hub_loader::HubLoader;
pub use loader::{Loader, LocalLoader, Report, Resolved};
