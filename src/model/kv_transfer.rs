//! A sequence's keys and values to the host and back, in pieces: layer by layer, keys before values, by position.

use std::ops::Range;

use super::kv_pool::KvPool;
use super::network::Network;
use super::resident::Resident;
use super::rows::SequenceId;
use super::sizes;
use super::store::Store;
use crate::error::{Error, Result};
use crate::gpu::memory::STAGING_BYTES;
use crate::gpu::{Readback, Uploader};

/// Bytes of a piece at most: what the host holds at a time.
const PIECE_BYTES: u64 = 1 << 20;
const _: () = assert!(PIECE_BYTES <= STAGING_BYTES);

/// Some positions of a layer's keys, or of its values.
struct Piece {
    layer: usize,
    is_values: bool,
    positions: Range<usize>,
    row_bytes: u64,
}

impl Piece {
    fn bytes(&self) -> u64 {
        self.positions.len() as u64 * self.row_bytes
    }

    fn store<'a>(&self, pool: &'a KvPool) -> &'a Store {
        let layer = &pool.layers[self.layer];
        match self.is_values {
            true => &layer.values,
            false => &layer.keys,
        }
    }

    /// The bytes of the store that the piece is, in order; each with those before it.
    fn spans(&self, pool: &KvPool, id: SequenceId) -> Result<Vec<(u64, Range<u64>)>> {
        let rows = pool.rows().of(id)?.get(self.positions.clone());
        let rows = rows.ok_or_else(|| Error::Bug("positions without rows".into()))?;
        let mut at = 0;
        let spans = rows.chunk_by(|row, next| row + 1 == *next).map(|span| {
            let first = u64::from(span[0]) * self.row_bytes;
            let bytes = span.len() as u64 * self.row_bytes;
            at += bytes;
            (at - bytes, first..first + bytes)
        });
        Ok(spans.collect())
    }
}

/// All pieces of the first `count` positions.
fn pieces(resident: &Resident, exact: bool, count: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (layer, config) in resident.config.layers.iter().enumerate() {
        let row_bytes = sizes::layer_row_bytes(&resident.config, config.kv_heads, exact);
        let most = (PIECE_BYTES / row_bytes).max(1) as usize;
        for is_values in [false, true] {
            pieces.extend((0..count).step_by(most).map(|first| Piece {
                layer,
                is_values,
                positions: first..count.min(first + most),
                row_bytes,
            }));
        }
    }
    pieces
}

/// The pieces of a sequence that was filled in `epoch`; `None` where that is over.
fn pieces_of(network: &Network, epoch: u64, count: usize) -> Option<Vec<Piece>> {
    network.with_pool(|resident, pool| {
        (pool.epoch == epoch).then(|| pieces(resident, pool.exact, count))
    })
}

/// Hands the first `count` positions of a sequence to `take`. False where they were lost meanwhile, as [`Network::epoch`] tells.
///
/// # Errors
/// Those of `take` and of the device; [`Error::Misuse`] for positions that the sequence does not have.
pub fn read(
    network: &Network,
    id: SequenceId,
    epoch: u64,
    count: usize,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<bool> {
    let Some(pieces) = pieces_of(network, epoch, count) else {
        return Ok(false);
    };
    let gpu = network.gpu();
    let largest = pieces.iter().map(Piece::bytes).max().unwrap_or(0);
    let readback = gpu.try_allocating(|| Readback::new(gpu, largest))?;
    for piece in pieces {
        let submitted = network.with_pool(|_, pool| -> Result<_> {
            if pool.epoch != epoch {
                return Ok(None);
            }
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            let source = piece.store(pool).target();
            for (at, bytes) in piece.spans(pool, id)? {
                source.record_read(&mut encoder, bytes, readback.buffer(), at);
            }
            Ok(Some(gpu.queue.submit([encoder.finish()])))
        })?;
        let Some(submission) = submitted else {
            return Ok(false);
        };
        let words = piece.bytes() as usize / 4;
        readback.read(gpu, submission, words, |words| {
            take(bytemuck::cast_slice(words))
        })??;
    }
    Ok(true)
}

/// Fills the first `count` positions of a sequence, for which it has rows, with what `fill` writes, in the order of [`read`], and notes them
/// as computed. False where the rows were lost meanwhile.
///
/// # Errors
/// Those of `fill` and of the device; [`Error::Misuse`] for positions that the sequence has no rows for.
pub fn write(
    network: &Network,
    id: SequenceId,
    epoch: u64,
    count: usize,
    mut fill: impl FnMut(&mut [u8]) -> Result<()>,
) -> Result<bool> {
    let Some(pieces) = pieces_of(network, epoch, count) else {
        return Ok(false);
    };
    let gpu = network.gpu();
    let mut uploader = gpu.try_allocating(|| Uploader::new(gpu))?;
    let mut bytes = Vec::new();
    for piece in pieces {
        bytes.resize(piece.bytes() as usize, 0);
        fill(&mut bytes)?;
        let staging = uploader.stage(piece.bytes(), |mut view| {
            view.copy_from_slice(&bytes);
            Ok(())
        })?;
        // Recorded and submitted under one lock: were the pool to grow in between, what is written would be lost.
        let submitted = network.with_pool(|_, pool| -> Result<_> {
            if pool.epoch != epoch {
                return Ok(None);
            }
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            let target = piece.store(pool).target();
            for (at, bytes) in piece.spans(pool, id)? {
                target.record_write(&mut encoder, bytes, &staging, at);
            }
            Ok(Some(gpu.queue.submit([encoder.finish()])))
        })?;
        match submitted {
            Some(submission) => uploader.sent(submission),
            None => return Ok(false),
        }
    }
    gpu.check()?;
    network.with_pool(|_, pool| match pool.epoch == epoch {
        true => pool.rows_mut().note(id, count as u32, false).map(|()| true),
        false => Ok(false),
    })
}
