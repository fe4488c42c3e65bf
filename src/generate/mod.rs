//! Models, sessions and generation: what faces and library users talk to.

mod model;
mod sampling;
mod session;
mod stop;

pub use model::{Model, ModelFiles};
pub use sampling::{Candidate, Sampler, Sampling, clock_seed, log_sum_exp};
pub use session::{Finish, GenerateOptions, Generation, SampleOn, Score, Session, Timing, Token};
