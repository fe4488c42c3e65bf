//! The `openelm` command: raw arguments to checked options, text to stdout, all else to stderr.

mod advice;
mod args;
mod batch;
mod bench;
mod chat;
mod command;
mod conversation;
mod devices;
mod doctor;
#[cfg(feature = "eval")]
mod eval;
mod files;
mod generate;
mod hub;
mod lines;
mod literal;
mod man;
mod output;
#[cfg(feature = "eval")]
mod perplexity;
mod profile;
mod prompt_cache;
mod quantize;
mod report;
mod request;
mod score;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "server")]
mod server_args;
mod show;
mod template;
mod tokenize;
mod transcript;
mod verbs;
mod version;
#[cfg(feature = "window")]
mod window;

#[cfg(test)]
#[path = "../../tests/fuzz/command_line.rs"]
mod fuzz;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use verbs::{Arguments, Verb};

fn main() -> ExitCode {
    prepare_environment();
    quiet_device_select();
    let arguments = match Arguments::try_parse_from(verbs::with_dashes(std::env::args_os())) {
        Ok(arguments) => arguments,
        Err(answer) => return told(&answer),
    };
    let done = match arguments.verb {
        None => generate::run(&arguments.generate),
        Some(Verb::Generate(arguments)) => generate::run(&arguments),
        Some(Verb::Chat(arguments)) => chat::run(&arguments),
        Some(Verb::Score(arguments)) => score::run(&arguments),
        #[cfg(feature = "eval")]
        Some(Verb::Eval(arguments)) => eval::run(&arguments),
        #[cfg(feature = "eval")]
        Some(Verb::Perplexity(arguments)) => perplexity::run(&arguments),
        Some(Verb::Bench(arguments)) => bench::run(&arguments),
        Some(Verb::Profile(arguments)) => profile::run(&arguments),
        #[cfg(feature = "window")]
        Some(Verb::Window(arguments)) => window::run(arguments),
        #[cfg(feature = "server")]
        Some(Verb::Serve(arguments)) => serve::run(&arguments),
        Some(Verb::Tokenize(arguments)) => tokenize::run(&arguments),
        Some(Verb::Show(arguments)) => show::run(&arguments),
        Some(Verb::Quantize(arguments)) => quantize::run(&arguments),
        Some(Verb::Pull(arguments)) => hub::pull(&arguments),
        Some(Verb::List(arguments)) => hub::list(&arguments),
        Some(Verb::Rm(arguments)) => hub::remove(&arguments),
        Some(Verb::Devices { json }) => devices::run(json),
        Some(Verb::Doctor(arguments)) => doctor::run(&arguments),
        Some(Verb::Man { folder }) => man::run(folder.as_deref()),
        Some(Verb::Completions { shell }) => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "openelm", &mut text);
            output::write(&String::from_utf8_lossy(&text))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has seen enough: `openelm ... | head`.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("openelm: {error:#}"));
            let known = error.chain().find_map(|cause| cause.downcast_ref());
            if let Some(advice) = known.and_then(advice::advice) {
                output::note(&format!("  tip: {advice}"));
            }
            match error.is::<output::Interrupted>() {
                true => ExitCode::from(130),
                false => ExitCode::FAILURE,
            }
        }
    }
}

/// Prints what the arguments alone lead to: help, or what is wrong with them.
fn told(answer: &clap::Error) -> ExitCode {
    match answer.print() {
        Err(error) if !output::reader_is_gone(&error) => {
            output::note(&format!(
                "openelm: cannot write to standard output: {error}"
            ));
            ExitCode::FAILURE
        }
        _ => ExitCode::from(answer.exit_code() as u8),
    }
}

/// A variable of ours that is empty says nothing, as elsewhere; `OPENELM_THREADS` is what Mesa's software driver calls otherwise.
fn prepare_environment() {
    let ours =
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OPENELM_"));
    for (name, _) in ours
        .filter(|(_, value)| value.is_empty())
        .collect::<Vec<_>>()
    {
        // SAFETY: at the beginning of main, while there is only this thread.
        unsafe { std::env::remove_var(name) };
    }
    if let Some(threads) = std::env::var_os("OPENELM_THREADS") {
        // SAFETY: as above.
        unsafe { std::env::set_var("LP_NUM_THREADS", threads) };
    }
}

/// Mesa's device-select layer complains on stderr where there is no desktop session (a server, a container). Without one it has
/// nothing to ask anyway.
fn quiet_device_select() {
    let unset = |name| std::env::var_os(name).is_none();
    if unset("XDG_RUNTIME_DIR") && unset("MESA_VK_DEVICE_SELECT") && unset("NODEVICE_SELECT") {
        // SAFETY: the first thing in main, while there is only this thread.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}
