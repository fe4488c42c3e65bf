//! Draws egui's frames where a program does the work of a GPU.
//!
//! The shader of `egui_wgpu` chooses between two ways to read a texture, and whether to dither, by branches. Mesa 22's llvmpipe, which Debian 12 has, computes
//! both sides of a branch: four fifths of a frame's time. What egui has to draw is therefore taken from its output, and drawn as one callback by a
//! shader without branches.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytemuck::{Pod, Zeroable};
use eframe::egui_wgpu::{self, CallbackResources, CallbackTrait, RenderState, ScreenDescriptor};
use eframe::wgpu;
use eframe::wgpu::util::DeviceExt;
use egui::epaint::{ClippedPrimitive, ClippedShape, Primitive};
use egui::{FullOutput, PaintCallbackInfo, Rect, Shape};

use super::textures::Textures;

/// A vertex as `software.wgsl` reads it.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Corner {
    /// Of the frame: -1 to 1, upwards.
    position: [f32; 2],
    uv: [f32; 2],
    /// With alpha multiplied in, in gamma space.
    color: [u8; 4],
}

/// What frames are drawn with.
struct Shared {
    pipeline: wgpu::RenderPipeline,
    textures: Mutex<Textures>,
}

/// Draws in egui's place: [`egui::Context::add_plugin`], before the first frame.
pub struct SoftwarePainter(Arc<Shared>);

impl SoftwarePainter {
    /// None where a frame is in linear space, which egui asks for only where there is nothing else.
    pub fn new(state: &RenderState) -> Option<Self> {
        if state.target_format.is_srgb() {
            return None;
        }
        let textures = Textures::new(&state.device);
        Some(Self(Arc::new(Shared {
            pipeline: pipeline(&state.device, &textures.layout, state.target_format),
            textures: Mutex::new(textures),
        })))
    }
}

impl egui::Plugin for SoftwarePainter {
    fn debug_name(&self) -> &'static str {
        "software painter"
    }

    fn output_hook(&mut self, context: &egui::Context, output: &mut FullOutput) {
        let mut textures = self
            .0
            .textures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        textures
            .coming
            .append(std::mem::take(&mut output.textures_delta));
        drop(textures);
        let shapes = std::mem::take(&mut output.shapes);
        let primitives = context.tessellate(shapes, output.pixels_per_point);
        let frame = Frame {
            shared: Arc::clone(&self.0),
            primitives,
            uploaded: OnceLock::new(),
        };
        let all = context.viewport_rect();
        let callback = egui_wgpu::Callback::new_paint_callback(all, frame);
        output.shapes = vec![ClippedShape::new(all, Shape::Callback(callback))];
    }
}

/// Triangles of a frame, and where they are on the device.
struct Frame {
    shared: Arc<Shared>,
    primitives: Vec<ClippedPrimitive>,
    uploaded: OnceLock<Uploaded>,
}

struct Uploaded {
    corners: wgpu::Buffer,
    indices: wgpu::Buffer,
    meshes: Vec<Mesh>,
}

/// Some of the triangles: those with one texture that are cut off at one rectangle.
struct Mesh {
    texture: wgpu::BindGroup,
    /// Left, top, width and height in pixels.
    scissor: [u32; 4],
    indices: std::ops::Range<u32>,
    first_corner: i32,
}

