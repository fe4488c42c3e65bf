//! The window as people and screen readers see it, with a scripted engine; and once with the real one and the demo model.
#![cfg(feature = "window")]

mod access;
mod answers;
mod chat;
mod find;
mod history;
mod imports;
mod keeping;
mod looks;
mod models;
mod reading;
mod scene;
mod sharing;
mod timings;
mod traces;
mod trash;
mod typing;
