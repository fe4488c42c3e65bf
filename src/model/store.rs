//! Large memory in whichever form a compute path reads best.

use super::pack::UNIT;
use crate::gpu::Gpu;
use crate::gpu::memory::Target;
use crate::kernels::ComputePath;

/// 16-byte units in a buffer or in a texture.
pub enum Store {
    Buffer(wgpu::Buffer),
    Texture(wgpu::Texture, wgpu::TextureView),
}

impl Store {
    /// Room for `bytes` bytes. Out of memory shows up at the next [`Gpu::check`].
    pub fn new(gpu: &Gpu, label: &str, bytes: u64, path: ComputePath) -> Self {
        match path {
            ComputePath::Gpu => {
                let usage = wgpu::BufferUsages::STORAGE
                    | wgpu::BufferUsages::COPY_DST
                    | wgpu::BufferUsages::COPY_SRC;
                Self::Buffer(gpu.buffer(label, bytes, usage))
            }
            ComputePath::Software => {
                let texture = gpu.texel_store(label, bytes.div_ceil(UNIT as u64));
                let view = texture.create_view(&Default::default());
                Self::Texture(texture, view)
            }
        }
    }

    pub fn binding(&self) -> wgpu::BindingResource<'_> {
        match self {
            Self::Buffer(buffer) => buffer.as_entire_binding(),
            Self::Texture(_, view) => wgpu::BindingResource::TextureView(view),
        }
    }

    pub fn target(&self) -> Target<'_> {
        match self {
            Self::Buffer(buffer) => Target::Buffer(buffer),
            Self::Texture(texture, _) => Target::Texture(texture),
        }
    }

    /// Records a copy of all that is here to the beginning of `to`, which is as large or larger and of the same kind.
    pub fn record_copy(&self, encoder: &mut wgpu::CommandEncoder, to: &Self) {
        match (self, to) {
            (Self::Buffer(from), Self::Buffer(to)) => {
                encoder.copy_buffer_to_buffer(from, 0, to, 0, from.size());
            }
            (Self::Texture(from, _), Self::Texture(to, _)) => {
                encoder.copy_texture_to_texture(
                    from.as_image_copy(),
                    to.as_image_copy(),
                    from.size(),
                );
            }
            _ => {}
        }
    }
}
