//! What a run was of: of a model that was here, or as a file says.

use crate::engine::ModelInfo;
use crate::trace::{Imported, LayerShape, Peaks};

/// What a run was of, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    pub model: String,
    /// Format of the weights.
    pub dtype: String,
    pub adapter: String,
    pub backend: String,
    pub driver: String,
    pub device_type: String,
    pub layers: Vec<LayerShape>,
    /// The file that it was read from, and what that says the adapter could do at best.
    pub file: Option<Source>,
}

/// Where a run was read from.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub peaks: Option<Peaks>,
}

impl From<&ModelInfo> for Subject {
    fn from(info: &ModelInfo) -> Self {
        let adapter = &info.adapter;
        let layers = info.config.layers.iter().map(|layer| LayerShape {
            q_heads: layer.q_heads,
            kv_heads: layer.kv_heads,
            ffn_dim: layer.ffn_dim,
        });
        Self {
            model: info.name.clone(),
            dtype: info.dtype.name().to_owned(),
            adapter: adapter.name.clone(),
            backend: adapter.backend.clone(),
            driver: adapter.driver.clone(),
            device_type: adapter.device_type.clone(),
            layers: layers.collect(),
            file: None,
        }
    }
}

impl Subject {
    /// What a file says.
    pub fn of(trace: &Imported, name: String) -> Self {
        Self {
            model: trace.model.clone(),
            dtype: trace.dtype.clone(),
            adapter: trace.adapter.clone(),
            backend: trace.backend.clone(),
            driver: trace.driver.clone(),
            device_type: trace.device_type.clone(),
            layers: trace.layers.clone(),
            file: Some(Source {
                name,
                peaks: trace.peaks,
            }),
        }
    }

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        self.model.is_empty() && self.adapter.is_empty()
    }

    /// Model, format and adapter, as far as they are known.
    pub fn words(&self) -> String {
        let on = match self.adapter.is_empty() {
            true => String::new(),
            false => format!(" on {}", self.adapter),
        };
        match self.model.is_empty() {
            true => format!("a model without a name{on}"),
            false => format!("{} {}{on}", self.model, self.dtype),
        }
    }
}
