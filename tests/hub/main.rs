//! Models fetched by name, from a hub of the tests' own: what comes is whole and right, or nothing.
#![cfg(feature = "hub")]

#[path = "../common/mod.rs"]
mod common;

#[cfg(feature = "cli")]
mod cli;
mod faults;
mod gguf;
mod pulls;
mod removal;
mod scene;
mod server;
