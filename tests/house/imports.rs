//! Which file imports which, read from the sources, and circles among them.
//!
//! A name is followed through the `use` lines of a `mod.rs` or `lib.rs` to the file that defines it. So a file that only declares
//! modules and re-exports imports nothing and is imported by nobody; one with items of its own counts as any other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A path of modules: the crate (`lib` or `cli`), then modules in it.
type Module = Vec<String>;

/// The words of a path as it is written.
type Words = Vec<String>;

/// A source file, as far as names are concerned.
#[derive(Default)]
struct File {
    /// Below the package, such as `src/window/mod.rs`.
    path: String,
    module: Module,
    /// Modules that it declares.
    children: BTreeSet<String>,
    /// Names that its `use` lines bring in, and what they stand for.
    aliases: BTreeMap<String, Words>,
    /// Paths before `::*` in its `use` lines.
    globs: Vec<Words>,
    /// Names of items that it defines.
    items: BTreeSet<String>,
    /// Whether there is anything but declarations of modules and `use` lines.
    has_items: bool,
    /// All paths in it with their lines.
    paths: Vec<(usize, Words)>,
}

/// A file importing another.
struct Import {
    line: usize,
    written: String,
    to: usize,
}

/// The files of a package, by their paths below it.
pub struct Sources {
    files: Vec<File>,
    modules: BTreeMap<Module, usize>,
}

impl Sources {
    /// `files` are paths such as `src/window/mod.rs`, and what is in them.
    pub fn read(files: &[(String, String)]) -> Self {
        let read = |(path, text): &(String, String)| {
            let mut file = File {
                path: path.clone(),
                module: module(path),
                ..File::default()
            };
            file.read(&tokens(text));
            file
        };
        let files: Vec<File> = files.iter().map(read).collect();
        let modules = files.iter().enumerate();
        let modules = modules.map(|(i, file)| (file.module.clone(), i)).collect();
        Self { files, modules }
    }

    /// Circles of imports, one a line and import, for all files but those that are `excused`: the shortest through each file.
    pub fn circles(&self, excused: impl Fn(&str) -> bool) -> Vec<String> {
        let imports = |from: usize| match excused(&self.files[from].path) {
            true => Vec::new(),
            false => self.imports(from),
        };
        let graph: Vec<Vec<Import>> = (0..self.files.len()).map(imports).collect();
        let mut found = BTreeMap::new();
        for file in 0..graph.len() {
            if let Some(circle) = circle(&graph, file) {
                let members: BTreeSet<usize> = circle.iter().map(|(from, _)| *from).collect();
                found.entry(members).or_insert(circle);
            }
        }
        let describe = |circle: Vec<(usize, &Import)>| {
            let lines = circle.into_iter().map(|(from, import)| {
                let (from, to) = (&self.files[from].path, &self.files[import.to].path);
                format!(
                    "  {from}:{} imports {to} ({})\n",
                    import.line, import.written
                )
            });
            lines.collect::<String>()
        };
        found.into_values().map(describe).collect()
    }

    /// All imports, counted: a test that finds none has gone blind.
    pub fn count(&self) -> usize {
        (0..self.files.len())
            .map(|file| self.imports(file).len())
            .sum()
    }

    fn imports(&self, from: usize) -> Vec<Import> {
        let file = &self.files[from];
        let mut imports: Vec<Import> = Vec::new();
        for (line, path) in &file.paths {
            let Some(target) = self.absolute(&file.module, path, 0) else {
                continue;
            };
            for to in self.defining(&target, 0) {
                if to != from && !imports.iter().any(|import| import.to == to) {
                    imports.push(Import {
                        line: *line,
                        written: path.join("::"),
                        to,
                    });
                }
            }
        }
        imports
    }

