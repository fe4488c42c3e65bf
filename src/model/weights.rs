//! Weights on the device: every matrix in one or more parts that fit the adapter's bindings, every norm in f32.

use std::ops::Range;

use super::options::Progress;
use super::pack::{GROUP, Packer, UNIT, units};
use super::store::Store;
use crate::checkpoint::quantize::can_quantize;
use crate::checkpoint::{Checkpoint, RowReader, TensorSpec, faint, non_finite};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::gpu::{Gpu, Uploader};
use crate::kernels::linear::UNIFORM_WINDOW;
use crate::kernels::{BLOCK, ComputePath, ROW_PAD};

/// Something for every matrix of a layer.
#[derive(Debug, Clone)]
pub struct LayerMatrices<M> {
    pub qkv: M,
    pub out: M,
    pub proj_1: M,
    pub proj_2: M,
}

impl<M> LayerMatrices<M> {
    fn all(&self) -> [&M; 4] {
        [&self.qkv, &self.out, &self.proj_1, &self.proj_2]
    }
}

/// Something for every matrix of a model.
#[derive(Debug, Clone)]
pub struct Matrices<M> {
    pub embedding: M,
    /// `None`: the embedding is the head.
    pub head: Option<M>,
    pub layers: Vec<LayerMatrices<M>>,
}

impl<M> Matrices<M> {
    pub fn head(&self) -> &M {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    pub fn all(&self) -> impl Iterator<Item = &M> {
        let layers = self.layers.iter().flat_map(LayerMatrices::all);
        std::iter::once(&self.embedding)
            .chain(&self.head)
            .chain(layers)
    }

    pub fn get(&self, id: MatrixId) -> &M {
        match id {
            MatrixId::Embedding => &self.embedding,
            MatrixId::Head => self.head(),
            MatrixId::Qkv(layer) => &self.layers[layer].qkv,
            MatrixId::Out(layer) => &self.layers[layer].out,
            MatrixId::Proj1(layer) => &self.layers[layer].proj_1,
            MatrixId::Proj2(layer) => &self.layers[layer].proj_2,
        }
    }
}

/// A matrix by name; numbers are layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatrixId {
    Embedding,
    Head,
    Qkv(usize),
    Out(usize),
    Proj1(usize),
    Proj2(usize),
}

/// How a matrix lies on the device.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixLayout {
    pub spec: TensorSpec,
    pub rows: usize,
    pub columns: usize,
    pub dtype: Dtype,
    /// Whether it would be f16 if f16 could hold its numbers.
    is_beyond_f16: bool,
    /// Whether f16 holds its numbers well enough for prompts to be multiplied in it.
    pub suits_f16: bool,
    /// Whether its first half is the gate of its second.
    is_gated: bool,
    /// Once it is known how much a binding holds.
    pub parts: Vec<PartLayout>,
}

/// Some rows of a matrix, as large as a binding may be.
#[derive(Debug, Clone, PartialEq)]
pub struct PartLayout {
    /// The output that the part's first row computes.
    pub first: u32,
    /// Weight rows; a gated part has its gate's rows first, then as many linear rows.
    pub rows: u32,
    /// Rows of the tensor that it holds.
    segments: Vec<Range<usize>>,
}

