//! Text to token ids and back. No GPU and no model here.

mod stream;
mod tokenizer;

pub use stream::StreamDecoder;
pub use tokenizer::{HOW_TO_GET_ONE, Tokenizer};
