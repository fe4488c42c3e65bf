//! What a model is to be asked.

use openelm::eval::{Encoder, Selection, Task};

/// Everything that is known before a model is asked.
pub struct Questions {
    pub selection: Selection,
    pub encoder: Encoder,
}

impl Questions {
    pub fn tasks(&self) -> &[Task] {
        &self.selection.tasks
    }
}
