//! The house's own rules: which module may import which, what may not be written, what the bare library must not pull in.

#[path = "house/imports.rs"]
mod imports;

use std::path::{Path, PathBuf};

/// Every module, with those it may import. Itself is always allowed; [`LEAVES`] are for all.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("dtype", &[]),
    ("excerpt", &[]),
    ("threads", &[]),
    ("utf8", &[]),
    ("version", &[]),
    ("whole_file", &[]),
    ("hub", &[]),
    ("checkpoint", &["hub"]),
    ("text", &[]),
    ("trace", &[]),
    ("gpu", &[]),
    ("kernels", &["gpu"]),
    ("model", &["checkpoint", "gpu", "kernels", "trace"]),
    ("generate", &["checkpoint", "gpu", "model", "text", "trace"]),
    (
        "eval",
        &["checkpoint", "generate", "gpu", "model", "text", "trace"],
    ),
    (
        "server",
        &["checkpoint", "generate", "gpu", "model", "text", "trace"],
    ),
    (
        "engine",
        &[
            "checkpoint",
            "generate",
            "gpu",
            "hub",
            "model",
            "text",
            "trace",
        ],
    ),
    (
        "window",
        &[
            "checkpoint",
            "engine",
            "generate",
            "gpu",
            "hub",
            "model",
            "text",
            "trace",
        ],
    ),
];

/// What every module may import.
const LEAVES: [&str; 7] = [
    "error",
    "dtype",
    "excerpt",
    "threads",
    "utf8",
    "version",
    "whole_file",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every .rs file below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

/// The module of a file: its first folder below src, or its name.
fn module(path: &Path) -> String {
    let below = path.strip_prefix(root().join("src")).unwrap();
    let first = below.components().next().unwrap().as_os_str();
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The lines of a file but for items that only tests have, numbered from 1.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    // How far the item is indented that is passed over.
    let mut skipped = None;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let Some(of_item) = skipped else {
            let is_test = line.trim() == "#[cfg(test)]";
            skipped = is_test.then(|| indent(line));
            return !is_test;
        };
        let is_end = line.ends_with(['}', ';', ',']) && indent(line) == of_item;
        if is_end {
            skipped = None;
        }
        false
    })
}

#[test]
fn only_what_tests_have_is_passed_over() {
    let text = "a\n#[cfg(test)]\n#[path = \"x.rs\"]\nmod x;\nb\nimpl C {\n    #[cfg(test)]\n    pub const ALL: [u8; 1] = [\n        1,\n    ];\n    d\n}\n\
                #[cfg(test)]\nmod tests {\n    fn f() {\n    }\n}\n";
    let lines: Vec<_> = code(text).collect();
    assert_eq!(
        lines,
        [
            (1, "a"),
            (5, "b"),
            (6, "impl C {"),
            (11, "    d"),
            (12, "}")
        ]
    );
    let linear = std::fs::read_to_string(root().join("src/kernels/linear.rs")).unwrap();
    let seen = code(&linear).count();
    assert!(2 * seen > linear.lines().count(), "{seen} lines");
}

/// Modules named after `crate::` anywhere in a line.
fn imports(line: &str) -> Vec<&str> {
    line.split("crate::")
        .skip(1)
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            &rest[..end.unwrap_or(rest.len())]
        })
        .collect()
}

