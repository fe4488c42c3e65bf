//! Finding texts: in the conversation in sight, and in all of them.

mod bar;
mod fold;
mod marks;
mod search;

pub use self::bar::{focus, show};
pub use self::fold::Needle;
pub use self::marks::mark;
pub use self::search::{Find, Found, Hit, Marks, Search};
