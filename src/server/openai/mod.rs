//! The JSON of OpenAI's API, as plain data: requests to texts that are asked for, and what becomes of them to answers. No HTTP.

mod asked;
mod chat;
mod choice;
mod completions;
mod context;
mod fields;
mod json;
mod logprobs;
mod messages;
mod models;
mod offsets;
mod prompt;
mod reply;
mod settings;
mod spelling;
mod tokens;
mod wire;

pub use asked::{Asked, AskedText};
pub use chat::chat;
pub use completions::completions;
pub use context::Context;
pub use models::{model, models};
pub use reply::Reply;
pub use settings::usual;
pub use tokens::{detokenize, tokenize, tokenizer_info};
