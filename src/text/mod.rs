//! Text to token ids and back; chats to text. No GPU and no model here.

mod added;
mod chat;
mod guard;
mod jinja;
mod jinja_filters;
mod jinja_source;
mod piece;
mod prompt;
mod python_json;
mod python_strings;
mod stand_ins;
mod stream;
mod template;
mod tokenizer;
mod turn;

pub use chat::{ChatTemplate, Fitted, is_instruct};
pub use jinja::Jinja;
pub use piece::Piece;
pub use prompt::ChatPrompt;
pub use stream::StreamDecoder;
pub use template::Template;
pub use tokenizer::Tokenizer;
pub use turn::{Role, Turn};
