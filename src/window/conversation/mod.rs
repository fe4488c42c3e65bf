//! Conversations as data: a tree of messages in which one path is shown. Regenerating and editing grow branches; nothing that was
//! said is lost before it is deleted, and deleting can be undone.

mod change;
mod edits;
mod kept;
mod message;
mod mode;
mod prompt;
mod tree;

pub use self::change::turn;
pub use self::message::Stats;
pub use self::mode::{MODELS_OWN, Mode, template_for};
pub use self::tree::Conversation;
