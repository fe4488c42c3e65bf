//! `openelm devices`: the adapters of this machine, and what of each is used.

use std::fmt::Write;

use anyhow::Result;
use openelm::{AdapterFeatures, AdapterSummary};
use serde_json::{Value, json};

use super::output;

pub fn run(json: bool) -> Result<()> {
    let adapters = openelm::adapters();
    if json {
        let adapters: Vec<Value> = adapters.iter().map(with_features).collect();
        return output::write(&format!("{}\n", json!(adapters)));
    }
    if adapters.is_empty() {
        // The error says what to install.
        openelm::Gpu::open(None)?;
    }
    let mut text = String::new();
    for (index, adapter) in adapters.iter().enumerate() {
        writeln!(text, "{index}: {}", described(adapter))?;
        writeln!(text, "   {}", features(&adapter.features))?;
    }
    output::write(&text)
}

fn with_features(adapter: &AdapterSummary) -> Value {
    let mut object = json!(adapter);
    object["features"] = json!(adapter.features);
    object
}

/// Name, kind, backend and driver.
pub fn described(adapter: &AdapterSummary) -> String {
    format!(
        "{} ({}, {}, {})",
        adapter.name, adapter.device_type, adapter.backend, adapter.driver
    )
}

/// What of an adapter is used, and what it has not.
pub fn features(features: &AdapterFeatures) -> String {
    let has = |is: bool, name: &str| match is {
        true => name.to_owned(),
        false => format!("no {name}"),
    };
    let subgroups = match features.subgroup_lanes {
        0 => "no subgroups".to_owned(),
        lanes => format!("subgroups of {lanes} lanes or more"),
    };
    let advice = match features.shader_compiler.as_str() {
        "FXC" => {
            " (DXC needs dxcompiler.dll, of Microsoft's DirectXShaderCompiler, beside this program)"
        }
        _ => "",
    };
    let memory = features.memory;
    let memory = memory.map(|bytes| format!("{} MiB of memory", bytes >> 20));
    let parts = [
        subgroups,
        has(features.f16, "f16"),
        match features.cooperative_matrices {
            0 => "no cooperative matrices".to_owned(),
            size => format!("cooperative matrices of {size} x {size}"),
        },
        has(features.timestamps, "timestamps"),
        has(features.pipeline_cache, "pipeline cache"),
        format!("{} shader compiler{advice}", features.shader_compiler),
    ];
    let parts: Vec<String> = parts.into_iter().chain(memory).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_dxc_is_told_how_to_get_it() {
        let with = |compiler: &str| {
            let mut of_adapter = AdapterFeatures::default();
            of_adapter.shader_compiler = compiler.into();
            features(&of_adapter)
        };
        assert!(with("FXC").contains("dxcompiler.dll"));
        assert!(!with("DXC").contains("dxcompiler.dll"));
    }
}
