//! Texts compared without regard to capitals, nor to marks on letters that were not asked for: `cafe` finds `café`, and `café` only that.
//! Folding may change how many bytes or letters a text has (`ß` is `ss`, `é` is `e` and a mark), so the text that is searched is folded
//! letter by letter as it is read, and matches are bytes of the text as it stands.

use std::ops::Range;

use icu_normalizer::properties::{
    CanonicalCombiningClassMapBorrowed, CanonicalDecompositionBorrowed, Decomposed,
};

/// What is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needle {
    folded: Vec<char>,
}

impl Needle {
    pub fn new(text: &str) -> Self {
        Self {
            folded: text.chars().flat_map(fold).collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.folded.is_empty()
    }

    /// Matches in `text` that begin within `part`, first to last; none overlaps another. A match begins and ends between letters of the
    /// text: `s` is not half of `ß`. Marks that are put on a match's last letter belong to it.
    pub fn matches(&self, text: &str, part: Range<usize>) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let Some(first) = self.folded.first() else {
            return found;
        };
        let mut at = part.start;
        let end = part.end.min(text.len());
        while at < end {
            let byte = text.as_bytes()[at];
            // Most letters are none that it can begin with.
            if byte.is_ascii() && char::from(byte.to_ascii_lowercase()) != *first {
                at += 1;
                continue;
            }
            match self.match_at(text, at) {
                Some(stop) => {
                    found.push(at..stop);
                    at = stop;
                }
                None => at += width(byte),
            }
        }
        found
    }

    /// Whether a text has it anywhere.
    pub fn is_in(&self, text: &str) -> bool {
        self.is_empty() || !self.matches(text, 0..text.len()).is_empty()
    }

    /// Where a match that begins at `at` ends.
    fn match_at(&self, text: &str, at: usize) -> Option<usize> {
        let mut left = self.folded.iter().peekable();
        let mut letters = text[at..].char_indices();
        let mut has_begun = false;
        while left.peek().is_some() {
            let (_, letter) = letters.next()?;
            for part in fold(letter) {
                if left.next_if(|wanted| **wanted == part).is_some() {
                    has_begun = true;
                } else if !has_begun || !is_mark(part) {
                    return None;
                }
            }
        }
        let rest = letters.as_str();
        let marks = rest.trim_start_matches(is_mark);
        Some(text.len() - marks.len())
    }
}

