//! Compute pipelines from shader files and an explicit list of bindings.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use super::device::Gpu;
use super::pipeline_cache::PipelineCache;
use super::shader::{self, Variant};
use crate::error::{Error, Result};
use crate::threads;

/// What one `@binding` of group 0 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingKind {
    /// `var<uniform>`.
    Uniform,
    /// `var<uniform>` of which each dispatch sees another window, by dynamic offset.
    UniformWindow,
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    Write,
    /// `var<storage, read_write>` of which each dispatch sees another window, by dynamic offset.
    WriteWindow,
    /// `texture_storage_2d<rgba32uint, read>`.
    Texture,
    /// `texture_storage_2d<rgba32uint, write>`.
    TextureWrite,
}

impl BindingKind {
    fn layout(self) -> wgpu::BindingType {
        let buffer = |ty, has_dynamic_offset| wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset,
            min_binding_size: None,
        };
        let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
        let texture = |access| wgpu::BindingType::StorageTexture {
            access,
            format: wgpu::TextureFormat::Rgba32Uint,
            view_dimension: wgpu::TextureViewDimension::D2,
        };
        match self {
            Self::Uniform => buffer(wgpu::BufferBindingType::Uniform, false),
            Self::UniformWindow => buffer(wgpu::BufferBindingType::Uniform, true),
            Self::Read => buffer(storage(true), false),
            Self::Write => buffer(storage(false), false),
            Self::WriteWindow => buffer(storage(false), true),
            Self::Texture => texture(wgpu::StorageTextureAccess::ReadOnly),
            Self::TextureWrite => texture(wgpu::StorageTextureAccess::WriteOnly),
        }
    }
}

/// A shader variant with the bindings of its group 0, in order: binding `i` is `bindings[i]`.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelSpec {
    pub variant: Variant,
    /// Values of the shader's `override`s, where they are not to have their defaults.
    pub constants: Vec<(&'static str, f64)>,
    pub bindings: Vec<BindingKind>,
}

/// A compiled kernel.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    pub label: &'static str,
}

impl Pipeline {
    /// Binds `resources` to group 0, in the order of the kernel's bindings.
    pub fn bind(&self, gpu: &Gpu, resources: &[wgpu::BindingResource<'_>]) -> wgpu::BindGroup {
        gpu.count_object();
        let entries: Vec<_> = (0..)
            .zip(resources)
            .map(|(binding, resource)| wgpu::BindGroupEntry {
                binding,
                resource: resource.clone(),
            })
            .collect();
        gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(self.label),
            layout: &self.layout,
            entries: &entries,
        })
    }
}

/// A window of `size` bytes into `buffer`, from `offset`.
pub fn window(buffer: &wgpu::Buffer, offset: u64, size: u64) -> wgpu::BindingResource<'_> {
    wgpu::BindingResource::Buffer(wgpu::BufferBinding {
        buffer,
        offset,
        size: NonZeroU64::new(size),
    })
}

impl Gpu {
    /// From now on compiled kernels are taken from a file in `folder`, where the driver can do that. `kernels` is a number that changes
    /// with the shaders.
    pub(crate) fn open_pipeline_cache(&mut self, folder: &Path, kernels: u128) {
        if self.pipeline_cache.is_none() {
            let info = self.device.adapter_info();
            let cache = PipelineCache::open(&self.device, &info, folder, kernels);
            self.pipeline_cache = cache.map(Arc::new);
        }
    }

    /// Writes what has been compiled to that file.
    pub(crate) fn keep_pipeline_cache(&self) {
        if let Some(cache) = &self.pipeline_cache {
            cache.keep();
        }
    }

    /// Compiles kernels, several at a time: drivers take tens of milliseconds for each.
    ///
    /// # Errors
    /// [`Error::Shader`] with the file and line that the compiler refused.
    pub(crate) fn compile(
        &self,
        files: &'static [(&'static str, &'static str)],
        specs: &[KernelSpec],
    ) -> Result<Vec<Pipeline>> {
        let threads = std::thread::available_parallelism().map_or(2, |n| n.get());
        let share = specs.len().div_ceil(threads).max(1);
        let compiled = threads::each(specs.chunks(share), |part| {
            let compiled = part.iter().map(|spec| self.compile_one(files, spec));
            compiled.collect::<Result<Vec<Pipeline>>>()
        });
        let mut pipelines = Vec::with_capacity(specs.len());
        for part in compiled {
            let part = part.map_err(|_| Error::Gpu("a shader compiler panicked".into()))?;
            pipelines.extend(part?);
        }
        Ok(pipelines)
    }

    /// A variant with other files in the slots whose files this driver does not compute as it should.
    fn stood_in(&self, variant: &Variant) -> Variant {
        let mut variant = variant.clone();
        for (_, file) in &mut variant.slots {
            if let Some((_, other)) = self.stand_ins.iter().find(|(bad, _)| bad == file) {
                *file = other;
            }
        }
        variant
    }

    fn compile_one(
        &self,
        files: &[(&'static str, &'static str)],
        spec: &KernelSpec,
    ) -> Result<Pipeline> {
        let label = spec.variant.file;
        let resolved = shader::resolve(files, &self.stood_in(&spec.variant))?;
        // What Metal's and DirectX's compilers refuse is called internal.
        let internal = self.error_scope(wgpu::ErrorFilter::Internal);
        let scope = self.error_scope(wgpu::ErrorFilter::Validation);
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(label),
            source: wgpu::ShaderSource::Wgsl(resolved.text.as_str().into()),
        };
        // SAFETY: unchecked shaders must not index out of bounds nor loop for ever. All sources are this crate's own files;
        // every index is derived from sizes that `model` computed for the very buffers it binds, and from token ids and
        // positions that `model::batch` has checked; the tests of the kernels run each over random shapes.
        let module = unsafe {
            self.device
                .create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
        };
        let entries: Vec<_> = (0..)
            .zip(&spec.bindings)
            .map(|(binding, kind)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: kind.layout(),
                count: None,
            })
            .collect();
        let layout = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(label),
                entries: &entries,
            });
        let pipeline_layout = self
            .device
            .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(label),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
        self.count_object();
        let pipeline = self
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(label),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Every kernel writes its workgroup memory before it reads it.
                    zero_initialize_workgroup_memory: false,
                    constants: &spec.constants,
                },
                cache: self.pipeline_cache.as_deref().map(PipelineCache::get),
            });
        let (refused, failed) = (scope.pop(), internal.pop());
        if let Some(error) = refused.or(failed) {
            self.check()?;
            let info = pollster::block_on(module.get_compilation_info());
            let line = info
                .messages
                .iter()
                .find_map(|message| message.location.map(|at| at.line_number))
                .unwrap_or(1);
            return Err(resolved.error(line, error.to_string()));
        }
        Ok(Pipeline {
            pipeline,
            layout,
            label,
        })
    }
}
