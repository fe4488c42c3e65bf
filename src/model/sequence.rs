//! A timeline of ids in the pool of a network: what a session, or a request among many, computes on.

use std::sync::Arc;

use super::batch::{Batch, Row, TokenSource, Wants};
use super::network::Network;
use super::rows::SequenceId;
use crate::error::Result;
use crate::kernels::BatchClass;

/// Ids whose keys and values are in the pool. Dropping it gives its rows back.
pub struct Sequence {
    network: Arc<Network>,
    id: SequenceId,
    /// Ids that are known; the device may be further.
    ids: Vec<u32>,
    epoch: u64,
}

impl Sequence {
    /// An empty one.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    pub fn new(network: &Arc<Network>) -> Result<Self> {
        Ok(Self {
            id: network.create()?,
            ids: Vec::new(),
            epoch: network.epoch(),
            network: Arc::clone(network),
        })
    }

    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// The ids that it holds, as far as they are known.
    pub fn ids(&self) -> &[u32] {
        let computed = self.len().unwrap_or(0);
        match self.epoch == self.network.epoch() {
            true => &self.ids[..self.ids.len().min(computed)],
            false => &[],
        }
    }

    /// Positions that are computed or under way.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn len(&self) -> Result<usize> {
        Ok(self.network.computed(self.id)? as usize)
    }

    /// Forgets all but the first `count` ids.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn truncate(&mut self, count: usize) -> Result<()> {
        self.notice_loss();
        let computed = self.len()?;
        self.ids.truncate(count.min(computed));
        self.network.truncate(self.id, self.ids.len() as u32)
    }

    /// Another that begins with the first `count` ids of this, and shares their rows.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    pub fn fork(&self, count: usize) -> Result<Self> {
        let ids = &self.ids()[..count.min(self.ids().len())];
        Ok(Self {
            id: self.network.fork(self.id, ids.len() as u32)?,
            ids: ids.to_vec(),
            epoch: self.network.epoch(),
            network: Arc::clone(&self.network),
        })
    }

    /// Adds the next row to a batch, with a row of the cache for it. `known` is the id of a token that the device chose, if it was read
    /// already.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where the pool cannot grow.
    pub fn push(
        &mut self,
        batch: &mut Batch,
        token: TokenSource,
        known: Option<u32>,
        class: BatchClass,
        wants: Wants,
    ) -> Result<()> {
        self.notice_loss();
        let rows = batch.rows().iter().rev();
        let last = rows
            .filter(|row| row.sequence == self.id)
            .map(|row| row.position);
        let position = match last.max() {
            Some(last) => last + 1,
            None => self.network.computed(self.id)?,
        };
        self.network.reserve(self.id, position + 1)?;
        let id = match token {
            TokenSource::Id(id) => Some(id),
            TokenSource::Chosen => known,
        };
        if self.ids.len() == position as usize {
            self.ids.extend(id);
        }
        batch.push(Row {
            sequence: self.id,
            position,
            token,
            class,
            wants,
        });
        Ok(())
    }

    /// Notes the id that the device chose, where a row was computed from it already.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn learn(&mut self, id: u32) -> Result<()> {
        if self.ids.len() < self.len()? {
            self.ids.push(id);
        }
        Ok(())
    }

    /// What was computed before keys and values became f32 is gone.
    fn notice_loss(&mut self) {
        let epoch = self.network.epoch();
        if self.epoch != epoch {
            self.epoch = epoch;
            self.ids.clear();
        }
    }
}

/// How many ids `a` and `b` begin with alike.
pub fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

impl Drop for Sequence {
    fn drop(&mut self) {
        self.network.free(self.id);
    }
}
