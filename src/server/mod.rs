//! OpenAI's API over HTTP, for one model.

mod api_error;
mod event;
pub mod openai;

pub use api_error::ApiError;
pub use event::Event;
