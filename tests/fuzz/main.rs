//! Nothing that a file or a request says may end the program, hang it or fill the memory: spoiled copies of good ones, in numbers.
//!
//! `scripts/fuzz.sh` runs them for as long as one likes.

#[path = "../common/mod.rs"]
mod common;
mod files;
mod harness;
mod requests;
mod texts;

#[global_allocator]
static COUNTING: harness::Counting = harness::Counting;
