//! `openelm man`: the pages for `man`, made of what `--help` prints.

use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_mangen::Man;

use super::output;
use super::verbs::Arguments;

/// Prints the page of the program, or writes it and those of its verbs to a folder.
pub fn run(folder: Option<&Path>) -> Result<()> {
    let command = Arguments::command();
    let Some(folder) = folder else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        return output::write(&String::from_utf8_lossy(&page));
    };
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    clap_mangen::generate_to(command, folder).with_context(|| folder.display().to_string())
}
