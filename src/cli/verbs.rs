//! The verbs of the command line, each with the arguments of its module.

use clap::{Parser, Subcommand};

#[cfg(feature = "server")]
use super::args::Serve;
#[cfg(feature = "window")]
use super::args::Window;
use super::args::{Bench, Chat, Generate, Profile, Quantize, Score, Show, Tokenize};
#[cfg(feature = "eval")]
use super::eval;
use super::hub;
#[cfg(feature = "eval")]
use super::perplexity;

/// Run Apple's OpenELM language models on any GPU.
///
/// Without a verb, `openelm` generates: `openelm -p "Once upon a time"` continues the prompt with the embedded demo model.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, max_term_width = 110)]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Option<Verb>,
    #[command(flatten)]
    pub generate: Generate,
}

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
    /// Print a completion script for a shell
    Completions { shell: clap_complete::Shell },
}
