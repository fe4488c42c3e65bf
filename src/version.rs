//! What this program was built from.

/// The package's version.
pub const NUMBER: &str = env!("CARGO_PKG_VERSION");

/// The commit; empty where nobody knows it (`build.rs`).
pub const COMMIT: &str = env!("OPENELM_COMMIT");

/// The version of wgpu.
pub const WGPU: &str = env!("OPENELM_WGPU");

/// All of it in one line, such as `0.1.0 (3b8010b2f1), wgpu 30.0.0`.
pub fn line() -> String {
    let commit = match COMMIT {
        "" => String::new(),
        commit => format!(" ({commit})"),
    };
    format!("{NUMBER}{commit}, wgpu {WGPU}")
}
