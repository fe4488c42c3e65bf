//! What of Python the prompts depend on: its white space, its letters' case, its literals and its random numbers.

mod case;
mod literal;
mod random;
mod space;

pub(super) use case::capitalize;
pub(super) use literal::parse_literal;
pub(super) use random::Random;
pub(super) use space::{strip, strip_end, strip_start};
