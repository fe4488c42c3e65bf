//! What ids stand for, found out once each.

use std::sync::OnceLock;

use crate::text::{Piece, Tokenizer};

/// What ids stand for, found out when it is asked for the first time.
pub struct Spelling {
    tokenizer: Option<Tokenizer>,
    pieces: Vec<OnceLock<Piece>>,
    longest: OnceLock<usize>,
}

impl Spelling {
    /// Without a tokenizer ids stand for nothing.
    pub fn new(tokenizer: Option<&Tokenizer>, vocab_size: usize) -> Self {
        Self {
            tokenizer: tokenizer.cloned(),
            pieces: (0..vocab_size).map(|_| OnceLock::new()).collect(),
            longest: OnceLock::new(),
        }
    }

    pub fn has_text(&self) -> bool {
        self.tokenizer.is_some()
    }

    /// Bytes of the longest token as the vocabulary spells it, which are no fewer than those of a text that it stands for.
    pub fn longest(&self) -> usize {
        *self.longest.get_or_init(|| {
            let tokenizer = self.tokenizer.iter();
            let ids = 0..self.pieces.len() as u32;
            let tokens =
                tokenizer.flat_map(|tokenizer| ids.clone().filter_map(|id| tokenizer.token(id)));
            tokens.map(|token| token.len()).max().unwrap_or(0)
        })
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
