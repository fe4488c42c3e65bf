//! Rows of published data sets, from files: where they are, and what is in them.

mod find;
mod footer;
mod jsonl;
mod parquet;
mod read;
mod row;

pub(super) use find::{Wanted, find};
pub(super) use read::read;
pub(super) use row::{Identity, Row};