impl CallbackTrait for Frame {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        screen: &ScreenDescriptor,
        _: &mut wgpu::CommandEncoder,
        _: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        let mut textures = self
            .shared
            .textures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let gone = textures.update(device, queue);
        let mut corners: Vec<Corner> = Vec::new();
        let mut indices: Vec<u32> = Vec::new();
        let mut meshes = Vec::new();
        let [width, height] = screen.size_in_pixels.map(|pixels| pixels as f32);
        let x = 2.0 * screen.pixels_per_point / width;
        let y = 2.0 * screen.pixels_per_point / height;
        for ClippedPrimitive {
            clip_rect,
            primitive,
        } in &self.primitives
        {
            let scissor = scissor(clip_rect, screen);
            let Primitive::Mesh(mesh) = primitive else {
                continue;
            };
            if scissor[2] == 0 || scissor[3] == 0 || mesh.indices.is_empty() {
                continue;
            }
            let Some((_, texture)) = textures.all.get(&mesh.texture_id) else {
                continue;
            };
            let first = indices.len() as u32;
            meshes.push(Mesh {
                texture: texture.clone(),
                scissor,
                indices: first..first + mesh.indices.len() as u32,
                first_corner: corners.len() as i32,
            });
            indices.extend_from_slice(&mesh.indices);
            corners.extend(mesh.vertices.iter().map(|vertex| Corner {
                position: [vertex.pos.x * x - 1.0, 1.0 - vertex.pos.y * y],
                uv: vertex.uv.into(),
                color: vertex.color.to_array(),
            }));
        }
        textures.all.retain(|id, _| !gone.contains(id));
        if !meshes.is_empty() {
            let upload = |contents: &[u8], usage| {
                device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                    label: Some("frame"),
                    contents,
                    usage,
                })
            };
            let uploaded = Uploaded {
                corners: upload(bytemuck::cast_slice(&corners), wgpu::BufferUsages::VERTEX),
                indices: upload(bytemuck::cast_slice(&indices), wgpu::BufferUsages::INDEX),
                meshes,
            };
            let _ = self.uploaded.set(uploaded);
        }
        Vec::new()
    }

    fn paint(
        &self,
        info: PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        _: &CallbackResources,
    ) {
        let Some(uploaded) = self.uploaded.get() else {
            return;
        };
        let [width, height] = info.screen_size_px.map(|pixels| pixels as f32);
        pass.set_viewport(0.0, 0.0, width, height, 0.0, 1.0);
        pass.set_pipeline(&self.shared.pipeline);
        pass.set_vertex_buffer(0, uploaded.corners.slice(..));
        pass.set_index_buffer(uploaded.indices.slice(..), wgpu::IndexFormat::Uint32);
        for mesh in &uploaded.meshes {
            let [left, top, width, height] = mesh.scissor;
            pass.set_scissor_rect(left, top, width, height);
            pass.set_bind_group(0, &mesh.texture, &[]);
            pass.draw_indexed(mesh.indices.clone(), mesh.first_corner, 0..1);
        }
    }
}

/// Left, top, width and height of a rectangle in points, in pixels of the frame.
fn scissor(clip: &Rect, screen: &ScreenDescriptor) -> [u32; 4] {
    let [width, height] = screen.size_in_pixels;
    let pixel = |points: f32, from: u32, to: u32| {
        ((points * screen.pixels_per_point).round() as u32).clamp(from, to)
    };
    let left = pixel(clip.min.x, 0, width);
    let top = pixel(clip.min.y, 0, height);
    let right = pixel(clip.max.x, left, width);
    let bottom = pixel(clip.max.y, top, height);
    [left, top, right - left, bottom - top]
}

fn pipeline(
    device: &wgpu::Device,
    textures: &wgpu::BindGroupLayout,
    format: wgpu::TextureFormat,
) -> wgpu::RenderPipeline {
    let shader = device.create_shader_module(wgpu::include_wgsl!("software.wgsl"));
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("frame"),
        bind_group_layouts: &[Some(textures)],
        immediate_size: 0,
    });
    let over = |src_factor, dst_factor| wgpu::BlendComponent {
        src_factor,
        dst_factor,
        operation: wgpu::BlendOperation::Add,
    };
    use wgpu::BlendFactor::{One, OneMinusDstAlpha, OneMinusSrcAlpha};
    let blend = wgpu::BlendState {
        color: over(One, OneMinusSrcAlpha),
        alpha: over(OneMinusDstAlpha, One),
    };
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("frame"),
        layout: Some(&layout),
        vertex: wgpu::VertexState {
            module: &shader,
            entry_point: Some("corner"),
            buffers: &[Some(wgpu::VertexBufferLayout {
                array_stride: size_of::<Corner>() as u64,
                step_mode: wgpu::VertexStepMode::Vertex,
                attributes: &wgpu::vertex_attr_array![0 => Float32x2, 1 => Float32x2, 2 => Unorm8x4],
            })],
            compilation_options: wgpu::PipelineCompilationOptions::default(),
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &shader,
            entry_point: Some("pixel"),
            targets: &[Some(wgpu::ColorTargetState {
                format,
                blend: Some(blend),
                write_mask: wgpu::ColorWrites::ALL,
            })],
            compilation_options: wgpu::PipelineCompilationOptions::default(),
        }),
        multiview_mask: None,
        cache: None,
    })
}