    /// A path as seen from the crate's root; `None` for what is in no file of ours.
    fn absolute(&self, at: &Module, path: &[String], depth: usize) -> Option<Module> {
        // Two files that re-export each other's names lead nowhere.
        if depth > 16 {
            return None;
        }
        let (first, rest) = path.split_first()?;
        let join = |module: &[String]| Some([module, rest].concat());
        match first.as_str() {
            "crate" => join(&at[..1]),
            "openelm" if at[0] != "lib" => join(&["lib".to_owned()]),
            "self" => join(at),
            "super" => {
                let parent = at[..at.len() - 1].to_vec();
                match rest.first().map(String::as_str) {
                    Some("super") => self.absolute(&parent, rest, depth + 1),
                    _ => join(&parent),
                }
            }
            name => {
                let file = &self.files[*self.modules.get(at)?];
                if file.children.contains(name) {
                    return Some([at, path].concat());
                }
                let stands_for = file.aliases.get(name)?;
                // `use egui;` and the like: a crate.
                if stands_for.len() == 1 {
                    return None;
                }
                self.absolute(at, &[stands_for, rest].concat(), depth + 1)
            }
        }
    }

    /// The files that define what an absolute path names: one, or, for all that a module re-exports, several.
    fn defining(&self, path: &[String], depth: usize) -> Vec<usize> {
        if depth > 16 {
            return Vec::new();
        }
        let mut length = path.len();
        while !self.modules.contains_key(&path[..length]) {
            length -= 1;
            if length == 0 {
                return Vec::new();
            }
        }
        let here = self.modules[&path[..length]];
        let file = &self.files[here];
        let Some((name, rest)) = path[length..].split_first() else {
            return match file.has_items {
                true => vec![here],
                false => Vec::new(),
            };
        };
        if name == "*" {
            return self.all_of(here, depth + 1);
        }
        if let Some(stands_for) = file.aliases.get(name) {
            let target = [stands_for, rest].concat();
            let target = self.absolute(&file.module, &target, depth + 1);
            return target.map_or(Vec::new(), |target| self.defining(&target, depth + 1));
        }
        if !file.items.contains(name) {
            for glob in &file.globs {
                let Some(target) = self.absolute(&file.module, glob, depth + 1) else {
                    continue;
                };
                let Some(globbed) = self.modules.get(&target) else {
                    continue;
                };
                let globbed = &self.files[*globbed];
                if globbed.items.contains(name) || globbed.aliases.contains_key(name) {
                    return self.defining(&[&target, &path[length..]].concat(), depth + 1);
                }
            }
        }
        vec![here]
    }

    /// The files that define what `module::*` brings in.
    fn all_of(&self, module: usize, depth: usize) -> Vec<usize> {
        let file = &self.files[module];
        let star = || "*".to_owned();
        let globs = file
            .globs
            .iter()
            .map(|glob| [&glob[..], &[star()]].concat());
        let reexported = file.aliases.values().cloned().chain(globs);
        let defined = reexported.flat_map(|path| {
            let target = self.absolute(&file.module, &path, depth);
            target.map_or(Vec::new(), |target| self.defining(&target, depth))
        });
        defined.chain(file.has_items.then_some(module)).collect()
    }
}

/// The shortest circle through a file.
fn circle(graph: &[Vec<Import>], start: usize) -> Option<Vec<(usize, &Import)>> {
    let mut reached_by: BTreeMap<usize, (usize, &Import)> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(from) = queue.pop_front() {
        for import in &graph[from] {
            if reached_by.contains_key(&import.to) {
                continue;
            }
            reached_by.insert(import.to, (from, import));
            queue.push_back(import.to);
        }
    }
    let mut circle = vec![*reached_by.get(&start)?];
    while circle[circle.len() - 1].0 != start {
        circle.push(reached_by[&circle[circle.len() - 1].0]);
    }
    circle.reverse();
    Some(circle)
}

/// The module that a file is.
fn module(path: &str) -> Module {
    let below = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut words: Module = below.split('/').map(str::to_owned).collect();
    if words[0] != "cli" {
        words.insert(0, "lib".to_owned());
    }
    if ["mod", "lib", "main"].contains(&words[words.len() - 1].as_str()) {
        words.pop();
    }
    words
}

