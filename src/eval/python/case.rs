//! `str.capitalize`.

/// `str.capitalize()`: the first character in title case, all others in lower case.
pub fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    // A sigma's lower case depends on what comes before it, so the whole text is made lower case.
    let lower = text.to_lowercase();
    let lower_first: usize = first.to_lowercase().map(char::len_utf8).sum();
    let rest = lower.get(lower_first..).unwrap_or_default();
    title_case(first) + rest
}

/// A character as it begins a word. Rust's library only knows upper case, which is another for a few.
fn title_case(c: char) -> String {
    match c {
        // Digraphs: DŽ, LJ, NJ, DZ in their three forms.
        'Ǆ'..='ǆ' => "ǅ".into(),
        'Ǉ'..='ǉ' => "ǈ".into(),
        'Ǌ'..='ǌ' => "ǋ".into(),
        'Ǳ'..='ǳ' => "ǲ".into(),
        // Georgian has capitals, but not for the begin of a word.
        'ა'..='ჺ' | 'ჽ'..='ჿ' => c.into(),
        // Greek letters with an iota below, which stays there.
        'ᾀ'..='ᾇ' | 'ᾐ'..='ᾗ' | 'ᾠ'..='ᾧ' => {
            char::from_u32(u32::from(c) + 8).unwrap_or(c).into()
        }
        'ᾈ'..='ᾏ' | 'ᾘ'..='ᾟ' | 'ᾨ'..='ᾯ' | 'ᾼ' | 'ῌ' | 'ῼ' => c.into(),
        'ᾳ' => "ᾼ".into(),
        'ῃ' => "ῌ".into(),
        'ῳ' => "ῼ".into(),
        'ᾲ' => "Ὰ\u{345}".into(),
        'ᾴ' => "Ά\u{345}".into(),
        'ᾷ' => "Α\u{342}\u{345}".into(),
        'ῂ' => "Ὴ\u{345}".into(),
        'ῄ' => "Ή\u{345}".into(),
        'ῇ' => "Η\u{342}\u{345}".into(),
        'ῲ' => "Ὼ\u{345}".into(),
        'ῴ' => "Ώ\u{345}".into(),
        'ῷ' => "Ω\u{342}\u{345}".into(),
        'ŉ' => "ʼN".into(),
        // One that becomes several is a capital and small letters: ß, ligatures.
        _ => {
            let mut upper = c.to_uppercase();
            let first: String = upper.next().into_iter().collect();
            first + &upper.flat_map(char::to_lowercase).collect::<String>()
        }
    }
}
