//! Adapters that a model may be put on, each opened only when its turn comes.

use super::adapter::{AdapterSummary, wanted};
use super::device::Gpu;
use crate::error::Result;
use crate::threads::block_on;

/// An adapter that may be opened.
pub struct Candidate {
    /// [`AdapterSummary::identity`].
    pub identity: String,
    open: Box<dyn Fn() -> Result<Gpu>>,
}

impl Candidate {
    /// One that `open` opens: tests have such that fail.
    pub fn new(identity: String, open: impl Fn() -> Result<Gpu> + 'static) -> Self {
        Self {
            identity,
            open: Box::new(open),
        }
    }

    /// The adapters that a wish may mean (see [`Gpu::open`]), in the order in which to try them; `with_matrices`: opened with their cooperative
    /// matrices, where they have some.
    ///
    /// # Errors
    /// [`crate::Error::NoAdapter`].
    pub fn of(requested: Option<&str>, with_matrices: bool) -> Result<Vec<Self>> {
        let adapters = block_on(wanted(requested))??.into_iter();
        let candidate = |adapter: wgpu::Adapter| {
            Self::new(AdapterSummary::new(&adapter).identity(), move || {
                block_on(Gpu::on(&adapter, with_matrices, |limits| limits))?
            })
        };
        Ok(adapters.map(candidate).collect())
    }

    /// # Errors
    /// [`crate::Error::NoDevice`].
    pub fn open(&self) -> Result<Gpu> {
        (self.open)()
    }
}
