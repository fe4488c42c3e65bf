//! `openelm window`.

use anyhow::Result;
use openelm::hub::Settings;
use openelm::window::Options;

use super::args::{Window, adapter};

pub fn run(arguments: Window) -> Result<()> {
    let mut options = Options::default();
    options.model = match arguments.model {
        Some(model) => Some(arguments.hub.named(&model)?),
        None => None,
    };
    options.hub = match arguments.hub.settings() {
        Ok(settings) => Some(settings),
        // An environment that makes no sense matters only to whoever fetches something.
        Err(_) if Settings::from_env().is_err() => None,
        Err(error) => return Err(error),
    };
    options.tokenizer = arguments.tokenizer;
    options.device = arguments.device.as_deref().and_then(adapter);
    options.tuning_cache = openelm::tuning_cache();
    options.data = arguments.data_dir;
    options.trace = arguments.trace;
    Ok(openelm::window::run(options)?)
}
