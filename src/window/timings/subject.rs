//! What a run was of, where the model was here.

use crate::engine::ModelInfo;
use crate::trace::{LayerShape, Subject};

impl From<&ModelInfo> for Subject {
    fn from(info: &ModelInfo) -> Self {
        let adapter = &info.adapter;
        Self {
            model: info.name.clone(),
            dtype: info.dtype.name().to_owned(),
            adapter: adapter.name.clone(),
            backend: adapter.backend.clone(),
            driver: adapter.driver.clone(),
            device_type: adapter.device_type.clone(),
            layers: info.config.layers.iter().map(LayerShape::from).collect(),
        }
    }
}