impl MatrixLayout {
    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        (self.rows.next_multiple_of(GROUP) * self.row_bytes()) as u64
    }

    fn row_bytes(&self) -> usize {
        units(self.columns, self.dtype) * UNIT
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

fn each_mut(layers: &mut [LayerMatrices<MatrixLayout>]) -> impl Iterator<Item = &mut MatrixLayout> {
    layers.iter_mut().flat_map(|layer| {
        [
            &mut layer.qkv,
            &mut layer.out,
            &mut layer.proj_1,
            &mut layer.proj_2,
        ]
    })
}

/// How every matrix lies on the device, decided before anything is uploaded.
pub type Layout = Matrices<MatrixLayout>;

impl Layout {
    /// Bytes of all matrices on the device; norms are not worth counting.
    pub fn bytes(&self) -> u64 {
        self.all().map(MatrixLayout::bytes).sum()
    }

    /// Bytes of weights that decoding a token reads: all but those of an embedding that is not the head.
    pub fn bytes_per_token(&self) -> u64 {
        match self.head {
            Some(_) => self.bytes() - self.embedding.bytes(),
            None => self.bytes(),
        }
    }

    /// The format that most bytes have.
    pub fn main_dtype(&self) -> Dtype {
        let bytes_of = |dtype: &Dtype| -> u64 {
            let of_dtype = self.all().filter(|matrix| matrix.dtype == *dtype);
            of_dtype.map(MatrixLayout::bytes).sum()
        };
        Dtype::ALL
            .into_iter()
            .max_by_key(bytes_of)
            .unwrap_or(Dtype::F16)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut MatrixLayout> {
        std::iter::once(&mut self.embedding)
            .chain(&mut self.head)
            .chain(each_mut(&mut self.layers))
    }

    /// All but the embedding and the head.
    pub fn in_layers_mut(&mut self) -> impl Iterator<Item = &mut MatrixLayout> {
        each_mut(&mut self.layers)
    }

    /// Splits every matrix into parts of at most so many bytes.
    pub fn split_into(&mut self, most_bytes: u64) {
        for matrix in self.all_mut() {
            let row_bytes = matrix.row_bytes() as u64;
            let parts = split(matrix.rows, row_bytes, matrix.is_gated, most_bytes).into_iter();
            matrix.parts = parts
                .map(|segments| PartLayout {
                    first: segments[0].start as u32,
                    rows: segments.iter().map(Range::len).sum::<usize>() as u32,
                    segments,
                })
                .collect();
        }
    }
}

/// The most bytes that a part may have on an adapter.
pub fn most_part_bytes(gpu: &Gpu, path: ComputePath) -> u64 {
    match path {
        ComputePath::Gpu => gpu
            .limits
            .max_storage_buffer_binding_size
            .min(gpu.limits.max_buffer_size),
        ComputePath::Software => gpu.max_texel_store_bytes(),
    }
}

/// Decides the format of every matrix: as requested, or as stored but f32 as f16, if [`keep_in_range`] lets it.
pub fn layout(checkpoint: &Checkpoint, requested: Option<Dtype>) -> Result<Layout> {
    let config = &checkpoint.config;
    let matrix = |spec: TensorSpec, is_gated| -> Result<MatrixLayout> {
        let tensor = checkpoint.tensor(&spec)?;
        let dtype = match requested.unwrap_or(tensor.dtype) {
            quantized if quantized.is_quantized() && !can_quantize(tensor.columns) => Dtype::F16,
            Dtype::F32 if requested.is_none() => Dtype::F16,
            other => other,
        };
        Ok(MatrixLayout {
            rows: tensor.rows,
            columns: tensor.columns,
            spec,
            dtype,
            is_beyond_f16: false,
            suits_f16: true,
            is_gated,
            parts: Vec::new(),
        })
    };
    let outer = config.outer_tensors();
    let layer = |index| -> Result<LayerMatrices<MatrixLayout>> {
        let tensors = config.layer_tensors(index);
        Ok(LayerMatrices {
            qkv: matrix(tensors.qkv, false)?,
            out: matrix(tensors.out, false)?,
            proj_1: matrix(tensors.proj_1, config.ffn_with_glu)?,
            proj_2: matrix(tensors.proj_2, false)?,
        })
    };
    Ok(Layout {
        embedding: matrix(outer.embedding, false)?,
        head: outer.head.map(|head| matrix(head, false)).transpose()?,
        layers: (0..config.layers.len()).map(layer).collect::<Result<_>>()?,
    })
}

/// Has matrices in f32 become bf16, not f16, where f16 cannot hold their numbers. Reads all of them.
pub fn keep_in_range(layout: &mut Layout, checkpoint: &Checkpoint) -> Result<()> {
    for matrix in layout.all_mut() {
        let tensor = checkpoint.tensor(&matrix.spec)?;
        checkpoint.check_lengths()?;
        if matrix.dtype == Dtype::F16 && tensor.dtype == Dtype::F32 && !tensor.fits_f16() {
            matrix.dtype = Dtype::Bf16;
            matrix.is_beyond_f16 = true;
        }
    }
    Ok(())
}

/// Norms of a layer, in f32.
pub struct LayerNorms {
    pub attn: wgpu::Buffer,
    /// [2, head_dim]: q, then k. Not read where the model has no such norms.
    pub qk: wgpu::Buffer,
    pub ffn: wgpu::Buffer,
}

/// Everything that was loaded.
pub struct Weights {
    /// The parts of each matrix.
    pub matrices: Matrices<Vec<Store>>,
    pub norm: wgpu::Buffer,
    pub layers: Vec<LayerNorms>,
}

/// Outputs of a part at most, so that a dispatch of any mapping has no more than the 65,535 workgroups that WebGPU guarantees.
pub const MOST_OUTPUTS: usize = (1 << 16) - GROUP;

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
    path: ComputePath,
    uploader: Uploader<'a>,
    reader: RowReader,
    done: u64,
    total: u64,
    progress: P,
    warnings: Vec<String>,
}

impl Weights {
    /// Uploads all weights as `layout`, which is split into parts, says. Returns them with warnings about odd values.
    pub fn load(
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        layout: &Layout,
        path: ComputePath,
        progress: impl FnMut(Progress) -> Result<()>,
    ) -> Result<(Self, Vec<String>)> {
        let mut loader = Loader {
            gpu,
            checkpoint,
            path,
            uploader: Uploader::new(gpu),
            reader: RowReader::default(),
            done: 0,
            total: layout.bytes(),
            progress,
            warnings: checkpoint.warnings.clone(),
        };
        loader.warnings.extend(beyond_f16(layout));
        let config = &checkpoint.config;
        let embedding = loader.matrix(&layout.embedding)?;
        let norm = loader.vector(&[config.outer_tensors().norm])?;
        let head = match &layout.head {
            Some(head) => Some(loader.matrix(head)?),
            None => None,
        };
        let (mut matrices, mut layers) = (Vec::new(), Vec::new());
        for (index, layer) in layout.layers.iter().enumerate() {
            let tensors = config.layer_tensors(index);
            matrices.push(LayerMatrices {
                qkv: loader.matrix(&layer.qkv)?,
                out: loader.matrix(&layer.out)?,
                proj_1: loader.matrix(&layer.proj_1)?,
                proj_2: loader.matrix(&layer.proj_2)?,
            });
            layers.push(LayerNorms {
                attn: loader.vector(&[tensors.attn_norm])?,
                qk: loader.vector(&tensors.qk_norms)?,
                ffn: loader.vector(&[tensors.ffn_norm])?,
            });
        }
        gpu.check()?;
        let weights = Self {
            matrices: Matrices {
                embedding,
                head,
                layers: matrices,
            },
            norm,
            layers,
        };
        Ok((weights, loader.warnings))
    }
}

/// Says which matrices are in bf16 because f16 cannot hold them.
fn beyond_f16(layout: &Layout) -> Option<String> {
    let mut beyond = layout.all().filter(|matrix| matrix.is_beyond_f16);
    let first = &beyond.next()?.spec.name;
    let others = match beyond.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Some(format!(
        "the numbers of `{first}`{others} are too large or too small for f16: they are kept in bf16, which has fewer digits; f32 has all"
    ))
}

impl<P: FnMut(Progress) -> Result<()>> Loader<'_, P> {
    fn matrix(&mut self, layout: &MatrixLayout) -> Result<Vec<Store>> {
        let tensor = self.checkpoint.tensor(&layout.spec)?;
        let (mut is_finite, mut faint_rows) = (true, 0);
        let mut parts = Vec::new();
        for part in &layout.parts {
            let rows = (part.rows as usize).next_multiple_of(GROUP);
            let bytes = (rows * layout.row_bytes()) as u64;
            let mut packer = Packer::new(&tensor, layout.dtype, self.path, part.segments.clone());
            let (before, total) = (self.done, self.total);
            let progress = &mut self.progress;
            let checkpoint = self.checkpoint;
            let fill = |offset: u64, view: wgpu::WriteOnly<'_, [u8]>| {
                checkpoint.check_lengths()?;
                let size = view.len() as u64;
                packer.fill(view);
                progress(Progress {
                    done: before + offset + size,
                    total,
                })
            };
            let store = Store::new(self.gpu, &layout.spec.name, bytes, self.path);
            self.gpu.check()?;
            self.uploader.send(store.target(), bytes, fill)?;
            is_finite &= !packer.saw_non_finite();
            faint_rows += packer.faint_rows();
            self.done += bytes;
            parts.push(store);
        }
        if !is_finite {
            self.warn(&layout.spec.name, layout.dtype, tensor.dtype);
        }
        if let Some(what) = faint(layout.dtype, faint_rows, tensor.rows) {
            let name = &layout.spec.name;
            self.warnings.push(format!("tensor `{name}` {what}"));
        }
        Ok(parts)
    }

    /// One or two norms after each other, in f32, with as many zeros behind as any kernel may read: what pads a row, and where
    /// products read norms through uniform memory, a whole window.
    fn vector(&mut self, specs: &[TensorSpec]) -> Result<wgpu::Buffer> {
        let mut values: Vec<f32> = Vec::new();
        self.checkpoint.check_lengths()?;
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
        let least = match self.path {
            // Attention reads the norms of queries and keys, and then does without them where a model has none.
            ComputePath::Gpu => 2 * self.checkpoint.config.head_dim.next_multiple_of(BLOCK),
            ComputePath::Software => UNIFORM_WINDOW as usize / 4,
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
        let what = non_finite(dtype, stored);
        self.warnings.push(format!("tensor `{name}` {what}"));
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
