//! What is known of the models that are here, and what follows from it.

use super::App;
use super::model_search::Search;
use crate::dtype::Dtype;
use crate::window::catalog::{Choice, Listed};

impl App {
    /// Looks for models; if that is going on, once more when it is done: what has changed since may have been passed.
    pub(super) fn find_models(&mut self) {
        if std::mem::replace(&mut self.state.catalog.is_searching, true) {
            self.are_models_old = true;
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

    /// Takes in the models that were found, and the memory that there is for one.
    pub(super) fn models_were_found(&mut self, models: Vec<Listed>, room: Option<u64>) {
        let catalog = &mut self.state.catalog;
        (catalog.models, catalog.room) = (models, room);
        catalog.is_searching = false;
        if std::mem::take(&mut self.are_models_old) {
            self.find_models();
        }
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
