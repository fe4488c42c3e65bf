//! The verbs of the command line, each with the arguments of its module.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

#[cfg(feature = "server")]
use super::args::Serve;
#[cfg(feature = "window")]
use super::args::Window;
use super::args::{Bench, Chat, Doctor, Generate, Profile, Quantize, Score, Show, Tokenize};
#[cfg(feature = "eval")]
use super::eval;
use super::hub;
#[cfg(feature = "eval")]
use super::perplexity;
use super::version;

/// Run Apple's OpenELM language models on any GPU.
///
/// Without a verb, `openelm` generates: `openelm -p "Once upon a time"` continues the prompt with the embedded demo model.
#[derive(Parser)]
#[command(version = version::SHORT.as_str(), long_version = version::LONG.as_str(), args_conflicts_with_subcommands = true, max_term_width = 110, after_help = ENVIRONMENT)]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Option<Verb>,
    #[command(flatten)]
    pub generate: Generate,
}

/// Variables that stand for no flag.
const ENVIRONMENT: &str = "From the environment, beside those named above: OPENELM_THREADS (threads of Mesa's software driver), \
OPENELM_CACHE_DIR (where measurements are kept), HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE (models from the hub), \
NO_COLOR.";

#[derive(Subcommand)]
pub enum Verb {
    /// Continue a prompt (the default)
    Generate(Generate),
    /// Talk with a model in the terminal
    Chat(Chat),
    /// Print the log-probability of every token of a text, and the most probable next tokens
    Score(Score),
    /// Evaluate a model: the tables of OpenELM's model card, as lm-evaluation-harness computes them
    #[cfg(feature = "eval")]
    Eval(eval::Eval),
    /// Print how well a model predicts a text; or how much of that other formats of its weights lose
    #[cfg(feature = "eval")]
    Perplexity(perplexity::Perplexity),
    /// Measure loading, prefill and decode, and the adapter's read bandwidth
    Bench(Bench),
    /// Show what every layer and kernel costs
    Profile(Profile),
    /// Open the window: a chat that streams, and what every layer costs
    #[cfg(feature = "window")]
    Window(Window),
    /// Answer OpenAI's API over HTTP
    #[cfg(feature = "server")]
    Serve(Serve),
    /// Print the token ids of a text
    Tokenize(Tokenize),
    /// Describe a checkpoint: layers, sizes, memory needed
    Show(Show),
    /// Write a model with its matrices quantised, to a new folder
    Quantize(Quantize),
    /// Fetch a model from the Hugging Face hub, or what is new of it
    Pull(hub::Pull),
    /// List the models that were fetched
    List(hub::List),
    /// Remove a model that was fetched
    Rm(hub::Remove),
    /// List the adapters of this machine, best first
    Devices {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what a report of a fault needs, and try a token: it says where it stops
    Doctor(Doctor),
    /// Print a completion script for a shell
    Completions { shell: clap_complete::Shell },
    /// Print the manual page, or write it and those of all verbs to a folder
    Man { folder: Option<PathBuf> },
}

/// Flags as they are spelled here: `--max_length` is `--max-length`. What is none stays as it is: it may be a text that begins with dashes.
pub fn with_dashes(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let command = Arguments::command();
    let verbs = command.get_subcommands().chain([&command]);
    let flags: Vec<&clap::Arg> = verbs.flat_map(clap::Command::get_arguments).collect();
    let is_flag = |name: &str| {
        flags.iter().any(|flag| {
            let aliases = flag.get_all_aliases().unwrap_or_default();
            flag.get_long() == Some(name) || aliases.contains(&name)
        })
    };
    let spelled = |argument: &OsString| -> Option<OsString> {
        let text = argument.to_str()?.strip_prefix("--")?;
        let (flag, value) = text.split_at(text.find('=').unwrap_or(text.len()));
        let flag = flag.replace('_', "-");
        is_flag(&flag).then(|| format!("--{flag}{value}").into())
    };
    arguments
        .map(|argument| spelled(&argument).unwrap_or(argument))
        .collect()
}