impl File {
    fn read(&mut self, tokens: &[(usize, String)]) {
        const DEFINING: [&str; 8] = [
            "struct", "enum", "union", "trait", "type", "const", "static", "fn",
        ];
        let word = |i: usize| tokens.get(i).map_or("", |(_, token)| token.as_str());
        let mut i = 0;
        while i < tokens.len() {
            match word(i) {
                // `use<'a>` names lifetimes.
                "use" if word(i + 1) != "<" => {
                    i = self.read_use(tokens, i + 1, &mut Vec::new()) + 1;
                    continue;
                }
                "mod" if word(i + 2) == ";" => {
                    self.children.insert(word(i + 1).to_owned());
                    i += 3;
                    continue;
                }
                "#" => {
                    i = after_brackets(tokens, i + 1 + usize::from(word(i + 1) == "!"), "[", "]");
                    continue;
                }
                "pub" => {
                    i = match word(i + 1) {
                        "(" => after_brackets(tokens, i + 1, "(", ")"),
                        _ => i + 1,
                    };
                    continue;
                }
                defining if DEFINING.contains(&defining) => {
                    self.items.insert(word(i + 1).to_owned());
                }
                _ => {}
            }
            self.has_items = true;
            let mut path = vec![word(i).to_owned()];
            let mut next = i + 1;
            while is_name(word(i)) && word(next) == "::" && is_name(word(next + 1)) {
                path.push(word(next + 1).to_owned());
                next += 2;
            }
            // `::name` begins at the root of all crates.
            if path.len() > 1 && (i == 0 || word(i - 1) != "::") {
                self.paths.push((tokens[i].0, path));
            }
            i = next;
        }
    }

