//! Keys and values of all sequences: rows that are handed out on demand, and grow in number up to what memory allows.

use super::resident::Resident;
use super::rows::{Rows, SequenceId};
use super::sizes;
use super::store::Store;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::kernels::sample;

/// Sequences that the device's tables have room for at first.
const FIRST_SLOTS: usize = 16;

/// Rows that a sequence takes at a time while it grows, so that a long text does not ask again for every token.
const SPAN: u32 = 64;

/// Keys and values of one layer: [rows, kv_heads, head_dim], in whole blocks.
pub struct LayerCache {
    pub keys: Store,
    pub values: Store,
}

/// What the device knows of each sequence, by slot.
pub struct Tables {
    /// [slots, context_size]: the cache row of each position.
    pub rows: wgpu::Buffer,
    /// [slots, history_words]: its ids, and what follows from them for the next; see [`sample::history_words`].
    pub history: wgpu::Buffer,
    /// [slots]: the id that the device chose last.
    pub chosen: wgpu::Buffer,
    slots: usize,
}

/// Rows of keys and values, and who has which.
pub struct KvPool {
    rows: Rows,
    pub layers: Vec<LayerCache>,
    pub tables: Tables,
    /// Whether keys and values are f32.
    pub exact: bool,
    /// Counts how often what lives here was replaced, and bindings to it must be made anew.
    pub version: u64,
    /// Counts how often everything that was computed was lost.
    pub epoch: u64,
}

