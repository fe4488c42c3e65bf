//! Weights on the device: every matrix in one or more parts that fit the adapter's bindings, every norm in f32.

use std::ops::Range;

use super::Progress;
use super::pack::{GROUP, Packer, UNIT, units};
use crate::checkpoint::quantize::can_quantize;
use crate::checkpoint::{Checkpoint, RowReader, TensorSpec};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::gpu::memory::Target;
use crate::gpu::{Gpu, Uploader};
use crate::kernels::linear::UNIFORM_WINDOW;
use crate::kernels::{BLOCK, ROW_PAD, WeightSource};

/// Where a part's bytes are.
pub enum Store {
    Buffer(wgpu::Buffer),
    Texture(wgpu::Texture, wgpu::TextureView),
}

/// Some rows of a matrix, as large as a binding may be.
pub struct Part {
    pub store: Store,
    /// The output that the part's first row computes.
    pub first: u32,
    /// Weight rows; a gated part has its gate's rows first, then as many linear rows.
    pub rows: u32,
}

/// A weight matrix [rows, columns].
pub struct Matrix {
    pub columns: usize,
    pub dtype: Dtype,
    pub parts: Vec<Part>,
}

pub struct LayerWeights {
    pub attn_norm: wgpu::Buffer,
    pub qkv: Matrix,
    /// [2, head_dim]: q, then k. Not read where the model has no such norms.
    pub qk_norms: wgpu::Buffer,
    pub out: Matrix,
    pub ffn_norm: wgpu::Buffer,
    pub proj_1: Matrix,
    pub proj_2: Matrix,
}

pub struct Weights {
    pub embedding: Matrix,
    /// `None`: the embedding is the head.
    pub head: Option<Matrix>,
    pub norm: wgpu::Buffer,
    pub layers: Vec<LayerWeights>,
}

impl Weights {
    /// Bytes of all matrices.
    pub fn bytes(&self) -> u64 {
        let layers = self.layers.iter().flat_map(|layer| {
            [&layer.qkv, &layer.out, &layer.proj_1, &layer.proj_2].map(Matrix::bytes)
        });
        self.embedding.bytes() + self.head.as_ref().map_or(0, Matrix::bytes) + layers.sum::<u64>()
    }

    pub fn head(&self) -> &Matrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}

/// Which format every matrix gets, decided before anything is uploaded.
pub struct Layout {
    matrices: Vec<(String, Dtype, u64)>,
}

impl Layout {
    pub fn dtype(&self, name: &str) -> Dtype {
        self.matrices
            .iter()
            .find(|(matrix, ..)| matrix == name)
            .map_or(Dtype::F32, |(_, dtype, _)| *dtype)
    }

    /// Bytes of all matrices on the device; norms are not worth counting.
    pub fn bytes(&self) -> u64 {
        self.matrices.iter().map(|(.., bytes)| bytes).sum()
    }

    /// The format that most bytes have.
    pub fn main_dtype(&self) -> Dtype {
        let bytes_of = |dtype: &Dtype| -> u64 {
            self.matrices
                .iter()
                .filter(|(_, other, _)| other == dtype)
                .map(|(.., bytes)| bytes)
                .sum()
        };
        Dtype::ALL
            .into_iter()
            .max_by_key(bytes_of)
            .unwrap_or(Dtype::F16)
    }

    /// The formats that occur.
    pub fn dtypes(&self) -> Vec<Dtype> {
        Dtype::ALL
            .into_iter()
            .filter(|dtype| self.matrices.iter().any(|(_, other, _)| other == dtype))
            .collect()
    }
}

/// Decides the format of every matrix: `wish`, or as stored but f32 as f16.
pub fn layout(checkpoint: &Checkpoint, wish: Option<Dtype>) -> Result<Layout> {
    let mut matrices = Vec::new();
    for spec in checkpoint.config.tensors() {
        let [rows, columns] = spec.shape[..] else {
            continue;
        };
        let stored = checkpoint.tensor(&spec)?.dtype;
        let dtype = match wish.unwrap_or(stored) {
            quantized if quantized.is_quantized() && !can_quantize(columns) => Dtype::F16,
            Dtype::F32 if wish.is_none() => Dtype::F16,
            other => other,
        };
        let bytes = (rows.next_multiple_of(GROUP) * units(columns, dtype) * UNIT) as u64;
        matrices.push((spec.name, dtype, bytes));
    }
    Ok(Layout { matrices })
}

