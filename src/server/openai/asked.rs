//! What a request asks for.

use super::reply::Reply;
use crate::generate::GenerateOptions;

/// What a request asks for. Everything about it was checked.
pub struct Asked {
    /// All continuations of the first prompt, then those of the second, and so on. The number of a text is its place.
    pub texts: Vec<AskedText>,
    /// What makes an answer of them.
    pub reply: Reply,
    /// Whether the answer is to come in pieces, as events.
    pub is_stream: bool,
}

/// A text that is asked for.
#[derive(Debug)]
pub struct AskedText {
    /// Its prompt.
    pub ids: Vec<u32>,
    pub options: GenerateOptions,
}