impl KvPool {
    /// A pool with rows for one whole context.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(resident: &Resident, exact: bool) -> Result<Self> {
        let capacity = resident.context_size + 1;
        let (layers, tables) = resident.gpu.try_allocating(|| {
            (
                layers(resident, capacity, exact),
                tables(resident, FIRST_SLOTS),
            )
        })?;
        Ok(Self {
            rows: Rows::new(capacity),
            layers,
            tables,
            exact,
            version: 0,
            epoch: 0,
        })
    }

    /// Bytes of keys and values, used or not.
    pub fn bytes(&self, resident: &Resident) -> u64 {
        self.rows.capacity() as u64 * sizes::position_bytes(&resident.config, self.exact)
    }

    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    pub fn rows_mut(&mut self) -> &mut Rows {
        &mut self.rows
    }

    /// A new sequence, without rows.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where the device's tables cannot grow.
    pub fn create(&mut self, resident: &Resident) -> Result<SequenceId> {
        let id = self.rows.create();
        self.make_room_for_slots(resident, id)?;
        Ok(id)
    }

    /// A sequence that shares the first `len` positions of another.
    ///
    /// # Errors
    /// As [`KvPool::create`]; [`Error::Misuse`] for a sequence that is gone.
    pub fn fork(&mut self, resident: &Resident, id: SequenceId, len: u32) -> Result<SequenceId> {
        let fork = self.rows.fork(id, len)?;
        self.make_room_for_slots(resident, fork)?;
        self.write_table(resident, fork, 0)?;
        Ok(fork)
    }

    /// Makes sure that a sequence has rows of its own for the positions from its last to `len`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where there are none and the pool cannot grow; whoever asks gets it, others go on.
    pub fn reserve(&mut self, resident: &Resident, id: SequenceId, len: u32) -> Result<()> {
        let missing = self.rows.missing(id, len)?;
        if missing == 0 {
            return Ok(());
        }
        let context = resident.context_size as u32;
        if len > context {
            return Err(Error::Misuse(format!(
                "position {} is beyond the context of {context}",
                len - 1
            )));
        }
        let span = len.next_multiple_of(SPAN).min(context);
        let first = match self.rows.extend(id, span)? {
            Some(first) => Some(first),
            None => {
                if self.rows.free_rows() < missing {
                    self.grow(resident, missing)?;
                }
                match self.rows.extend(id, span)? {
                    Some(first) => Some(first),
                    None => self.rows.extend(id, len)?,
                }
            }
        };
        match first {
            Some(first) => self.write_table(resident, id, first),
            None => Err(Error::Bug("the pool did not grow".into())),
        }
    }

    /// Adds `missing` rows at least, half as many again as there are if possible.
    fn grow(&mut self, resident: &Resident, missing: usize) -> Result<()> {
        let gpu = &resident.gpu;
        let now = self.rows.capacity();
        let least = now + missing - self.rows.free_rows();
        let most = sizes::most_cache_rows(gpu, &resident.config, resident.path, self.exact);
        let generous = least.max(now + now / 2).min(most.max(least));
        let mut result = Err(out_of_memory(gpu));
        for capacity in [generous, least] {
            if capacity > most || !self.fits(resident, capacity, self.exact) {
                continue;
            }
            result = gpu.try_allocating(|| layers(resident, capacity, self.exact));
            if result.is_ok() {
                self.rows.grow(capacity);
                break;
            }
        }
        let grown = result?;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        for (old, new) in self.layers.iter().zip(&grown) {
            old.keys.record_copy(&mut encoder, &new.keys);
            old.values.record_copy(&mut encoder, &new.values);
        }
        gpu.queue.submit([encoder.finish()]);
        self.layers = grown;
        self.version += 1;
        Ok(())
    }

    /// Whether so many rows are within the limit, and free memory holds them beside those that are there.
    fn fits(&self, resident: &Resident, capacity: usize, exact: bool) -> bool {
        let bytes = capacity as u64 * sizes::position_bytes(&resident.config, exact);
        let in_limit = resident
            .memory_limit
            .is_none_or(|limit| resident.layout.bytes() + bytes <= limit);
        in_limit && resident.gpu.free_memory().is_none_or(|free| bytes <= free)
    }

    fn make_room_for_slots(&mut self, resident: &Resident, id: SequenceId) -> Result<()> {
        let needed = id.slot as usize + 1;
        if needed <= self.tables.slots {
            return Ok(());
        }
        let gpu = &resident.gpu;
        let slots = needed.next_power_of_two();
        let widest = history_words(resident).max(resident.context_size);
        let bytes = (slots * widest) as u64 * 4;
        let grown = match bytes <= gpu.limits.max_storage_buffer_binding_size {
            true => gpu.try_allocating(|| tables(resident, slots)),
            false => Err(out_of_memory(gpu)),
        };
        let grown = match grown {
            Ok(grown) => grown,
            Err(error) => {
                self.rows.free(id);
                return Err(error);
            }
        };
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        for (old, new) in [
            (&self.tables.rows, &grown.rows),
            (&self.tables.history, &grown.history),
            (&self.tables.chosen, &grown.chosen),
        ] {
            encoder.copy_buffer_to_buffer(old, 0, new, 0, old.size());
        }
        gpu.queue.submit([encoder.finish()]);
        self.tables = grown;
        self.version += 1;
        Ok(())
    }

    /// Tells the device which rows a sequence has from position `first` on.
    fn write_table(&self, resident: &Resident, id: SequenceId, first: u32) -> Result<()> {
        let rows = &self.rows.of(id)?[first as usize..];
        let offset = self.table(resident, id) + first;
        let bytes = bytemuck::cast_slice(rows);
        resident
            .gpu
            .queue
            .write_buffer(&self.tables.rows, u64::from(offset) * 4, bytes);
        Ok(())
    }

    /// Where a sequence's rows begin in the device's table.
    pub fn table(&self, resident: &Resident, id: SequenceId) -> u32 {
        id.slot * resident.context_size as u32
    }

    /// Tells the device which ids a sequence has so far.
    pub fn write_ids(&self, resident: &Resident, id: SequenceId, ids: &[u32]) {
        self.write_set(resident, id, 0, ids);
        let words = sample::id_words(resident.config.vocab_size);
        let ids = &ids[..ids.len().min(resident.context_size)];
        self.write_history(resident, id, 3 * words, ids);
    }

    /// Tells the device which ids cannot follow in a sequence, from the next step on.
    pub fn write_forbidden(&self, resident: &Resident, id: SequenceId, ids: &[u32]) {
        self.write_set(resident, id, 1, ids);
    }

    /// Writes one of a sequence's sets of ids.
    fn write_set(&self, resident: &Resident, id: SequenceId, set: usize, ids: &[u32]) {
        let words = sample::id_words(resident.config.vocab_size);
        let mut bits = vec![0u32; words];
        for id in ids {
            if let Some(word) = bits.get_mut(*id as usize / 32) {
                *word |= 1 << (id % 32);
            }
        }
        self.write_history(resident, id, set * words, &bits);
    }

    fn write_history(&self, resident: &Resident, id: SequenceId, offset: usize, words: &[u32]) {
        let offset = id.slot as usize * history_words(resident) + offset;
        let bytes = bytemuck::cast_slice(words);
        resident
            .gpu
            .queue
            .write_buffer(&self.tables.history, offset as u64 * 4, bytes);
    }

    /// From here on keys and values are f32, for a model whose values are beyond f16. What was computed is lost.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn widen(&mut self, resident: &Resident) -> Result<()> {
        let most = sizes::most_cache_rows(&resident.gpu, &resident.config, resident.path, true);
        let capacity = self.rows.capacity();
        if self.exact {
            self.forget();
            return Ok(());
        }
        if capacity > most || !self.fits(resident, capacity, true) {
            return Err(out_of_memory(&resident.gpu));
        }
        let wide = resident
            .gpu
            .try_allocating(|| layers(resident, capacity, true))?;
        self.layers = wide;
        self.exact = true;
        self.forget();
        Ok(())
    }

    /// Everything that was computed is worth nothing, and launches are bound anew: the plan has changed.
    fn forget(&mut self) {
        self.rows.forget_all();
        self.version += 1;
        self.epoch += 1;
    }
}

fn out_of_memory(gpu: &Gpu) -> Error {
    Error::OutOfMemory {
        adapter: gpu.adapter.name.clone(),
        need: None,
    }
}

fn layers(resident: &Resident, capacity: usize, exact: bool) -> Vec<LayerCache> {
    let config = &resident.config;
    let layer = |kv_heads| {
        let bytes = capacity as u64 * sizes::layer_row_bytes(config, kv_heads, exact);
        let store = |label| Store::new(&resident.gpu, label, bytes, resident.path);
        LayerCache {
            keys: store("keys"),
            values: store("values"),
        }
    };
    let layers = config.layers.iter();
    layers.map(|each| layer(each.kv_heads)).collect()
}

/// Words of a sequence's history.
fn history_words(resident: &Resident) -> usize {
    sample::history_words(resident.config.vocab_size, resident.context_size)
}

fn tables(resident: &Resident, slots: usize) -> Tables {
    let usage =
        wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let buffer = |label, words: usize| {
        resident
            .gpu
            .buffer(label, (slots * words) as u64 * 4, usage)
    };
    Tables {
        rows: buffer("row table", resident.context_size),
        history: buffer("history", history_words(resident)),
        chosen: buffer("chosen", 1),
        slots,
    }
}