#[test]
fn imports_go_in_the_agreed_directions() {
    let mut checked = 0;
    for path in sources(&root().join("src")) {
        let module = module(&path);
        if module == "lib" || module == "cli" {
            continue;
        }
        let (_, allowed) = MAY_IMPORT
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| {
                panic!("module {module} has no rule: add one to this test and to ARCHITECTURE.md")
            });
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for import in imports(line) {
                let fine =
                    import == module || LEAVES.contains(&import) || allowed.contains(&import);
                assert!(
                    fine,
                    "{}:{number}: {module} may not import {import}",
                    path.display()
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "the test has gone blind");
}

/// A file in a circle can be understood, tested or moved only together with all the others.
#[test]
fn no_file_imports_itself_in_a_circle() {
    let below = |path: &Path| {
        let below = path.strip_prefix(root()).unwrap().to_str().unwrap();
        below.replace('\\', "/")
    };
    let files: Vec<(String, String)> = sources(&root().join("src"))
        .iter()
        .map(|path| (below(path), std::fs::read_to_string(path).unwrap()))
        .collect();
    let sources = imports::Sources::read(&files);
    assert!(sources.count() > 200, "the test has gone blind");
    let circles = sources.circles(|_| false);
    assert!(
        circles.is_empty(),
        "circles of imports:\n{}",
        circles.join("\n")
    );
}

/// Views get the window's state to read; only the app changes it.
#[test]
fn drawing_changes_no_state() {
    let app = root().join("src/window/app");
    let window = sources(&root().join("src/window"));
    for path in window.iter().filter(|path| !path.starts_with(&app)) {
        let text = std::fs::read_to_string(path).unwrap();
        for (number, line) in code(&text) {
            for word in [
                "&mut State",
                "&mut App",
                "&mut Settings",
                "&mut Record",
                "&mut Conversation",
            ] {
                assert!(!line.contains(word), "{}:{number}: {word}", path.display());
            }
        }
    }
}

#[test]
fn outsiders_stay_in_their_module() {
    // Crate, and the modules that may name it.
    let fences: &[(&str, &[&str])] = &[
        ("tokenizers::", &["text"]),
        ("minijinja", &["text"]),
        ("safetensors::", &["checkpoint"]),
        ("memmap2::", &["checkpoint"]),
        ("ureq", &["hub"]),
        ("sha2::", &["eval", "hub"]),
        ("axum", &["server"]),
        ("hyper::", &["server"]),
        ("tokio::", &["server"]),
        ("parquet::", &["eval"]),
        ("anyhow", &["cli"]),
        ("clap", &["cli"]),
        ("indicatif", &["cli"]),
        ("create_compute_pipeline", &["gpu"]),
        // The window's is for its own device.
        ("create_shader_module", &["gpu", "window"]),
        ("std::process", &["cli"]),
        // It panics when nobody reads.
        ("println!", &[]),
        ("egui", &["window"]),
        ("eframe", &["window"]),
        ("rfd::", &["window"]),
        ("png::", &["window"]),
    ];
    for path in sources(&root().join("src")) {
        let module = module(&path);
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for (name, allowed) in fences {
                let fine = !line.contains(name) || allowed.contains(&module.as_str());
                assert!(
                    fine,
                    "{}:{number}: {module} may not use {name}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn nothing_outside_tests_can_panic_on_purpose() {
    for path in sources(&root().join("src")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text) {
            let comment = line.trim_start().starts_with("//");
            for word in [
                ".unwrap()",
                ".expect(",
                "panic!(",
                "todo!(",
                "unimplemented!(",
                "unreachable!(",
                // The clock may begin when the machine does.
                "Instant::now() -",
            ] {
                assert!(
                    comment || !line.contains(word),
                    "{}:{number}: {word}",
                    path.display()
                );
            }
        }
    }
}

/// Flags are the command line's words. The window has settings, and whoever calls the library has fields.
#[test]
fn only_the_command_line_speaks_of_flags() {
    // Of Hugging Face's `hf`, which is the same whoever reads it.
    const FOREIGN: &[&str] = &["--local-dir"];
    for path in sources(&root().join("src")) {
        if module(&path) == "cli" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let flag = flags(line).find(|flag| !FOREIGN.contains(flag));
            assert!(flag.is_none(), "{}:{number}: {flag:?}", path.display());
        }
    }
    let some = r#""use --ctx-size 4 or `--dtype`, not a---b or --" + --x"#;
    let found: Vec<&str> = flags(some).collect();
    assert_eq!(found, ["--ctx-size", "--dtype", "--x"]);
}

/// What looks like a flag: two dashes that begin a word.
fn flags(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("--").filter_map(|(at, _)| {
        let is_first = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-');
        let word = &line[at + 2..];
        let is_word = word.starts_with(|c: char| c.is_ascii_lowercase());
        let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        (is_first && is_word).then(|| &line[at..at + 2 + end.unwrap_or(word.len())])
    })
}

/// Those of the library without features run in a browser too, where the standard library's clocks panic.
#[test]
fn the_core_asks_no_clock_that_a_browser_lacks() {
    let faces = ["cli", "eval", "hub", "server", "window"];
    for path in sources(&root().join("src")) {
        if faces.contains(&module(&path).as_str()) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text).filter(|(_, line)| line.contains("std::time")) {
            for clock in ["Instant", "SystemTime"] {
                assert!(
                    !line.contains(clock),
                    "{}:{number}: {clock} is web_time's",
                    path.display()
                );
            }
        }
    }
}

/// Links of README, ARCHITECTURE and the pages that README leads to.
#[test]
fn pages_link_to_what_is_there() {
    let mut pages = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    for entry in std::fs::read_dir(root().join("assets/docs")).unwrap() {
        pages.push(entry.unwrap().path());
    }
    let mut checked = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1) {
            let file = link.split([')', '#']).next().unwrap();
            if file.contains("://") {
                continue;
            }
            let target = page.with_file_name("").join(file);
            assert!(target.exists(), "{}: {file}", page.display());
            checked += 1;
        }
    }
    assert!(checked > 20, "the test has gone blind");
}

/// Shader text is written in .wgsl files, never put together in Rust.
#[test]
fn no_shader_text_in_rust() {
    for path in sources(&root().join("src")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text) {
            let fine = !line.contains("@compute") && !line.contains("@group(");
            assert!(fine, "{}:{number}: shader text", path.display());
        }
    }
}

/// Dependencies of the library without features, in Cargo's own words.
#[test]
fn the_bare_library_is_lean_and_pure_rust() {
    let tree = |arguments: &[&str]| -> Vec<String> {
        let output = std::process::Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--prefix", "none", "--format", "{p}"])
            .args(arguments)
            .current_dir(root())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect()
    };
    let bare = tree(&["--no-default-features", "--edges", "normal,build"]);
    assert!(bare.contains(&"wgpu".to_owned()));
    for name in [
        "clap",
        "anyhow",
        "indicatif",
        "ctrlc",
        "egui",
        "winit",
        "axum",
        "tokio",
        "ureq",
        "rustls",
        "ring",
        "sha2",
        "cc",
        "cmake",
        "bindgen",
        "onig",
    ] {
        assert!(
            !bare.contains(&name.to_owned()),
            "the library pulls in {name}"
        );
    }
}
