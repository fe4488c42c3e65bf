//! Text to token ids and back; chats to text. No GPU and no model here.

mod chat;
mod stream;
mod tokenizer;

pub use chat::{Role, Template, Turn, is_instruct};
pub use stream::StreamDecoder;
pub use tokenizer::Tokenizer;
