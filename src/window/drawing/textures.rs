//! egui's textures on a device that is drawn on past egui.

use std::collections::{HashMap, HashSet};

use eframe::wgpu;
use egui::TextureOptions;
use egui::epaint::textures::{TextureFilter, TextureWrapMode, TexturesDelta};
use egui::epaint::{ImageData, ImageDelta, TextureId};

/// Textures as egui tells of them: letters, and pictures that it was given.
pub struct Textures {
    pub layout: wgpu::BindGroupLayout,
    pub all: HashMap<TextureId, (wgpu::Texture, wgpu::BindGroup)>,
    /// Of frames that were made and not drawn yet.
    pub coming: TexturesDelta,
}

impl Drop for Textures {
    /// What never was drawn is not needed; egui takes it for a mistake unless it is told so.
    fn drop(&mut self) {
        self.coming.clear();
    }
}

impl Textures {
    pub fn new(device: &wgpu::Device) -> Self {
        let fragment = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::FRAGMENT,
            ty,
            count: None,
        };
        let image = wgpu::BindingType::Texture {
            multisampled: false,
            sample_type: wgpu::TextureSampleType::Float { filterable: true },
            view_dimension: wgpu::TextureViewDimension::D2,
        };
        let filtering = wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering);
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("texture"),
            entries: &[fragment(0, image), fragment(1, filtering)],
        });
        Self {
            layout,
            all: HashMap::new(),
            coming: TexturesDelta::default(),
        }
    }

    /// Takes in what has come, and tells which are to go once this frame is made.
    pub fn update(&mut self, device: &wgpu::Device, queue: &wgpu::Queue) -> HashSet<TextureId> {
        let mut coming = std::mem::take(&mut self.coming);
        for (id, deltas) in coming.set.drain() {
            for delta in &deltas {
                self.set(device, queue, id, delta);
            }
        }
        coming.free.drain().collect()
    }

    fn set(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        id: TextureId,
        delta: &ImageDelta,
    ) {
        let ImageData::Color(image) = &delta.image;
        let [width, height] = image.size.map(|pixels| pixels as u32);
        let size = wgpu::Extent3d {
            width,
            height,
            depth_or_array_layers: 1,
        };
        if delta.is_whole() {
            let texture = device.create_texture(&wgpu::TextureDescriptor {
                label: Some("texture"),
                size,
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: wgpu::TextureFormat::Rgba8Unorm,
                usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
                view_formats: &[],
            });
            let bound = self.bind(device, &texture, delta.options);
            self.all.insert(id, (texture, bound));
        }
        let Some((texture, _)) = self.all.get(&id) else {
            return;
        };
        let [x, y] = delta.pos.unwrap_or_default().map(|pixels| pixels as u32);
        queue.write_texture(
            wgpu::TexelCopyTextureInfo {
                texture,
                mip_level: 0,
                origin: wgpu::Origin3d { x, y, z: 0 },
                aspect: wgpu::TextureAspect::All,
            },
            bytemuck::cast_slice(&image.pixels),
            wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(4 * width),
                rows_per_image: None,
            },
            size,
        );
    }

    fn bind(
        &self,
        device: &wgpu::Device,
        texture: &wgpu::Texture,
        options: TextureOptions,
    ) -> wgpu::BindGroup {
        let filter = |filter| match filter {
            TextureFilter::Nearest => wgpu::FilterMode::Nearest,
            TextureFilter::Linear => wgpu::FilterMode::Linear,
        };
        let address = match options.wrap_mode {
            TextureWrapMode::ClampToEdge => wgpu::AddressMode::ClampToEdge,
            TextureWrapMode::Repeat => wgpu::AddressMode::Repeat,
            TextureWrapMode::MirroredRepeat => wgpu::AddressMode::MirrorRepeat,
        };
        let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
            mag_filter: filter(options.magnification),
            min_filter: filter(options.minification),
            address_mode_u: address,
            address_mode_v: address,
            ..Default::default()
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("texture"),
            layout: &self.layout,
            entries: &[
                wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::TextureView(&view),
                },
                wgpu::BindGroupEntry {
                    binding: 1,
                    resource: wgpu::BindingResource::Sampler(&sampler),
                },
            ],
        })
    }
}
