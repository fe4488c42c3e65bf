//! Kernels on numbers whose results are known: small whole numbers, of which sums are exact in any order.

use half::f16;

use super::pack::{GROUP, UNIT, units};
use super::store::Store;
use super::time::uniform;
use crate::dtype::Dtype;
use crate::gpu::pipeline::window;
use crate::gpu::{CooperativeMatrices, Gpu, KernelSpec, Pipeline};
use crate::kernels::linear::{
    Arithmetic, Input, Mapping, Operand, Output, Product, Shape, Tuning, UNIFORM_WINDOW,
};
use crate::kernels::{BatchClass, ComputePath, FirstRow, LANES, TokenInput};
use crate::kernels::{probe, rms_norm};

/// Rows and columns of the product: a superblock of q8 a row.
const ROWS: usize = 16;
const COLUMNS: usize = 256;

/// A kernel with all that it reads, and what must come of it.
pub struct Known {
    pub name: &'static str,
    pub spec: KernelSpec,
    pub output: wgpu::Buffer,
    resources: Vec<Resource>,
    /// Weights, and a buffer that has them until they are where they belong.
    weights: Option<(Store, wgpu::Buffer)>,
    offsets: Vec<u32>,
    grid: (u32, u32),
    expected: Expected,
}

/// What a binding sees.
enum Resource {
    Whole(wgpu::Buffer),
    /// 64 KiB of uniform memory.
    Window(wgpu::Buffer),
    Weights,
    Output,
}

enum Expected {
    /// These, give or take this part of each.
    Numbers(Vec<f32>, f32),
    /// What lanes of subgroups of at least so many lanes have.
    Subgroups(u32),
}

impl Known {
    pub const SUBGROUPS: &'static str = "exchange within subgroups";
    pub const HALVES: &'static str = "unpacking of f16";
    pub const MATRICES: &'static str = "product of two matrices in f16";

    /// What an adapter is tested with that computes on `path`: what is usual there, and no more, since a software adapter takes tens of
    /// milliseconds to compile a kernel.
    pub fn all(gpu: &Gpu, path: ComputePath) -> Vec<Self> {
        let mut all = vec![product(gpu, path), halves(gpu)];
        if path == ComputePath::Gpu {
            all.push(norm(gpu));
        }
        if gpu.subgroup_lanes > 0 {
            all.push(subgroups(gpu));
        }
        all.extend(gpu.matrices.map(|which| matrices(gpu, which)));
        all
    }

    /// Bytes of the result.
    pub fn bytes(&self) -> u64 {
        self.output.size()
    }

    pub fn record(&self, gpu: &Gpu, pipeline: &Pipeline, encoder: &mut wgpu::CommandEncoder) {
        if let Some((store, source)) = &self.weights {
            store
                .target()
                .record_write(encoder, 0..source.size(), source, 0);
        }
        let bound = self.resources.iter().map(|resource| match resource {
            Resource::Whole(buffer) => buffer.as_entire_binding(),
            Resource::Window(buffer) => window(buffer, 0, UNIFORM_WINDOW),
            Resource::Output => self.output.as_entire_binding(),
            Resource::Weights => match &self.weights {
                Some((store, _)) => store.binding(),
                None => self.output.as_entire_binding(),
            },
        });
        let bind_group = pipeline.bind(gpu, &bound.collect::<Vec<_>>());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &bind_group, &self.offsets);
        pass.dispatch_workgroups(self.grid.0, self.grid.1, 1);
    }

    /// What is wrong with a result, if anything.
    pub fn differs(&self, found: &[f32]) -> Option<String> {
        match &self.expected {
            Expected::Numbers(expected, tolerance) => {
                let mut pairs = expected.iter().zip(found);
                let is_near = |(right, found): &(&f32, &f32)| {
                    // Not so for a NaN.
                    (*right - *found).abs() <= right.abs() * tolerance
                };
                let (right, found) = pairs.find(|pair| !is_near(pair))?;
                Some(format!(
                    "the {} gives {found:e} where {right:e} is right",
                    self.name
                ))
            }
            Expected::Subgroups(least) => {
                let words: Vec<u32> = found.iter().map(|word| word.to_bits()).collect();
                let lanes: Vec<[u32; 4]> = words.as_chunks().0.to_vec();
                subgroup_fault(&lanes, *least)
                    .map(|what| format!("the {} is not sound: {what}", self.name))
            }
        }
    }
}

