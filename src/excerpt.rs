//! What messages quote of files and requests.

use std::fmt::Display;

/// Whoever has long lists will not want to read them again.
const MOST: usize = 80;

/// A value as it is written, but no more than its beginning.
pub fn excerpt(value: impl Display) -> String {
    let mut text = value.to_string();
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_long_is_cut() {
        assert_eq!(excerpt("é".repeat(MOST)), "é".repeat(MOST));
        assert_eq!(excerpt("é".repeat(MOST + 1)), "é".repeat(MOST) + "…");
        assert_eq!(excerpt(serde_json::json!([1, 2])), "[1,2]");
    }
}
