//! A prompt as a template wrote it, and which characters of it were said.

use std::ops::Range;

/// What a template made of a conversation. What it wrote itself may become special tokens; what was said never does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatPrompt {
    pub(super) text: String,
    /// Where the characters are that no token of the template's own may include: offsets in bytes, ascending.
    pub(super) said: Vec<usize>,
}

impl ChatPrompt {
    /// As the model is given it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The stretches without a character that was said, in bytes of the text.
    pub(super) fn own(&self) -> impl Iterator<Item = Range<usize>> {
        let length = |at: usize| self.text[at..].chars().next().map_or(1, char::len_utf8);
        let begins = std::iter::once(0).chain(self.said.iter().map(move |at| at + length(*at)));
        let ends = self.said.iter().copied().chain([self.text.len()]);
        begins.zip(ends).map(|(begin, end)| begin..end)
    }
}