/// What lanes found, `[lane, size, sum of the group, what lane 3 has]` each, against what they should have.
fn subgroup_fault(lanes: &[[u32; 4]], least: u32) -> Option<&'static str> {
    let mut seen = vec![false; lanes.len()];
    for [lane, size, sum, third] in lanes.iter().copied() {
        if !size.is_power_of_two() || size < least || size > MOST_LANES {
            return Some("the size of a subgroup is not what the driver says");
        }
        match seen.get_mut(lane as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => return Some("lanes are not counted once each"),
        }
        let own = |lane: u32| lane + COUNT;
        let group = lane - lane % least;
        if sum != (group..group + least).map(own).sum::<u32>() {
            return Some("a number comes from another lane than the one that was asked");
        }
        if third != own(lane - lane % size + 3) {
            return Some("what one lane has is not what all are told");
        }
    }
    None
}

/// No adapter has larger subgroups.
const MOST_LANES: u32 = 128;

/// Any number: what lanes have beside their own.
const COUNT: u32 = 100;

fn buffer(gpu: &Gpu, bytes: &[u8], usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let buffer = gpu.buffer(
        "self-test",
        bytes.len() as u64,
        usage | wgpu::BufferUsages::COPY_DST,
    );
    gpu.queue.write_buffer(&buffer, 0, bytes);
    buffer
}

fn storage(gpu: &Gpu, bytes: &[u8]) -> Resource {
    Resource::Whole(buffer(gpu, bytes, wgpu::BufferUsages::STORAGE))
}

/// Memory for `numbers` results.
fn output(gpu: &Gpu, numbers: usize) -> wgpu::Buffer {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    gpu.buffer("self-test", 4 * numbers as u64, usage)
}

fn input_value(column: usize) -> f32 {
    (column * 3 % 11) as f32 - 5.0
}

fn weight(row: usize, column: usize) -> i8 {
    ((row * 7 + column * 5) % 15) as i8 - 7
}

/// Of 32 columns.
fn scale(row: usize, group: usize) -> f32 {
    [1.0, 0.5, 0.25, 0.125][(row + group) % 4]
}

/// A product with weights in q8, whose scales are f16: integers, halves, memory shared by lanes.
fn product(gpu: &Gpu, path: ComputePath) -> Known {
    let tuning = Tuning::default();
    let mappings = Mapping::all_for(
        path,
        BatchClass::Generated,
        Arithmetic::Float,
        tuning.tile,
        1,
    );
    let mapping = mappings.first().copied().unwrap_or(Mapping::DecodeRows);
    let units = units(COLUMNS, Dtype::Q8);
    let shape = Shape::stored(ROWS, COLUMNS, units);
    let bytes = arranged(&(0..ROWS).map(q8_row).collect::<Vec<_>>(), path);
    let input: Vec<f32> = (0..COLUMNS).map(input_value).collect();
    let input: &[u8] = bytemuck::cast_slice(&input);
    let workgroups = mapping.workgroups(shape.pairs, tuning);
    let has_windows = mapping.windows() > 0;
    let (offsets, grid) = match has_windows {
        true => (vec![0, 0], (1, workgroups)),
        false => (vec![], (workgroups, 1)),
    };
    let resources = mapping.bind(|operand| match operand {
        Operand::Shape => Resource::Whole(uniform(gpu, shape)),
        Operand::Weights => Resource::Weights,
        Operand::Output => Resource::Output,
        // There is no norm, so anything stands for its weights.
        Operand::Input | Operand::Norm if has_windows => {
            let mut padded = input.to_vec();
            padded.resize(UNIFORM_WINDOW as usize, 0);
            Resource::Window(buffer(gpu, &padded, wgpu::BufferUsages::UNIFORM))
        }
        Operand::Input | Operand::Norm => storage(gpu, input),
        // No mapping for generated rows has these.
        Operand::FirstRow | Operand::Overflow => storage(gpu, &[0; 16]),
    });
    let expected = (0..ROWS).map(|row| {
        let products =
            (0..COLUMNS).map(|k| scale(row, k / 32) * f32::from(weight(row, k)) * input_value(k));
        products.sum::<f32>()
    });
    Known {
        name: "product of a matrix and a vector",
        spec: Product {
            path,
            mapping,
            dtype: Dtype::Q8,
            arithmetic: Arithmetic::Float,
            input: Input::Plain,
            output: Output::Store,
            blocks: shape.blocks,
        }
        .spec(tuning),
        output: output(gpu, ROWS),
        resources,
        weights: Some((
            Store::new(gpu, "self-test", bytes.len() as u64, path),
            buffer(gpu, &bytes, wgpu::BufferUsages::COPY_SRC),
        )),
        offsets,
        grid,
        expected: Expected::Numbers(expected.collect(), 0.0),
    }
}