    /// Reads a `use` line, or a branch of it, that begins at `i` and continues `before`. Returns where it ends.
    fn read_use(&mut self, tokens: &[(usize, String)], mut i: usize, before: &mut Words) -> usize {
        let word = |i: usize| tokens.get(i).map_or("", |(_, token)| token.as_str());
        let mut path = before.clone();
        loop {
            match word(i) {
                "::" => {}
                "{" => {
                    while !["}", ""].contains(&word(i)) {
                        i = self.read_use(tokens, i + 1, &mut path);
                    }
                    return i + 1;
                }
                "*" => {
                    self.globs.push(path.clone());
                    path.push("*".to_owned());
                    self.paths.push((tokens[i].0, path));
                    return i + 1;
                }
                name if is_name(name) => path.push(name.to_owned()),
                // An empty branch after a last comma.
                _ => return i,
            }
            i += 1;
            if !["::", "{"].contains(&word(i)) && word(i - 1) != "::" {
                break;
            }
        }
        let line = tokens[i - 1].0;
        // `use a::b::{self}` brings in `b`.
        if path.len() > 1 && path[path.len() - 1] == "self" {
            path.pop();
        }
        let mut name = path[path.len() - 1].clone();
        if word(i) == "as" {
            name = word(i + 1).to_owned();
            i += 2;
        }
        self.paths.push((line, path.clone()));
        self.aliases.insert(name, path);
        i
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Behind the bracket that closes the one at `i`.
fn after_brackets(tokens: &[(usize, String)], mut i: usize, open: &str, close: &str) -> usize {
    let mut depth = 0;
    while i < tokens.len() {
        if tokens[i].1 == open {
            depth += 1;
        } else if tokens[i].1 == close {
            depth -= 1;
        }
        i += 1;
        if depth == 0 {
            break;
        }
    }
    i
}

/// The words and signs of a file before its unit tests, with their lines, without comments and texts.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    let text = &text[..end];
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let line = 1 + text[..text.len() - rest.len()].matches('\n').count();
        let name_end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let name = &rest[..name_end.unwrap_or(rest.len())];
        let quote = rest[name.len()..].trim_start_matches('#');
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if ["r", "br"].contains(&name) && quote.starts_with('"') {
            let hashes = &rest[name.len()..rest.len() - quote.len()];
            let close = format!("\"{hashes}");
            let begin = rest.len() - quote.len() + 1;
            rest[begin..]
                .find(&close)
                .map_or(rest.len(), |end| begin + end + close.len())
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' {
            // A character, or a lifetime.
            match rest[1..].chars().nth(1) {
                Some('\'') => quoted(rest, '\''),
                _ if rest[1..].starts_with('\\') => quoted(rest, '\''),
                _ => 1,
            }
        } else if !name.is_empty() {
            tokens.push((line, name.to_owned()));
            name.len()
        } else if rest.starts_with("::") {
            tokens.push((line, "::".to_owned()));
            2
        } else {
            if !first.is_whitespace() {
                tokens.push((line, first.to_string()));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// Bytes of a text in quotes, with both.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return i + 1,
            _ => {}
        }
    }
    text.len()
}

fn made_up(files: &[(&str, &str)]) -> Vec<String> {
    let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    let files: Vec<(String, String)> = files.iter().map(owned).collect();
    Sources::read(&files).circles(|path| path.contains("excused"))
}

#[test]
fn a_circle_is_found_and_told_file_by_file() {
    let found = made_up(&[
        ("src/lib.rs", "mod a;\nmod b;\nmod c;"),
        ("src/a.rs", "use crate::b::B;\npub struct A;"),
        (
            "src/b.rs",
            "// A comment.\n\npub fn b() -> super::c::C { todo!() }",
        ),
        ("src/c.rs", "pub struct C(crate::a::A);"),
    ]);
    assert_eq!(
        found,
        [
            "  src/a.rs:1 imports src/b.rs (crate::b::B)\n  src/b.rs:3 imports src/c.rs (super::c::C)\n  \
          src/c.rs:1 imports src/a.rs (crate::a::A)\n"
        ]
    );
}

#[test]
fn names_are_followed_to_the_file_that_defines_them() {
    // `mod.rs` only re-exports: importing `First` through it imports nothing that imports `third`.
    let mut files = vec![
        ("src/lib.rs", "pub mod x;"),
        (
            "src/x/mod.rs",
            "//! Text.\nmod first;\nmod second;\nmod third;\n#[allow(unused)]\npub use self::second::*;\npub(crate) use first::First as One;",
        ),
        ("src/x/first.rs", "pub struct First;"),
        (
            "src/x/second.rs",
            "use super::One;\npub struct Second(One);",
        ),
        (
            "src/x/third.rs",
            "use super::{One, Second};\nuse crate::x;\nfn f() { x::One; let _ = \"crate::x::third::f\"; }",
        ),
    ];
    assert_eq!(made_up(&files), Vec::<String>::new());
    // Through an alias of a module, through a glob and through a brace.
    for bad in [
        "use crate::x;\npub struct First(x::Second);",
        "use super::*;\npub struct First;",
        "use crate::{x::{self, Second}};\npub struct First;",
        "pub struct First(super::super::x::Second);",
    ] {
        files[2].1 = bad;
        let found = made_up(&files);
        assert_eq!(found.len(), 1, "{bad}: {found:?}");
        assert!(found[0].contains("src/x/second.rs:1 imports src/x/first.rs (super::One)"));
    }
}

#[test]
fn a_mod_file_with_items_is_a_file_as_any_other() {
    let child = ("src/x/child.rs", "pub fn f() { super::helper() }");
    let with_items = "mod child;\npub use child::f;\nfn helper() {}";
    assert_eq!(made_up(&[("src/x/mod.rs", with_items), child]).len(), 1);
    // It may declare a child that imports it, as long as it does not import that child.
    let fine = "mod child;\nfn helper() {}";
    assert!(made_up(&[("src/x/mod.rs", fine), child]).is_empty());
}

#[test]
fn tests_texts_and_excused_folders_make_no_circle() {
    let found = made_up(&[
        ("src/lib.rs", "mod a; mod b; mod excused;"),
        (
            "src/a.rs",
            "use crate::b::B;\n/// [`crate::c::C`]\npub struct A<'a>(&'a str, char);\nconst C: char = '\"';",
        ),
        (
            "src/b.rs",
            "pub struct B;\nconst R: &str = r#\"crate::a::A\"#;\n#[cfg(test)]\nmod tests { use crate::a::A; }",
        ),
        ("src/excused/mod.rs", "mod one; mod two;"),
        ("src/excused/one.rs", "use super::two::Two; pub struct One;"),
        ("src/excused/two.rs", "use super::one::One; pub struct Two;"),
    ]);
    assert_eq!(found, Vec::<String>::new());
}
