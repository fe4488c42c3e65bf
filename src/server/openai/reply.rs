//! What becomes of the texts of a request, to an answer.

use super::super::api_error::ApiError;
use super::super::event::Event;

/// Makes an answer of what happens to the texts of a request, in whatever order it happens.
pub struct Reply {
    is_stream: bool,
}

impl Reply {
    /// Takes what happened to the text of number `index`. Returns the pieces of JSON that can be sent now, each an event of the stream;
    /// nothing where the answer is to come as a whole.
    ///
    /// # Errors
    /// Why a text has failed, and the answer with it.
    pub fn event(&mut self, _index: usize, _event: Event) -> Result<Vec<String>, ApiError> {
        Ok(Vec::new())
    }

    /// Whether all texts have ended.
    pub fn is_done(&self) -> bool {
        self.is_stream
    }

    /// When all texts have ended: the whole answer, which is one piece of JSON, or the last pieces of the stream, of which there may be none.
    pub fn end(self) -> Vec<String> {
        Vec::new()
    }
}
