//! `openelm devices`: the adapters of this machine.

use std::fmt::Write;

use anyhow::Result;

use super::output;

pub fn run(json: bool) -> Result<()> {
    let adapters = openelm::adapters();
    if json {
        return output::write(&format!("{}\n", serde_json::to_string(&adapters)?));
    }
    if adapters.is_empty() {
        // The error says what to install.
        openelm::Gpu::open(None)?;
    }
    let mut text = String::new();
    for (index, adapter) in adapters.iter().enumerate() {
        writeln!(
            text,
            "{index}: {} ({}, {}, {})",
            adapter.name, adapter.device_type, adapter.backend, adapter.driver
        )?;
    }
    output::write(&text)
}
