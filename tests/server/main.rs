//! A server and those who ask it, well or badly: each gets what it should, and the others notice nothing.
#![cfg(feature = "server")]
#![allow(
    clippy::field_reassign_with_default,
    reason = "settings are filled as users of the library fill them"
)]

#[path = "../common/mod.rs"]
mod common;

mod answers;
#[cfg(feature = "cli")]
mod cli;
mod client;
mod crowd;
mod ending;
mod leaving;
mod limits;
mod losing;
mod scene;
mod security;
mod sending;
