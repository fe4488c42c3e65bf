//! OpenAI's API over HTTP, for one model.
//!
//! [`Server::bind`] takes a place to listen, [`Server::run`] a model, and answers until it is told to [`Stop`].

mod answer;
mod api_error;
mod app;
mod body;
mod budget;
mod connection;
mod event;
mod flight;
mod generate;
mod jobs;
mod listen;
mod live;
mod metrics;
pub mod openai;
mod page;
mod router;
mod security;
mod serve;
mod settings;
mod socket;
mod sse;
mod stop;
mod turns;
mod worker;

pub use api_error::ApiError;
pub use event::Event;
pub use serve::Server;
pub use settings::{Limits, Settings};
pub use stop::Stop;
pub use worker::Reload;
