//! What a report of timings says beside them.

use openelm::trace::{About, LayerShape, Peaks};
use openelm::{Dtype, Model, version};

/// Model, adapter, settings, versions and date.
pub fn about(model: &Model, peaks: Option<Peaks>) -> About<'_> {
    let (adapter, network) = (model.adapter(), model.network());
    let activations = match network.tuning().int8 && model.dtype() == Dtype::Q8 {
        true => ", activations in eight bits while decoding",
        false => "",
    };
    let prefill = match network.has_f16_prefill() {
        true => ", prompts in f16",
        false => "",
    };
    let cache = match network.has_exact_kv() {
        true => "f32",
        false => "f16",
    };
    let kernels = format!("{} kernels{activations}{prefill}", network.path().name());
    let context = format!("{} positions, cache in {cache}", model.context_size());
    let facts = vec![
        (
            "Driver",
            format!("{} ({})", adapter.driver, adapter.backend),
        ),
        ("Kind", adapter.device_type.clone()),
        ("Kernels", kernels),
        ("Context", context),
        ("Program", format!("openelm {}", version::line())),
        ("Date", now()),
    ];
    About {
        title: "",
        introduction: String::new(),
        model: model.name(),
        dtype: model.dtype().name(),
        adapter: &adapter.name,
        facts,
        layers: shapes(model),
        peaks,
        cost: None,
        left_out: 0,
    }
}

/// The shape of each layer.
pub fn shapes(model: &Model) -> Vec<LayerShape> {
    let layers = model.config().layers.iter();
    layers.map(LayerShape::from).collect()
}

fn now() -> String {
    jiff::ZonedDateTime::now()
        .strftime("%Y-%m-%d %H:%M %Z")
        .to_string()
}
