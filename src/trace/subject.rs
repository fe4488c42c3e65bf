//! What a run was of.

/// What a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LayerShape {
    pub q_heads: usize,
    pub kv_heads: usize,
    pub ffn_dim: usize,
}

/// Which model ran on what, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    pub model: String,
    /// Format of its weights.
    pub dtype: String,
    pub adapter: String,
    pub backend: String,
    pub driver: String,
    pub device_type: String,
    pub layers: Vec<LayerShape>,
}

impl Subject {
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
