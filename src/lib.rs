pub mod checkpoint;
mod dtype;
mod error;
pub mod gpu;
pub mod kernels;
pub mod model;
pub use dtype::Dtype;
pub use error::{Error, Result};
