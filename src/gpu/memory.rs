//! Buffers and textures, and the two ways across: staged uploads and mapped read-backs.

use std::ops::Range;

use super::arrival::{Arrival, Notice};
use super::device::Gpu;
use crate::error::{Error, Result};
use crate::threads::{self, block_on};

/// Bytes of one staging buffer. Two exist at a time, so uploads hold at most twice this on the host.
pub const STAGING_BYTES: u64 = 8 << 20;

/// Texels in a row of a weight texture: a power of two that every WebGPU adapter allows.
pub const TEXTURE_WIDTH: u32 = 8192;

/// Bytes of one texel (rgba32uint).
pub const TEXEL_BYTES: u64 = 16;

impl Gpu {
    /// A buffer, zeroed. Out of memory shows up at the next [`Gpu::check`].
    pub(crate) fn buffer(
        &self,
        label: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> wgpu::Buffer {
        self.count_object();
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes.next_multiple_of(16).max(16),
            usage,
            mapped_at_creation: false,
        })
    }

    /// A texture of `texels` rgba32uint texels, in rows of [`TEXTURE_WIDTH`].
    pub(crate) fn texel_store(&self, label: &str, texels: u64) -> wgpu::Texture {
        self.count_object();
        let rows = texels.div_ceil(u64::from(TEXTURE_WIDTH)).max(1);
        self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: wgpu::Extent3d {
                width: TEXTURE_WIDTH,
                height: u32::try_from(rows).unwrap_or(u32::MAX),
                depth_or_array_layers: 1,
            },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba32Uint,
            usage: wgpu::TextureUsages::STORAGE_BINDING
                | wgpu::TextureUsages::COPY_DST
                | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        })
    }

    /// The most bytes that [`Gpu::texel_store`] can hold here; 0 where shaders cannot use such textures.
    pub(crate) fn max_texel_store_bytes(&self) -> u64 {
        if !self.has_texel_stores || self.limits.max_texture_dimension_2d < TEXTURE_WIDTH {
            return 0;
        }
        let rows = u64::from(self.limits.max_texture_dimension_2d);
        // Software drivers refuse images of 2 GiB and more.
        (rows * u64::from(TEXTURE_WIDTH) * TEXEL_BYTES).min(1 << 30)
    }
}

/// Where an upload goes.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    Buffer(&'a wgpu::Buffer),
    /// Rows of [`TEXTURE_WIDTH`] texels; chunks begin at row starts.
    Texture(&'a wgpu::Texture),
}

/// Streams bytes to the device through two staging buffers that take turns.
pub struct Uploader<'a> {
    gpu: &'a Gpu,
    staging: [wgpu::Buffer; 2],
    in_flight: [Option<wgpu::SubmissionIndex>; 2],
    turn: usize,
}

impl<'a> Uploader<'a> {
    pub fn new(gpu: &'a Gpu) -> Self {
        Self {
            gpu,
            staging: [staging(gpu), staging(gpu)],
            in_flight: [None, None],
            turn: 0,
        }
    }

    /// Sends `bytes` bytes to `target`, asking `fill(offset, view)` for each piece in order. `offset` counts from the start of
    /// the target; every piece but the last is a multiple of one texture row.
    ///
    /// # Errors
    /// What `fill` returns, and [`Gpu::check`].
    pub fn send(
        &mut self,
        target: Target<'_>,
        bytes: u64,
        mut fill: impl FnMut(u64, wgpu::WriteOnly<'_, [u8]>) -> Result<()>,
    ) -> Result<()> {
        let mut offset = 0;
        while offset < bytes {
            let size = (bytes - offset).min(STAGING_BYTES);
            let staging = self.stage(size, |view| fill(offset, view))?;
            let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
            target.record_write(&mut encoder, offset..offset + size, &staging, 0);
            self.sent(self.gpu.queue.submit([encoder.finish()]));
            offset += size;
        }
        self.gpu.check()
    }

    /// A staging buffer whose first `size` bytes, [`STAGING_BYTES`] at most, are what `fill` writes. The caller submits what copies from it
    /// and says so with [`Uploader::sent`].
    ///
    /// # Errors
    /// What `fill` returns, and those of the device.
    pub fn stage(
        &mut self,
        size: u64,
        fill: impl FnOnce(wgpu::WriteOnly<'_, [u8]>) -> Result<()>,
    ) -> Result<wgpu::Buffer> {
        let staging = self.next_staging()?.clone();
        {
            let mut view = staging.get_mapped_range_mut(0..size).map_err(|error| {
                self.gpu
                    .cause_of(Error::Gpu(format!("staging buffer not mapped: {error}")))
            })?;
            fill(view.slice(..))?;
        }
        staging.unmap();
        Ok(staging)
    }

    /// Notes which submission copies from what was staged last.
    pub fn sent(&mut self, submission: wgpu::SubmissionIndex) {
        self.in_flight[self.turn] = Some(submission);
    }

    /// The other staging buffer, mapped again once its last copy is done.
    fn next_staging(&mut self) -> Result<&wgpu::Buffer> {
        self.turn = 1 - self.turn;
        let next = &mut self.staging[self.turn];
        match self.in_flight[self.turn].take() {
            // There the old one would be mapped only after the task that uploads has ended.
            Some(_) if !threads::EXIST => *next = staging(self.gpu),
            Some(copy) => {
                let mode = wgpu::MapMode::Write;
                let mapping = Notice::of_mapping(next, mode, next.size(), copy);
                block_on(mapping.arrived(self.gpu))??;
            }
            None => {}
        }
        Ok(next)
    }
}

fn staging(gpu: &Gpu) -> wgpu::Buffer {
    gpu.count_object();
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("upload staging"),
        size: STAGING_BYTES,
        usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: true,
    })
}