/// A tile of 64 rows by 64 tokens by cooperative matrices, with weights in q8. Halves hold all numbers, and sums are exact in f32.
fn matrices(gpu: &Gpu, which: CooperativeMatrices) -> Known {
    const TILE: usize = 64;
    let tuning = Tuning {
        matrices: Some(which),
        ..Tuning::default()
    };
    let units = units(COLUMNS, Dtype::Q8);
    let shape = Shape::stored(TILE, COLUMNS, units);
    let bytes = (0..TILE).flat_map(q8_row).collect::<Vec<u8>>();
    let value = |token: usize, k: usize| input_value(token * 5 + k);
    let input: Vec<f32> = (0..TILE)
        .flat_map(|token| (0..COLUMNS).map(move |k| value(token, k)))
        .collect();
    let mapping = Mapping::PrefillMatrices;
    let resources = mapping.bind(|operand| match operand {
        Operand::Shape => Resource::Whole(uniform(gpu, shape)),
        Operand::Weights => Resource::Weights,
        Operand::Output => Resource::Output,
        Operand::Input | Operand::Norm => storage(gpu, bytemuck::cast_slice(&input)),
        Operand::FirstRow => Resource::Whole(uniform(gpu, FirstRow::of(0..TILE as u32))),
        Operand::Overflow => storage(gpu, &[0; 16]),
    });
    let expected = (0..TILE).flat_map(|token| {
        (0..TILE).map(move |row| {
            let products = (0..COLUMNS)
                .map(|k| scale(row, k / 32) * f32::from(weight(row, k)) * value(token, k));
            products.sum::<f32>()
        })
    });
    Known {
        name: Known::MATRICES,
        spec: Product {
            path: ComputePath::Gpu,
            mapping,
            dtype: Dtype::Q8,
            arithmetic: Arithmetic::Float,
            input: Input::Plain,
            output: Output::Store,
            blocks: shape.blocks,
        }
        .spec(tuning),
        output: output(gpu, TILE * TILE),
        resources,
        weights: Some((
            Store::new(gpu, "self-test", bytes.len() as u64, ComputePath::Gpu),
            buffer(gpu, &bytes, wgpu::BufferUsages::COPY_SRC),
        )),
        offsets: vec![],
        grid: (1, 1),
        expected: Expected::Numbers(expected.collect(), 0.0),
    }
}

/// As `checkpoint::quantize` lays a row out: scales, then integers.
fn q8_row(row: usize) -> Vec<u8> {
    let scales = (0..8).flat_map(|group| f16::from_f32(scale(row, group)).to_le_bytes());
    let integers = (0..COLUMNS).map(|column| weight(row, column) as u8);
    scales.chain(integers).collect()
}

/// Rows as the kernels of a path read them: in textures eight are interleaved, a unit of each in turn.
fn arranged(rows: &[Vec<u8>], path: ComputePath) -> Vec<u8> {
    if path == ComputePath::Gpu {
        return rows.concat();
    }
    let mut all = Vec::new();
    for group in rows.chunks(GROUP) {
        let units = group.first().map_or(0, |row| row.len() / UNIT);
        for unit in 0..units {
            let unit = unit * UNIT..(unit + 1) * UNIT;
            all.extend(
                group
                    .iter()
                    .filter_map(|row| row.get(unit.clone()))
                    .flatten(),
            );
        }
    }
    all
}

