//! Which of a repository's GGUF files is the model that a name means.

use std::path::Path;

use super::name::is_file_name;

const ENDING: &str = ".gguf";

/// Taken where a repository has several and nobody names one: it loses least of those that are small.
pub const USUAL: &str = "Q8_0";

/// Whether a file's name is that of a model in one file: neither of one in parts, nor of what belongs to another model.
pub fn is_model(name: &str) -> bool {
    let lower = name.to_lowercase();
    let stem = lower.strip_suffix(ENDING);
    let is_part = stem.is_some_and(|stem| {
        let total = stem.rsplit_once("-of-").map(|(_, total)| total);
        total.is_some_and(|total| !total.is_empty() && total.bytes().all(|c| c.is_ascii_digit()))
    });
    is_file_name(name) && stem.is_some() && !is_part && !lower.starts_with("mmproj")
}

/// Those in a folder, sorted.
pub fn in_folder(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    // A link may lead to nothing.
    let mut names: Vec<String> = names
        .filter(|name| is_model(name) && folder.join(name).is_file())
        .collect();
    names.sort();
    names
}

/// The one of several that `variant` means: a file's whole name, or how that ends before `.gguf`, such as `Q8_0`, in any case. Without a variant the
/// only one, or the usual one. `None` where that is none, or more than one.
pub fn choose<'a>(names: &'a [String], variant: Option<&str>) -> Option<&'a str> {
    if let ([only], None) = (names, variant) {
        return Some(only);
    }
    let variant = variant.unwrap_or(USUAL);
    if let Some(exact) = names.iter().find(|name| *name == variant) {
        return Some(exact);
    }
    let variant = variant.to_lowercase();
    let is_meant = |name: &&String| {
        let lower = name.to_lowercase();
        let stem = lower.strip_suffix(ENDING).unwrap_or(&lower);
        let before = stem.strip_suffix(&variant);
        // `Q8_0` stands by itself in `a_Q8_0`, and `0` does not.
        let is_word = variant.starts_with(char::is_alphabetic);
        let marks: &[char] = if is_word {
            &['.', '-', '_']
        } else {
            &['.', '-']
        };
        before.is_some_and(|before| before.is_empty() || before.ends_with(marks))
    };
    let mut meant = names.iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_is_meant() {
        let names = [
            "OpenELM-270M.BF16.gguf",
            "OpenELM-270M.F16.gguf",
            "OpenELM-270M-q4_k_m.gguf",
            "OpenELM-270M.Q8_0.gguf",
        ]
        .map(str::to_owned);
        let chosen = |variant| choose(&names, variant);
        assert_eq!(chosen(None), Some("OpenELM-270M.Q8_0.gguf"));
        assert_eq!(chosen(Some("Q4_K_M")), Some("OpenELM-270M-q4_k_m.gguf"));
        // Not that of which it is a part.
        assert_eq!(chosen(Some("f16")), Some("OpenELM-270M.F16.gguf"));
        for name in &names {
            assert_eq!(chosen(Some(name)), Some(name.as_str()));
        }
        for none in ["", "Q5_0", "0", "other.gguf", "OpenELM-270M"] {
            assert_eq!(chosen(Some(none)), None, "{none}");
        }
        assert_eq!(choose(&names[..2], None), None);
        assert_eq!(choose(&names[..1], None), Some("OpenELM-270M.BF16.gguf"));
        assert_eq!(choose(&[], None), None);
    }

    #[test]
    fn parts_are_no_models() {
        assert!(is_model("a.gguf") && is_model("a-of-b.GGUF"));
        for none in [
            "a-00001-of-00002.gguf",
            "mmproj-a.gguf",
            "a.gguf.part",
            "x/a.gguf",
            ".a.gguf",
            "a.bin",
        ] {
            assert!(!is_model(none), "{none}");
        }
    }
}
