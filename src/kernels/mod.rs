//! One module a kernel: the parameters, bindings and dispatch shape of the `.wgsl` file of the same name, and nothing else.

pub mod arithmetic_peak;
pub mod attention;
pub mod embed;
mod files;
mod layout;
pub mod linear;
mod path;
pub mod probe;
pub mod qk_norm_rope;
pub mod read_bandwidth;
pub mod rms_norm;
pub mod sample;
mod step;
mod tuning;

pub use files::{FILES, fingerprint};
pub use path::ComputePath;
pub use step::{BLOCK, BatchClass, CHOSEN, FirstRow, LANES, ROW_PAD, TokenInput};
pub use tuning::Tuning;
