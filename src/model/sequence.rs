//! A timeline of ids in the pool of a network: what a session, or a request among many, computes on.

use std::sync::Arc;

use super::batch::{Batch, Row, TokenSource, Wants};
use super::kv_transfer;
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
    /// How many of the first positions were computed as a prompt's.
    prompt: usize,
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
            prompt: 0,
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

    /// Those of [`Sequence::ids`] at its beginning that were computed as a prompt's.
    pub fn prompt_ids(&self) -> &[u32] {
        let ids = self.ids();
        &ids[..ids.len().min(self.prompt)]
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
        self.enter(self.network.epoch());
        let computed = self.len()?;
        self.ids.truncate(count.min(computed));
        self.prompt = self.prompt.min(self.ids.len());
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
            prompt: self.prompt.min(ids.len()),
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
        self.enter(batch.epoch().unwrap_or(self.network.epoch()));
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
        // Whatever was there is replaced.
        self.prompt = self.prompt.min(position as usize);
        if self.prompt == position as usize && class == BatchClass::Prompt {
            self.prompt += 1;
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

    /// Hands keys and values of the first `count` positions to `take`, as [`kv_transfer::read`] does. False where they were lost meanwhile.
    ///
    /// # Errors
    /// Those of `take` and of the device.
    pub fn read_kv(&self, count: usize, take: impl FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        kv_transfer::read(&self.network, self.id, self.epoch, count, take)
    }

    /// Has it hold `ids` and nothing else, with a prompt's keys and values that `fill` writes, in the order of [`Sequence::read_kv`]. False
    /// where they were lost meanwhile; then, as after an error, it is empty.
    ///
    /// # Errors
    /// Those of `fill` and of the device; [`crate::Error::OutOfMemory`].
    pub fn write_kv(
        &mut self,
        ids: &[u32],
        fill: impl FnMut(&mut [u8]) -> Result<()>,
    ) -> Result<bool> {
        self.truncate(0)?;
        let count = ids.len();
        self.network.reserve(self.id, count as u32)?;
        let written = kv_transfer::write(&self.network, self.id, self.epoch, count, fill);
        if matches!(written, Ok(true)) {
            self.ids.extend(ids);
            self.prompt = count;
        } else {
            self.network.truncate(self.id, 0)?;
        }
        written
    }

    /// What was computed before keys and values became f32 is gone.
    fn enter(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.ids.clear();
            self.prompt = 0;
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