impl Target<'_> {
    /// Records a copy of what `source` has from byte `from` on to `bytes` of this. A texture's bytes are whole texels.
    pub fn record_write(
        self,
        encoder: &mut wgpu::CommandEncoder,
        bytes: Range<u64>,
        source: &wgpu::Buffer,
        from: u64,
    ) {
        match self {
            Self::Buffer(buffer) => {
                let padded =
                    (bytes.end - bytes.start).next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
                encoder.copy_buffer_to_buffer(source, from, buffer, bytes.start, padded);
            }
            Self::Texture(texture) => rectangles(bytes, |at, origin, size| {
                let (part, place) = (in_buffer(source, from + at), in_texture(texture, origin));
                encoder.copy_buffer_to_texture(part, place, size);
            }),
        }
    }

    /// Records a copy of `bytes` of this to where byte `to` of `destination` is.
    pub fn record_read(
        self,
        encoder: &mut wgpu::CommandEncoder,
        bytes: Range<u64>,
        destination: &wgpu::Buffer,
        to: u64,
    ) {
        match self {
            Self::Buffer(buffer) => {
                let size = bytes.end - bytes.start;
                encoder.copy_buffer_to_buffer(buffer, bytes.start, destination, to, size);
            }
            Self::Texture(texture) => rectangles(bytes, |at, origin, size| {
                let (place, part) = (in_texture(texture, origin), in_buffer(destination, to + at));
                encoder.copy_texture_to_buffer(place, part, size);
            }),
        }
    }
}

/// The rectangles of a texel store that `bytes` are, in order: the end of a row, whole rows, the beginning of one. Each is handed out with
/// the bytes before it.
fn rectangles(bytes: Range<u64>, mut take: impl FnMut(u64, wgpu::Origin3d, wgpu::Extent3d)) {
    let row = u64::from(TEXTURE_WIDTH);
    let (first, end) = (bytes.start / TEXEL_BYTES, bytes.end / TEXEL_BYTES);
    let mut at = first;
    while at < end {
        let (x, left) = (at % row, end - at);
        let (width, height) = match x == 0 && left >= row {
            true => (row, left / row),
            false => (left.min(row - x), 1),
        };
        let origin = wgpu::Origin3d {
            x: x as u32,
            y: (at / row) as u32,
            z: 0,
        };
        let size = wgpu::Extent3d {
            width: width as u32,
            height: height as u32,
            depth_or_array_layers: 1,
        };
        take((at - first) * TEXEL_BYTES, origin, size);
        at += width * height;
    }
}

fn in_buffer(buffer: &wgpu::Buffer, offset: u64) -> wgpu::TexelCopyBufferInfo<'_> {
    wgpu::TexelCopyBufferInfo {
        buffer,
        layout: wgpu::TexelCopyBufferLayout {
            offset,
            bytes_per_row: Some(TEXTURE_WIDTH * TEXEL_BYTES as u32),
            rows_per_image: None,
        },
    }
}

fn in_texture(texture: &wgpu::Texture, origin: wgpu::Origin3d) -> wgpu::TexelCopyTextureInfo<'_> {
    wgpu::TexelCopyTextureInfo {
        texture,
        mip_level: 0,
        origin,
        aspect: wgpu::TextureAspect::All,
    }
}

/// A buffer on the host side that results are copied into.
pub struct Readback {
    buffer: wgpu::Buffer,
}

impl Readback {
    pub fn new(gpu: &Gpu, bytes: u64) -> Self {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        Self {
            buffer: gpu.buffer("readback", bytes, usage),
        }
    }

    /// Records the copy of the first `bytes` bytes of `source`.
    #[cfg(test)]
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder, source: &wgpu::Buffer, bytes: u64) {
        encoder.copy_buffer_to_buffer(source, 0, &self.buffer, 0, bytes);
    }

    /// Records the copy of the first `bytes` bytes of `source` to the place that begins at byte `to`.
    pub fn record_at(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        source: &wgpu::Buffer,
        bytes: u64,
        to: u64,
    ) {
        encoder.copy_buffer_to_buffer(source, 0, &self.buffer, to, bytes);
    }

    pub fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Asks for the first `bytes` bytes, which `submission` copies there. Nothing may be copied there before they have been read or dropped.
    pub fn request(&self, bytes: u64, submission: wgpu::SubmissionIndex) -> Arrival {
        Arrival::new(&self.buffer, bytes, submission)
    }

    /// Waits for `submission`, then hands the buffer's first `count` floats to `read`.
    ///
    /// # Errors
    /// As [`Gpu::wait`].
    pub fn read<T>(
        &self,
        gpu: &Gpu,
        submission: wgpu::SubmissionIndex,
        count: usize,
        read: impl FnOnce(&[f32]) -> T,
    ) -> Result<T> {
        let arrival = self.request(count as u64 * 4, submission);
        arrival.read(gpu, |bytes| read(bytemuck::cast_slice(bytes)))
    }
}