/// Outputs of a part at most, so that a dispatch of any mapping stays below the 65,535 workgroups that WebGPU guarantees.
const MOST_OUTPUTS: usize = 1 << 16;

/// Which source rows go into each part: `outputs` outputs, each of one row, or of two (`outputs` apart) if `gated`.
fn split(rows: usize, row_bytes: u64, gated: bool, most_bytes: u64) -> Vec<Vec<Range<usize>>> {
    let rows_per_output = if gated { 2 } else { 1 };
    let outputs = rows / rows_per_output;
    let most = (most_bytes / (row_bytes * rows_per_output as u64)) as usize;
    // Whole groups, and one group of slack because the last one is padded.
    let step = (most / GROUP * GROUP)
        .saturating_sub(GROUP)
        .clamp(GROUP, MOST_OUTPUTS);
    let count = if outputs <= step { outputs } else { step };
    (0..outputs)
        .step_by(count.max(1))
        .map(|start| {
            let end = (start + count).min(outputs);
            if gated {
                vec![start..end, outputs + start..outputs + end]
            } else {
                std::iter::once(start..end).collect()
            }
        })
        .collect()
}

/// Uploads tensor after tensor and keeps count.
struct Loader<'a, P> {
    gpu: &'a Gpu,
    checkpoint: &'a Checkpoint,
    layout: &'a Layout,
    source: WeightSource,
    uploader: Uploader<'a>,
    reader: RowReader,
    done: u64,
    progress: P,
    warnings: Vec<String>,
}

impl Weights {
    /// Uploads all weights. Returns them with warnings about odd values.
    pub fn load(
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        layout: &Layout,
        source: WeightSource,
        progress: impl FnMut(Progress) -> Result<()>,
    ) -> Result<(Self, Vec<String>)> {
        let mut loader = Loader {
            gpu,
            checkpoint,
            layout,
            source,
            uploader: Uploader::new(gpu),
            reader: RowReader::default(),
            done: 0,
            progress,
            warnings: checkpoint.warnings.clone(),
        };
        let config = &checkpoint.config;
        let outer = config.outer_tensors();
        let mut weights = Self {
            embedding: loader.matrix(&outer[0], false)?,
            norm: loader.vector(&[&outer[1]])?,
            head: match outer.get(2) {
                Some(head) => Some(loader.matrix(head, false)?),
                None => None,
            },
            layers: Vec::with_capacity(config.layers.len()),
        };
        for index in 0..config.layers.len() {
            let specs = config.layer_tensors(index);
            weights.layers.push(LayerWeights {
                attn_norm: loader.vector(&[&specs[0]])?,
                qkv: loader.matrix(&specs[1], false)?,
                out: loader.matrix(&specs[2], false)?,
                ffn_norm: loader.vector(&[&specs[3]])?,
                proj_1: loader.matrix(&specs[4], config.ffn_with_glu)?,
                proj_2: loader.matrix(&specs[5], false)?,
                qk_norms: loader.vector(&specs[6..].iter().collect::<Vec<_>>())?,
            });
        }
        gpu.check()?;
        Ok((weights, loader.warnings))
    }
}