#[cfg(test)]
mod tests {
    use eframe::egui_wgpu::RendererOptions;
    use egui::{Color32, ColorImage, TextureHandle, TextureOptions, pos2, vec2};
    use egui_kittest::Harness;
    use egui_kittest::wgpu::{WgpuTestRenderer, create_render_state, default_wgpu_setup};

    use super::*;

    /// Pixels of five frames: letters old and new, edges, what is cut off, and a picture that comes, changes in part and goes.
    fn frames(ours: bool) -> Vec<Vec<u8>> {
        let options = RendererOptions {
            dithering: false,
            ..Default::default()
        };
        let state = create_render_state(default_wgpu_setup(), options);
        let painter = ours.then(|| SoftwarePainter::new(&state).expect("a frame in gamma space"));
        let mut at = 0;
        let mut picture: Option<TextureHandle> = None;
        let scene = move |ui: &mut egui::Ui| {
            ui.label(["An early morning", "of “quite” other letters"][at % 2]);
            let _ = ui.button("Continue");
            let painter = ui.painter();
            painter.circle_filled(pos2(150.0, 60.0), 20.3, Color32::from_rgb(200, 90, 20));
            let some = Rect::from_min_size(pos2(20.4, 70.6), vec2(60.0, 20.0));
            let below = Color32::from_rgba_unmultiplied(20, 200, 90, 100);
            painter
                .with_clip_rect(some)
                .rect_filled(some.translate(vec2(10.0, 5.0)), 6.0, below);
            let outside = Rect::from_min_size(pos2(500.0, 500.0), vec2(9.0, 9.0));
            painter
                .with_clip_rect(outside)
                .rect_filled(outside, 0.0, below);
            let tile = ColorImage::filled([2, 2], Color32::LIGHT_BLUE);
            match at {
                1 => picture = Some(ui.load_texture("tile", tile, TextureOptions::NEAREST_REPEAT)),
                2 => picture.as_mut().into_iter().for_each(|picture| {
                    let dot = ColorImage::filled([1, 1], Color32::DARK_RED);
                    picture.set_partial([1, 0], dot, TextureOptions::NEAREST_REPEAT);
                }),
                4 => picture = None,
                _ => {}
            }
            if let Some(picture) = &picture {
                let twice = Rect::from_min_max(pos2(0.0, 0.0), pos2(2.0, 2.0));
                let place = Rect::from_min_size(pos2(100.0, 90.0), vec2(24.0, 24.0));
                painter.image(picture.id(), place, twice, Color32::WHITE);
            }
            at += 1;
        };
        let mut harness = Harness::builder()
            .with_size(vec2(180.0, 120.0))
            .with_pixels_per_point(1.5)
            .renderer(WgpuTestRenderer::from_render_state(state))
            .with_context_setup(move |context| {
                if let Some(painter) = painter {
                    context.add_plugin(painter);
                }
            })
            .build_ui(scene);
        let frame = |_| {
            let frame = harness.render().unwrap().into_raw();
            harness.step();
            frame
        };
        (0..5).map(frame).collect()
    }

    #[test]
    fn frames_are_as_egui_draws_them() {
        let (ours, theirs) = (frames(true), frames(false));
        for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            let farthest = ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(farthest.unwrap() <= 1, "frame {at}: {farthest:?} apart");
        }
        assert!(theirs.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
