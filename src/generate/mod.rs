//! Models, sessions and generation: what faces and library users talk to.

mod chat;
mod driver;
mod generator;
mod model;
mod options;
mod sampling;
mod session;
mod stop;
mod writer;

pub(crate) use driver::{Driver, Lane};
pub(crate) use generator::Generator;
pub use model::{Model, ModelFiles};
pub use options::{Finish, GenerateOptions, SampleOn, Score, Timing, Token};
pub use sampling::{Candidate, Sampler, SamplingParams, clock_seed, log_sum_exp};
pub(crate) use session::begin;
pub use session::{Generation, Session};
