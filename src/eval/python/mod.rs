//! What of Python the prompts depend on: its white space, its letters' case, its literals and its random numbers.

mod case;
mod literal;
mod random;
mod space;

pub use case::capitalize;
pub use literal::parse_literal;
pub use random::Random;
pub use space::{strip, strip_end, strip_start};