impl<P: FnMut(Progress) -> Result<()>> Loader<'_, P> {
    fn matrix(&mut self, spec: &TensorSpec, gated: bool) -> Result<Matrix> {
        let tensor = self.checkpoint.tensor(spec)?;
        let dtype = self.layout.dtype(&spec.name);
        let row_bytes = (units(tensor.columns, dtype) * UNIT) as u64;
        let limits = &self.gpu.limits;
        let most_bytes = match self.source {
            WeightSource::Buffer => limits
                .max_storage_buffer_binding_size
                .min(limits.max_buffer_size),
            WeightSource::Texture => self.gpu.max_texel_store_bytes(),
        };
        let mut is_finite = true;
        let mut parts = Vec::new();
        for segments in split(tensor.rows, row_bytes, gated, most_bytes) {
            let rows: usize = segments.iter().map(Range::len).sum();
            let first = segments[0].start as u32;
            let bytes = rows.next_multiple_of(GROUP) as u64 * row_bytes;
            let mut packer = Packer::new(&tensor, dtype, self.source, segments);
            let (before, total) = (self.done, self.layout.bytes());
            let progress = &mut self.progress;
            let fill = |offset: u64, view: wgpu::WriteOnly<'_, [u8]>| {
                let size = view.len() as u64;
                packer.fill(view);
                progress(Progress {
                    done: before + offset + size,
                    total,
                })
            };
            let store = Store::new(self.gpu, &spec.name, bytes, self.source);
            self.gpu.check()?;
            self.uploader.send(store.target(), bytes, fill)?;
            is_finite &= !packer.saw_non_finite();
            self.done += bytes;
            parts.push(Part {
                store,
                first,
                rows: rows as u32,
            });
        }
        if !is_finite {
            self.warn(&spec.name, dtype, tensor.dtype);
        }
        Ok(Matrix {
            columns: tensor.columns,
            dtype,
            parts,
        })
    }

    /// One or two norms after each other, in f32, with as many zeros behind as any kernel may read: what pads a row, and where
    /// norms are computed along with products of weights in textures, a whole uniform window.
    fn vector(&mut self, specs: &[&TensorSpec]) -> Result<wgpu::Buffer> {
        let mut values: Vec<f32> = Vec::new();
        for spec in specs {
            self.reader.saw_non_finite = false;
            let tensor = self.checkpoint.tensor(spec)?;
            values.extend(self.reader.read_f32(&tensor, 0));
            if self.reader.saw_non_finite {
                self.warn(&spec.name, Dtype::F32, tensor.dtype);
            }
        }
        // Whole blocks, also from where the second norm begins.
        let read = values.len().next_multiple_of(ROW_PAD) + BLOCK;
        let least = match self.source {
            WeightSource::Buffer => 0,
            WeightSource::Texture => UNIFORM_WINDOW as usize / 4,
        };
        values.resize(read.max(least), 0.0);
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::UNIFORM
            | wgpu::BufferUsages::COPY_DST;
        let buffer = self.gpu.buffer("norm", (values.len() * 4) as u64, usage);
        self.gpu
            .queue
            .write_buffer(&buffer, 0, bytemuck::cast_slice(&values));
        Ok(buffer)
    }

    fn warn(&mut self, name: &str, dtype: Dtype, stored: Dtype) {
        let hint = if dtype == Dtype::F16 && stored != Dtype::F16 {
            "; if the file itself is sound, its values are too large for f16, and f32 or bf16 would hold them"
        } else {
            "; the file is damaged and the output will be useless"
        };
        self.warnings.push(format!(
            "tensor `{name}` holds NaN or infinite values{hint}"
        ));
    }
}

impl Matrix {
    /// Bytes of its rows on the device.
    pub fn bytes(&self) -> u64 {
        let rows: u64 = self.parts.iter().map(|part| u64::from(part.rows)).sum();
        rows * u64::from(self.units()) * UNIT as u64
    }

    /// 16-byte units in a row.
    pub fn units(&self) -> u32 {
        units(self.columns, self.dtype) as u32
    }

    /// Blocks of 8 in a padded row.
    pub fn blocks(&self) -> u32 {
        (self.columns.next_multiple_of(ROW_PAD) / BLOCK) as u32
    }
}

impl Store {
    /// Room for `bytes` bytes. Out of memory shows up at the next [`Gpu::check`].
    pub fn new(gpu: &Gpu, label: &str, bytes: u64, source: WeightSource) -> Self {
        match source {
            WeightSource::Buffer => {
                let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
                Self::Buffer(gpu.buffer(label, bytes, usage))
            }
            WeightSource::Texture => {
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

    fn target(&self) -> Target<'_> {
        match self {
            Self::Buffer(buffer) => Target::Buffer(buffer),
            Self::Texture(texture, _) => Target::Texture(texture),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_row_once_and_keep_pairs_together() {
        for (rows, gated) in [(100, false), (100, true), (7, false), (64, true)] {
            for most in [16 * 16, 40 * 16, 1000 * 16] {
                let parts = split(rows, 16, gated, most);
                let mut seen: Vec<usize> = parts.iter().flatten().cloned().flatten().collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..rows).collect::<Vec<_>>());
                for part in &parts {
                    assert_eq!(part.len(), if gated { 2 } else { 1 });
                    if gated {
                        assert_eq!(part[0].start + rows / 2, part[1].start);
                        assert_eq!(part[0].len(), part[1].len());
                    }
                    let size: usize = part.iter().map(Range::len).sum();
                    assert!(size.next_multiple_of(GROUP) as u64 * 16 <= most.max(16 * 16));
                }
            }
        }
    }
}
