//! Texts in files, which become what is being written.

use std::path::Path;

use crate::utf8;

/// The most bytes of a text that becomes what is being written: many times what the context holds.
const MOST_TEXT: u64 = 256 << 10;

/// Reads a text, off the window's thread.
///
/// # Errors
/// Says which file is none, and why.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let problem = |what: String| format!("{}: {what}", path.display());
    let bytes = std::fs::metadata(path).map_err(|error| problem(error.to_string()))?;
    if !bytes.is_file() {
        return Err(problem("is no file".to_owned()));
    }
    if bytes.len() > MOST_TEXT {
        let (bytes, most) = (bytes.len(), MOST_TEXT);
        return Err(problem(format!(
            "has {bytes} bytes; a text may have {most}, which is more than any context holds"
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| problem(error.to_string()))?;
    let text = utf8::text(bytes).map_err(|error| problem(error.to_string()))?;
    match text.contains('\0') {
        true => Err(problem("is no text: it has bytes that are zero".to_owned())),
        false => Ok(text.replace("\r\n", "\n")),
    }
}
