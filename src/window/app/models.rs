//! What is known of the models that are here, and what follows from it.

use super::App;
use super::model_search::Search;
use crate::dtype::Dtype;
use crate::window::catalog::Choice;

impl App {
    /// Looks for models, unless that is going on.
    pub(super) fn find_models(&mut self) {
        if std::mem::replace(&mut self.state.catalog.is_searching, true) {
            return;
        }
        let info = self.state.info();
        let memory = info.map(|info| info.memory);
        self.reading.models(Search {
            recent: self.state.settings.recent.clone(),
            cache: self.hub.as_ref().map(|settings| settings.cache.clone()),
            adapter: info.map(|info| info.adapter.clone()),
            device: self.state.load.device.clone(),
            in_use: memory.map_or(0, |memory| {
                memory.weights + memory.kv_cache + memory.scratch
            }),
        });
    }

    /// The format to load a model in, where the person asks for none.
    pub(super) fn automatic_dtype(&self, model: &str) -> Option<Dtype> {
        let catalog = &self.state.catalog;
        let facts = catalog.get(model)?.facts.as_ref().ok()?;
        match facts.choice(catalog.room, self.state.settings.context_size) {
            Choice::Fits(dtype) => dtype,
            Choice::Unknown | Choice::TooLarge => None,
        }
    }
}
