//! Models, sessions and generation: what faces and library users talk to.

mod assistant;
mod chat;
mod config;
mod driver;
mod generator;
mod keys;
mod lookup;
mod model;
mod options;
mod params;
mod payoff;
mod pool;
mod prefix_cache;
mod processors;
mod sampling;
mod saved;
mod saved_file;
mod session;
mod several;
mod speculation;
mod stop;
mod warpers;
mod writer;

pub use assistant::{Assistant, AssistantSchedule};
pub use config::GenerationConfig;
pub use lookup::PromptLookup;
pub use model::{Model, ModelFiles};
pub use options::{
    Finish, GenerateOptions, PromptLogprobs, PromptToken, SampleOn, Score, Timing, Token,
};
pub use params::{ProcessorParams, SamplingParams};
pub use pool::{PoolEvent, PoolLoad, Text, TextPool};
pub(crate) use prefix_cache::Reuse;
#[cfg(test)]
pub(crate) use processors::{Processors, Span};
#[cfg(test)]
pub(crate) use sampling::Draft;
pub use sampling::{Candidate, Sampler, clock_seed, log_sum_exp};
pub use saved::SavedSession;
pub use session::{Generation, Session};
pub use speculation::{Speculation, SpeculationSummary};
#[cfg(test)]
pub(crate) use warpers::Warpers;
