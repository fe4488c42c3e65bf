//! What this program is, for `--version` and for reports of faults.

use std::fmt::Write;
use std::sync::LazyLock;

use openelm::version::{COMMIT, NUMBER, WGPU};

/// Features that may be left out, and whether they were.
const FEATURES: [(&str, bool); 4] = [
    ("eval", cfg!(feature = "eval")),
    ("hub", cfg!(feature = "hub")),
    ("server", cfg!(feature = "server")),
    ("window", cfg!(feature = "window")),
];

/// The number, and the commit that it was built from.
pub static SHORT: LazyLock<String> = LazyLock::new(|| match COMMIT {
    "" => NUMBER.to_owned(),
    commit => format!("{NUMBER} ({commit})"),
});

/// The same with features and libraries, a line each.
pub static LONG: LazyLock<String> = LazyLock::new(|| {
    let mut text = SHORT.clone();
    let features = FEATURES.iter().filter(|(_, is_in)| *is_in);
    let features: Vec<&str> = features.map(|(name, _)| *name).collect();
    // A `String` takes whatever is written to it.
    let _ = write!(text, "\nfeatures: {}", features.join(", "));
    let _ = write!(text, "\nwgpu: {WGPU}");
    let _ = write!(
        text,
        "\nbuilt for: {} {}",
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    text
});
