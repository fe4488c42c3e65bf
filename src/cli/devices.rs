//! `openelm devices`: the adapters of this machine.

use std::fmt::Write;

use anyhow::{Result, bail};

use super::output;

pub fn run(json: bool) -> Result<()> {
    let adapters = openelm::adapters();
    if json {
        return output::write(&format!("{}\n", serde_json::to_string(&adapters)?));
    }
    if adapters.is_empty() {
        // Opening one gives the advice on what to install.
        if let Err(error) = openelm::Gpu::open(None) {
            bail!(error);
        }
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
