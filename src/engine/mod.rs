//! A worker thread that owns device and model: commands go in, events come out. What a window or a server talks to, so that neither
//! ever waits for the device. Requests run side by side; every event names the one that it belongs to.

mod api;
mod handle;
mod loader;
mod pieces;
mod sink;
mod worker;

pub use api::{
    Alternative, Chat, Command, Event, Load, Memory, ModelInfo, Prompt, Request, Stage, TokenEvent,
};
pub use handle::Engine;
pub use loader::{Loader, LocalLoader, Report};
