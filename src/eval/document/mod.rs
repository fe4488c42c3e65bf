//! A row as questions and answers: one file for tasks that need more than to be filled in.

mod hellaswag;
mod parts;
mod plain;
mod race;
mod read;

pub(super) use parts::{Document, Example};
pub(super) use read::read;
