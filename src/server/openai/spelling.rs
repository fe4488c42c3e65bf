//! What ids stand for, found out once each.

use std::sync::OnceLock;

use crate::text::{Piece, Tokenizer};

/// What ids stand for, found out when it is asked for the first time.
pub struct Spelling {
    tokenizer: Option<Tokenizer>,
    pieces: Vec<OnceLock<Piece>>,
}

impl Spelling {
    /// Without a tokenizer ids stand for nothing.
    pub fn new(tokenizer: Option<&Tokenizer>, vocab_size: usize) -> Self {
        Self {
            tokenizer: tokenizer.cloned(),
            pieces: (0..vocab_size).map(|_| OnceLock::new()).collect(),
        }
    }

    pub fn has_text(&self) -> bool {
        self.tokenizer.is_some()
    }

    /// What an id stands for.
    pub fn piece(&self, id: u32) -> &Piece {
        let Some((tokenizer, piece)) = self.tokenizer.as_ref().zip(self.pieces.get(id as usize))
        else {
            return &Piece::None;
        };
        // Where it cannot be decoded alone, it is named by its number.
        piece.get_or_init(|| tokenizer.piece(id).unwrap_or(Piece::None))
    }
}
