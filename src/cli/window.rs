//! `openelm window`.

use anyhow::Result;
use openelm::window::Options;

use super::args::Window;

pub fn run(arguments: Window) -> Result<()> {
    let mut options = Options::default();
    options.model = match arguments.model {
        Some(model) => Some(arguments.hub.named(&model)?),
        None => None,
    };
    options.hub = Some(arguments.hub.settings()?);
    options.tokenizer = arguments.tokenizer;
    options.device = arguments.device;
    options.tuning_cache = openelm::tuning_cache();
    options.data = arguments.data_dir;
    Ok(openelm::window::run(options)?)
}
