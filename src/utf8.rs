//! Bytes of files and pipes that are to be text in UTF-8, as other programs write them: with a byte order mark, or in another encoding.

/// Why bytes are no text in UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotUtf8 {
    #[error("is UTF-16 text, not UTF-8: save it as UTF-8")]
    Utf16,
    #[error("is not UTF-8 text: byte {0} belongs to another encoding")]
    Byte(usize),
}

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes that are enough to tell UTF-16 without a mark, and to look at.
const TELLING: std::ops::RangeInclusive<usize> = 8..=64;

/// The bytes behind a byte order mark, if there is one.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// Takes away a byte order mark, and refuses UTF-16, for bytes whose reader says itself what else is wrong with them.
///
/// # Errors
/// [`NotUtf8::Utf16`].
pub fn unmarked(mut bytes: Vec<u8>) -> Result<Vec<u8>, NotUtf8> {
    if is_utf16(&bytes) {
        return Err(NotUtf8::Utf16);
    }
    if bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
    Ok(bytes)
}

/// Text without a byte order mark.
///
/// # Errors
/// [`NotUtf8`].
pub fn text(bytes: Vec<u8>) -> Result<String, NotUtf8> {
    String::from_utf8(unmarked(bytes)?)
        .map_err(|error| NotUtf8::Byte(error.utf8_error().valid_up_to()))
}

/// Whether bytes begin with UTF-16's mark, or every second one is zero and no other.
fn is_utf16(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return true;
    }
    let pairs = bytes[..bytes.len().min(*TELLING.end())].chunks_exact(2);
    let is_half_zero = |zero: usize| {
        let mut pairs = pairs.clone();
        pairs.all(|pair| pair[zero] == 0 && pair[1 - zero] != 0)
    };
    bytes.len() >= *TELLING.start() && (is_half_zero(0) || is_half_zero(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_skipped_once() {
        assert_eq!(text(b"\xef\xbb\xbfa".to_vec()).unwrap(), "a");
        assert_eq!(text(b"a\xef\xbb\xbf".to_vec()).unwrap(), "a\u{feff}");
        assert_eq!(
            text(b"\xef\xbb\xbf\xef\xbb\xbf".to_vec()).unwrap(),
            "\u{feff}"
        );
        assert_eq!(text(Vec::new()).unwrap(), "");
        assert_eq!(without_mark(b"\xef\xbb\xbf{}"), b"{}");
    }

    #[test]
    fn utf16_is_told_from_other_bytes() {
        let of = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        for text_ in ["\u{feff}Once", "{\"model_type\": 1}"] {
            for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
                assert_eq!(text(of(text_, bytes)), Err(NotUtf8::Utf16), "{text_}");
            }
        }
        // Zeros are characters too.
        for fine in [&b"a\0b"[..], b"a\0b\0", b"\0\0\0\0\0\0\0\0", b"a\0b\0c\0dd"] {
            assert!(text(fine.to_vec()).is_ok(), "{fine:?}");
        }
        assert_eq!(text(b"Caf\xe9".to_vec()), Err(NotUtf8::Byte(3)));
    }
}
