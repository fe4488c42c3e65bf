//! Models, sessions and generation: what faces and library users talk to.

mod chat;
mod config;
mod driver;
mod generator;
mod keys;
mod model;
mod options;
mod params;
mod processors;
mod sampling;
mod session;
mod several;
mod stop;
mod warpers;
mod writer;

pub use config::{AssistantSchedule, GenerationConfig};
pub(crate) use driver::{Driver, Lane};
pub(crate) use generator::Generator;
pub use model::{Model, ModelFiles};
pub use options::{Finish, GenerateOptions, SampleOn, Score, Timing, Token};
pub use params::{ProcessorParams, SamplingParams};
#[cfg(test)]
pub(crate) use processors::{Processors, Span};
pub use sampling::{Candidate, Sampler, clock_seed, log_sum_exp};
pub(crate) use session::begin;
pub use session::{Generation, Session};
pub use several::Text;
#[cfg(test)]
pub(crate) use warpers::Warpers;