/// A norm: sums through workgroup memory and barriers, and a root.
fn norm(gpu: &Gpu) -> Known {
    let input: Vec<f32> = (0..COLUMNS).map(input_value).collect();
    let weights: Vec<f32> = (0..COLUMNS).map(|k| f32::from(weight(1, k))).collect();
    let shape = rms_norm::Shape {
        width: COLUMNS as u32,
        vectors: (COLUMNS / 4) as u32,
        stride: (COLUMNS / 4) as u32,
        gather: 0,
        epsilon: 1e-6,
    };
    let first_row = FirstRow::of(0..1);
    let squares: f32 = input.iter().map(|x| x * x).sum();
    let scale = (squares / COLUMNS as f32 + 1e-6).sqrt().recip();
    let pairs = input.iter().zip(&weights);
    let expected = pairs.map(|(x, weight)| x * weight * scale).collect();
    let bindings = rms_norm::Bindings {
        shape: Resource::Whole(uniform(gpu, shape)),
        weight: storage(gpu, bytemuck::cast_slice(&weights)),
        output: Resource::Output,
        input: storage(gpu, bytemuck::cast_slice(&input)),
        tokens: storage(gpu, bytemuck::bytes_of(&TokenInput::default())),
        first_row: Resource::Whole(uniform(gpu, first_row)),
    };
    Known {
        name: "norm",
        spec: rms_norm::spec(),
        output: output(gpu, COLUMNS),
        resources: bindings.into_list(),
        weights: None,
        offsets: vec![],
        grid: (1, 1),
        expected: Expected::Numbers(expected, 1e-5),
    }
}

/// f16 across its range, most below the normal one.
fn halves(gpu: &Gpu) -> Known {
    let lanes = LANES as usize;
    let mut words: Vec<u32> = (0..LANES - 6).map(|i| i * 17 + 1).collect();
    words.extend([0x8001, 0x83ff, 0x400, 0x3c00, 0x7bff, 0xfbff]);
    let value = |word: &u32| f16::from_bits(*word as u16).to_f32();
    let bindings = probe::HalvesBindings {
        shape: Resource::Whole(uniform(gpu, probe::Shape { count: LANES })),
        words: storage(gpu, bytemuck::cast_slice(&words)),
        values: Resource::Output,
    };
    Known {
        name: Known::HALVES,
        spec: probe::halves_spec(probe::NATIVE_HALVES),
        output: output(gpu, lanes),
        resources: bindings.into_list(),
        weights: None,
        offsets: vec![],
        grid: (1, 1),
        expected: Expected::Numbers(words.iter().map(value).collect(), 0.0),
    }
}

fn subgroups(gpu: &Gpu) -> Known {
    let least = gpu.subgroup_lanes.clamp(4, LANES);
    let bindings = probe::SubgroupsBindings {
        shape: Resource::Whole(uniform(gpu, probe::Shape { count: COUNT })),
        found: Resource::Output,
    };
    Known {
        name: Known::SUBGROUPS,
        spec: probe::subgroups_spec(least),
        output: output(gpu, 4 * LANES as usize),
        resources: bindings.into_list(),
        weights: None,
        offsets: vec![],
        grid: (1, 1),
        expected: Expected::Subgroups(least),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What sound lanes find, in subgroups of `size`.
    fn sound(size: u32, least: u32) -> Vec<[u32; 4]> {
        let lanes = 0..LANES;
        let found = lanes.map(|lane| {
            let group = lane - lane % least;
            let sum = (group..group + least).map(|lane| lane + COUNT).sum();
            [lane, size, sum, lane - lane % size + 3 + COUNT]
        });
        found.collect()
    }

    #[test]
    fn unsound_subgroups_are_told_from_sound_ones() {
        for (size, least) in [(4, 4), (8, 8), (32, 4), (32, 32), (64, 64), (128, 4)] {
            let good = sound(size, least);
            assert_eq!(subgroup_fault(&good, least), None, "{size}, {least}");
            // Lanes in another order are no fault.
            let reversed: Vec<_> = good.iter().rev().copied().collect();
            assert_eq!(subgroup_fault(&reversed, least), None);
            for place in 0..4 {
                for value in [0, 3, 5, 1 << 20, u32::MAX] {
                    let mut bad = good.clone();
                    bad[7][place] = value;
                    if bad != good {
                        assert!(subgroup_fault(&bad, least).is_some(), "{place} {value}");
                    }
                }
            }
        }
        // Smaller than the driver said.
        assert!(subgroup_fault(&sound(8, 4), 16).is_some());
    }
}