/// Bytes of the letter that begins with this one.
fn width(byte: u8) -> usize {
    match byte {
        0..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

/// A letter as all letters that are like it are written: small, with `ß` and ligatures in full, its marks behind it.
fn fold(letter: char) -> impl Iterator<Item = char> {
    // The small form of `İ` has a dot of its own, which nobody types who looks for an i.
    let dotted = (letter == 'İ').then_some('i');
    let others = (letter != 'İ').then(|| {
        let parts = decomposed(letter);
        parts.flat_map(|part| part.to_uppercase().flat_map(char::to_lowercase))
    });
    dotted.into_iter().chain(others.into_iter().flatten())
}

/// A letter without marks, and then those.
fn decomposed(letter: char) -> impl Iterator<Item = char> {
    // No letter has more.
    let (mut base, mut marks, mut count) = (letter, [None; 3], 0);
    while !base.is_ascii() {
        match CanonicalDecompositionBorrowed::new().decompose(base) {
            Decomposed::Expansion(first, mark) => {
                base = first;
                if let Some(place) = marks.get_mut(count) {
                    *place = Some(mark);
                }
                count += 1;
            }
            Decomposed::Singleton(other) => base = other,
            Decomposed::Default => break,
        }
    }
    std::iter::once(base).chain(marks.into_iter().rev().flatten())
}

/// Marks that are put on the letter before them. Those that make another syllable of a Japanese one are none.
fn is_mark(letter: char) -> bool {
    let is_voiced = matches!(letter, '\u{3099}' | '\u{309a}');
    let is_variation = matches!(letter, '\u{fe00}'..='\u{fe0f}');
    let is_combining = || CanonicalCombiningClassMapBorrowed::new().get_u8(letter) != 0;
    !letter.is_ascii() && !is_voiced && (is_variation || is_combining())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(needle: &str, text: &'a str) -> Vec<&'a str> {
        let ranges = Needle::new(needle).matches(text, 0..text.len());
        ranges.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn capitals_do_not_count_in_any_script() {
        assert_eq!(found("KING", "king, King, kin"), ["king", "King"]);
        assert_eq!(found("λόγος", "ΛΌΓΟΣ λόγοσ"), ["ΛΌΓΟΣ", "λόγοσ"]);
        assert_eq!(found("мир", "МИР Мир"), ["МИР", "Мир"]);
        assert_eq!(found("a", ""), [] as [&str; 0]);
        assert_eq!(found("", "a"), [] as [&str; 0]);
        assert_eq!(found("aa", "aaaaa"), ["aa", "aa"], "none lies over another");
    }

    #[test]
    fn letters_that_fold_to_others_keep_their_bytes() {
        assert_eq!(
            found("strasse", "Die Straße, die STRASSE"),
            ["Straße", "STRASSE"]
        );
        assert_eq!(found("straße", "Straße STRASSE"), ["Straße", "STRASSE"]);
        assert_eq!(found("s", "ß"), [] as [&str; 0], "half a letter is none");
        assert_eq!(found("ss", "ß"), ["ß"]);
        assert_eq!(
            found("istanbul", "İstanbul ISTANBUL"),
            ["İstanbul", "ISTANBUL"]
        );
        assert_eq!(found("İstanbul", "istanbul"), ["istanbul"]);
        // The sign for kelvin is three bytes, the letter one.
        assert_eq!(found("300 k", "300 \u{212a}elvin"), ["300 \u{212a}"]);
        assert_eq!(found("fi", "ﬁn"), ["ﬁ"]);
        for text in ["ßßß", "İİ", "e\u{301}e\u{301}", "😀ß😀", "ﬃ"] {
            for needle in ["s", "ss", "i", "e", "😀", "f", "ffi"] {
                for range in Needle::new(needle).matches(text, 0..text.len()) {
                    assert!(
                        text.get(range.clone()).is_some(),
                        "{needle} in {text}: {range:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn marks_stay_with_their_letter() {
        assert_eq!(found("e", "e\u{301}te\u{301}"), ["e\u{301}", "e\u{301}"]);
        assert_eq!(found("e\u{301}", "E\u{301}t"), ["E\u{301}"]);
        assert_eq!(found("ét", "ÉT"), ["ÉT"]);
        assert_eq!(found("a", "\u{301}a"), ["a"], "a mark is no beginning");
    }

    #[test]
    fn marks_that_were_not_asked_for_do_not_count() {
        for text in ["café", "cafe\u{301}", "CAFÉ", "Cafe"] {
            assert_eq!(found("cafe", text), [text]);
        }
        // Composed and decomposed are the same; a mark that was asked for has to be there.
        for needle in ["café", "cafe\u{301}"] {
            assert_eq!(
                found(needle, "café, cafe\u{301}, cafe"),
                ["café", "cafe\u{301}"]
            );
        }
        assert_eq!(found("o", "Ö ộ ø"), ["Ö", "ộ"], "a stroke is no mark");
        assert_eq!(found("ö", "o Ö ó"), ["Ö"]);
        assert_eq!(found("λογος", "λόγος"), ["λόγος"]);
        assert_eq!(found("か", "が か"), ["か"], "that is another syllable");
        assert_eq!(found("が", "か\u{3099}"), ["か\u{3099}"]);
        assert_eq!(found("가", "각 가"), ["가"]);
        assert!(Needle::new("naive").is_in("so naïve") && Needle::new("").is_in("x"));
    }

    #[test]
    fn a_part_has_the_matches_that_begin_in_it() {
        let text = "one two one two";
        let needle = Needle::new("one two");
        let mut all = Vec::new();
        for begin in (0..text.len()).step_by(4) {
            for range in needle.matches(text, begin..begin + 4) {
                all.push(range);
            }
        }
        assert_eq!(all, [0..7, 8..15]);
    }
}
