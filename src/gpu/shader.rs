//! WGSL files to one source text: `#import lib/x.wgsl` takes a file in once, `#import <slot>` takes the file that the
//! variant puts into that slot. Lines are remembered, so that a compiler's complaint names the file a person wrote.

use crate::error::{Error, Result};

/// A shader file and what its slots are filled with: `[("format", "lib/weight_bf16.wgsl"), ...]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Variant {
    pub file: &'static str,
    pub slots: Vec<(&'static str, &'static str)>,
}

/// A shader's text with all imports taken in.
#[derive(Debug)]
pub struct Resolved {
    pub text: String,
    /// File and 1-based line, for every line of `text`.
    lines: Vec<(&'static str, u32)>,
}

impl Resolved {
    /// The file and line that a 1-based line of `text` came from.
    pub fn origin(&self, line: u32) -> (&'static str, u32) {
        let index = (line.max(1) as usize - 1).min(self.lines.len().saturating_sub(1));
        self.lines.get(index).copied().unwrap_or(("", line))
    }

    /// Turns a complaint about a line of `text` into one about the file it came from.
    pub fn error(&self, line: u32, what: impl Into<String>) -> Error {
        let (file, line) = self.origin(line);
        Error::Shader {
            file: file.to_owned(),
            line,
            what: what.into(),
        }
    }
}

/// Resolves `variant` against `files`, a table of names and texts.
///
/// # Errors
/// [`Error::Shader`] for a file that the table lacks, a slot that the variant does not fill, or one that it fills in vain.
pub fn resolve(files: &[(&'static str, &'static str)], variant: &Variant) -> Result<Resolved> {
    let mut resolver = Resolver {
        files,
        variant,
        seen: Vec::new(),
        text: String::new(),
        lines: Vec::new(),
    };
    resolver.take(variant.file, (variant.file, 0))?;
    for (slot, file) in &variant.slots {
        if !resolver.seen.contains(file) {
            return Err(complaint(
                variant.file,
                0,
                format!("no `#import <{slot}>` wants {file}"),
            ));
        }
    }
    Ok(Resolved {
        text: resolver.text,
        lines: resolver.lines,
    })
}

struct Resolver<'a> {
    files: &'a [(&'static str, &'static str)],
    variant: &'a Variant,
    seen: Vec<&'static str>,
    text: String,
    lines: Vec<(&'static str, u32)>,
}

impl Resolver<'_> {
    fn take(&mut self, wanted: &str, from: (&'static str, u32)) -> Result<()> {
        let Some(&(file, text)) = self.files.iter().find(|(name, _)| *name == wanted) else {
            return Err(complaint(
                from.0,
                from.1,
                format!("no shader file {wanted}"),
            ));
        };
        if self.seen.contains(&file) {
            return Ok(());
        }
        self.seen.push(file);
        for (number, line) in (1..).zip(text.lines()) {
            match line.strip_prefix("#import ") {
                Some(import) => self.import(import.trim(), (file, number))?,
                None => {
                    self.text.push_str(line);
                    self.text.push('\n');
                    self.lines.push((file, number));
                }
            }
        }
        Ok(())
    }

    fn import(&mut self, import: &str, from: (&'static str, u32)) -> Result<()> {
        let Some(slot) = import.strip_prefix('<').and_then(|s| s.strip_suffix('>')) else {
            return self.take(import, from);
        };
        match self.variant.slots.iter().find(|(name, _)| *name == slot) {
            Some((_, file)) => self.take(file, from),
            None => Err(complaint(
                from.0,
                from.1,
                format!("the variant leaves `<{slot}>` empty"),
            )),
        }
    }
}

fn complaint(file: &str, line: u32, what: String) -> Error {
    Error::Shader {
        file: file.to_owned(),
        line,
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &[(&str, &str)] = &[
        (
            "a.wgsl",
            "#import lib/b.wgsl\n#import <c>\n#import lib/b.wgsl\nfn a() {}\n",
        ),
        ("lib/b.wgsl", "fn b() {}\n"),
        ("lib/c.wgsl", "#import lib/b.wgsl\nfn c() {}\n"),
    ];

    #[test]
    fn imports_come_once_and_lines_keep_their_file() {
        let variant = Variant {
            file: "a.wgsl",
            slots: vec![("c", "lib/c.wgsl")],
        };
        let resolved = resolve(FILES, &variant).unwrap();
        assert_eq!(resolved.text, "fn b() {}\nfn c() {}\nfn a() {}\n");
        assert_eq!(resolved.origin(1), ("lib/b.wgsl", 1));
        assert_eq!(resolved.origin(2), ("lib/c.wgsl", 2));
        assert_eq!(resolved.origin(3), ("a.wgsl", 4));
    }

    #[test]
    fn an_empty_slot_an_unknown_file_and_a_useless_slot_are_refused() {
        let empty = Variant {
            file: "a.wgsl",
            slots: vec![],
        };
        assert!(
            resolve(FILES, &empty)
                .unwrap_err()
                .to_string()
                .contains("a.wgsl:2")
        );
        let unknown = Variant {
            file: "a.wgsl",
            slots: vec![("c", "lib/d.wgsl")],
        };
        assert!(
            resolve(FILES, &unknown)
                .unwrap_err()
                .to_string()
                .contains("lib/d.wgsl")
        );
        let useless = Variant {
            file: "lib/b.wgsl",
            slots: vec![("c", "lib/c.wgsl")],
        };
        assert!(resolve(FILES, &useless).is_err());
    }
}
