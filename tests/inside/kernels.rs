//! Every kernel against its twin on the CPU, over random shapes: widths that fill no block, one token, the last position.

use std::sync::OnceLock;

use super::common::{self, encode, noise};
use super::{races, twin};
use openelm::checkpoint::quantize::{dequantize_row, quantize_row};
use openelm::gpu::pipeline::window;
use openelm::gpu::{BindingKind, KernelSpec, Readback};
use openelm::kernels::attention::Spread;
use openelm::kernels::linear::{Arithmetic, Input, Mapping, Operand, Output, UNIFORM_WINDOW};
use openelm::kernels::{
    BatchClass, CHOSEN, FILES, FirstRow, LANES, ROW_PAD, TokenInput, arithmetic_peak, attention,
    embed, linear, qk_norm_rope, read_bandwidth, rms_norm,
};
use openelm::{ComputePath, Dtype, Gpu, Tuning};
use proptest::prelude::*;
use wgpu::util::DeviceExt;

pub fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: common::seed(270),
        ..ProptestConfig::default()
    }
}

/// Dynamic offsets, and workgroups along x, y and z.
pub type Dispatched = (Vec<u32>, (u32, u32, u32));

/// A device with a few conveniences.
pub struct Lab {
    pub gpu: Gpu,
}

pub fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| Lab {
        gpu: Gpu::open(None).unwrap(),
    })
}

impl Lab {
    pub fn buffer(&self, bytes: &[u8]) -> wgpu::Buffer {
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().next_multiple_of(16).max(16), 0);
        let descriptor = wgpu::util::BufferInitDescriptor {
            label: None,
            contents: &padded,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::UNIFORM
                | wgpu::BufferUsages::COPY_DST
                | wgpu::BufferUsages::COPY_SRC,
        };
        self.gpu.device.create_buffer_init(&descriptor)
    }

    pub fn floats(&self, values: &[f32]) -> wgpu::Buffer {
        self.buffer(bytemuck::cast_slice(values))
    }

    pub fn uniform<T: bytemuck::Pod>(&self, value: T) -> wgpu::Buffer {
        self.buffer(bytemuck::bytes_of(&value))
    }

    pub fn run(
        &self,
        spec: &KernelSpec,
        resources: &[wgpu::BindingResource<'_>],
        offsets: &[u32],
        grid: (u32, u32, u32),
        output: &wgpu::Buffer,
    ) -> Vec<f32> {
        self.run_all(spec, resources, &[(offsets.to_vec(), grid)], output)
    }

    /// One kernel in several dispatches, each with its dynamic offsets and its workgroups; and once more with its lanes in another order, which must not
    /// matter (`races.rs`).
    fn run_all(
        &self,
        spec: &KernelSpec,
        resources: &[wgpu::BindingResource<'_>],
        dispatches: &[Dispatched],
        output: &wgpu::Buffer,
    ) -> Vec<f32> {
        let (_, (x, y, z)) = dispatches[0];
        let order = (x + y + z) as usize % races::ORDERS.len();
        if !races::is_reorderable(spec, order) {
            return self.run_files(FILES, spec, resources, dispatches, output);
        }
        let kinds = spec.bindings.iter().zip(resources);
        let written: Vec<&wgpu::Buffer> = kinds
            .filter_map(|(kind, resource)| match (kind, resource) {
                (
                    BindingKind::Write | BindingKind::WriteWindow,
                    wgpu::BindingResource::Buffer(b),
                ) => Some(b.buffer),
                _ => None,
            })
            .collect();
        let contents = || written.iter().map(|buffer| self.bytes(buffer));
        let before: Vec<Vec<u8>> = contents().collect();
        let files = races::reordered(order);
        self.run_files(files, spec, resources, dispatches, output);
        let reordered: Vec<Vec<u8>> = contents().collect();
        for (buffer, bytes) in written.iter().zip(&before) {
            self.gpu.queue.write_buffer(buffer, 0, bytes);
        }
        let out = self.run_files(FILES, spec, resources, dispatches, output);
        for (plain, reordered) in contents().zip(&reordered) {
            assert!(plain == *reordered, "a race in {:?}", spec.variant);
        }
        out
    }

    /// What a buffer holds now, in whole numbers.
    pub fn words(&self, buffer: &wgpu::Buffer) -> Vec<u32> {
        bytemuck::cast_slice(&self.bytes(buffer)).to_vec()
    }

    /// What a buffer holds now.
    fn bytes(&self, buffer: &wgpu::Buffer) -> Vec<u8> {
        let floats = self.read(&Store::Buffer(buffer.clone()));
        bytemuck::cast_slice(&floats).to_vec()
    }

    pub fn run_files(
        &self,
        files: races::Files,
        spec: &KernelSpec,
        resources: &[wgpu::BindingResource<'_>],
        dispatches: &[Dispatched],
        output: &wgpu::Buffer,
    ) -> Vec<f32> {
        assert_eq!(spec.bindings.len(), resources.len());
        let pipeline = &self.gpu.compile(files, std::slice::from_ref(spec)).unwrap()[0];
        let bind_group = pipeline.bind(&self.gpu, resources);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline.pipeline);
            for (offsets, (x, y, z)) in dispatches {
                pass.set_bind_group(0, &bind_group, offsets);
                pass.dispatch_workgroups(*x, *y, *z);
            }
        }
        let readback = Readback::new(&self.gpu, output.size());
        readback.record(&mut encoder, output, output.size());
        let submission = self.gpu.queue.submit([encoder.finish()]);
        readback
            .read(
                &self.gpu,
                submission,
                output.size() as usize / 4,
                <[f32]>::to_vec,
            )
            .unwrap()
    }

    /// 16-byte units in a buffer or in a texture.
    pub fn store(&self, mut bytes: Vec<u8>, path: ComputePath) -> Store {
        if path == ComputePath::Gpu {
            return Store::Buffer(self.buffer(&bytes));
        }
        bytes.resize(bytes.len().next_multiple_of(8192 * 16), 0);
        let descriptor = wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d {
                width: 8192,
                height: bytes.len() as u32 / (8192 * 16),
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
        };
        let texture = self.gpu.device.create_texture_with_data(
            &self.gpu.queue,
            &descriptor,
            Default::default(),
            &bytes,
        );
        let view = texture.create_view(&Default::default());
        Store::Texture(texture, view)
    }

    /// What a store holds now.
    pub fn read(&self, store: &Store) -> Vec<f32> {
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let buffer = match store {
            Store::Buffer(buffer) => buffer.clone(),
            Store::Texture(texture, _) => {
                let bytes = u64::from(texture.height()) * 8192 * 16;
                let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
                let buffer = self.gpu.buffer("copy", bytes, usage);
                let layout = wgpu::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(8192 * 16),
                    rows_per_image: None,
                };
                let target = wgpu::TexelCopyBufferInfo {
                    buffer: &buffer,
                    layout,
                };
                encoder.copy_texture_to_buffer(texture.as_image_copy(), target, texture.size());
                buffer
            }
        };
        let readback = Readback::new(&self.gpu, buffer.size());
        readback.record(&mut encoder, &buffer, buffer.size());
        let submission = self.gpu.queue.submit([encoder.finish()]);
        let floats = buffer.size() as usize / 4;
        readback
            .read(&self.gpu, submission, floats, <[f32]>::to_vec)
            .unwrap()
    }

    /// A weight matrix on the device as a kernel expects it, packed here independently of the library's own packing.
    pub fn weights(
        &self,
        values: &[f32],
        columns: usize,
        dtype: Dtype,
        path: ComputePath,
    ) -> Weights {
        let rows = values.len() / columns;
        let row_bytes = dtype.row_bytes(columns.next_multiple_of(ROW_PAD));
        let units = row_bytes / 16;
        let mut bytes = vec![0; rows.next_multiple_of(8) * row_bytes];
        let mut exact = Vec::new();
        for (row, values) in values.chunks_exact(columns).enumerate() {
            let mut packed = vec![0; row_bytes];
            let mut rounded: Vec<f32> = values.to_vec();
            if dtype.is_quantized() {
                quantize_row(values, dtype, &mut packed);
                dequantize_row(&packed, dtype, &mut rounded);
            } else {
                rounded.iter_mut().for_each(|x| *x = round(*x, dtype));
                let encoded = encode(values, dtype);
                packed[..encoded.len()].copy_from_slice(&encoded);
            }
            exact.extend(widen(&rounded));
            for unit in 0..units {
                let at = match path {
                    ComputePath::Gpu => row * units + unit,
                    ComputePath::Software => (row / 8 * units + unit) * 8 + row % 8,
                };
                bytes[at * 16..][..16].copy_from_slice(&packed[unit * 16..][..16]);
            }
        }
        let store = self.store(bytes, path);
        Weights {
            store,
            units: units as u32,
            // What the device holds, after rounding.
            exact,
        }
    }
}

pub enum Store {
    Buffer(wgpu::Buffer),
    Texture(wgpu::Texture, wgpu::TextureView),
}

pub struct Weights {
    pub store: Store,
    pub units: u32,
    pub exact: Vec<f64>,
}

impl Store {
    pub fn binding(&self) -> wgpu::BindingResource<'_> {
        match self {
            Store::Buffer(buffer) => buffer.as_entire_binding(),
            Store::Texture(_, view) => wgpu::BindingResource::TextureView(view),
        }
    }
}

pub fn round(x: f32, dtype: Dtype) -> f32 {
    match dtype {
        Dtype::F32 => x,
        Dtype::F16 => half::f16::from_f32(x).to_f32(),
        Dtype::Bf16 => half::bf16::from_f32(x).to_f32(),
        Dtype::Q8 | Dtype::Q4 => panic!("not number by number"),
    }
}

pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}

/// Rows of `width` values at `stride`, zeros between.
pub fn strided(values: &[f32], width: usize, stride: usize) -> Vec<f32> {
    values
        .chunks(width)
        .flat_map(|row| {
            let mut row = row.to_vec();
            row.resize(stride, 0.0);
            row
        })
        .collect()
}

fn close(actual: f32, expected: f64, magnitude: f64) -> Result<(), TestCaseError> {
    let error = (f64::from(actual) - expected).abs();
    prop_assert!(
        error <= 2e-6 * magnitude + 1e-6,
        "{actual} instead of {expected} (magnitude {magnitude})"
    );
    Ok(())
}

fn dtypes() -> impl Strategy<Value = Dtype> {
    prop::sample::select(Dtype::ALL.to_vec())
}

fn paths() -> impl Strategy<Value = ComputePath> {
    prop::sample::select(ComputePath::ALL.to_vec())
}

fn tunings() -> impl Strategy<Value = Tuning> {
    let of = |sizes: [u32; 4]| prop::sample::select(sizes.to_vec());
    let flags = (any::<bool>(), any::<bool>());
    let pairs = prop::sample::select(Tuning::PAIRS.to_vec());
    (of(Tuning::LANES), of(Tuning::COLUMNS), pairs, flags).prop_map(
        |(lanes, columns, pairs, (subgroups, int8))| Tuning {
            lanes,
            columns,
            pairs,
            subgroups,
            int8,
            ..Tuning::default()
        },
    )
}

pub fn token(id: u32) -> TokenInput {
    TokenInput {
        id,
        ..TokenInput::default()
    }
}

/// Numbers below `count` in random order.
pub fn permutation(seed: u64, count: usize) -> Vec<u32> {
    let keys = noise(seed, count);
    let mut order: Vec<u32> = (0..count as u32).collect();
    order.sort_by(|a, b| keys[*a as usize].total_cmp(&keys[*b as usize]));
    order
}

pub fn first_row(first: usize) -> FirstRow {
    FirstRow::of(first as u32..u32::MAX)
}

/// What outputs hold where a kernel must not write.
const UNTOUCHED: f32 = 7.0;

/// Keys and values, and queries, of a few tokens on their way to attention.
pub struct Rope<'a> {
    pub path: ComputePath,
    pub exact: bool,
    pub normalize: bool,
    pub head_dim: usize,
    pub q_heads: usize,
    pub kv_heads: usize,
    /// Of the cache.
    pub rows: usize,
    pub tokens: &'a [TokenInput],
    /// [tokens, heads, head_dim]
    pub qkv: &'a [f32],
    /// [2, head_dim]
    pub norms: &'a [f32],
}

/// What caches hold before, in every byte.
const BEFORE: u8 = 0x3c;

pub struct Roped {
    pub queries: Vec<f32>,
    pub keys: Vec<f32>,
    pub values: Vec<f32>,
    pub overflow: u32,
}

impl Rope<'_> {
    fn blocks(&self) -> usize {
        self.head_dim.div_ceil(8)
    }

    fn q_stride(&self) -> usize {
        (self.q_heads * self.blocks() * 8).next_multiple_of(64)
    }

    /// Bytes of a cache entry.
    fn entry(&self) -> usize {
        self.blocks() * 8 * if self.exact { 4 } else { 2 }
    }

    /// The bytes of a row's entry of a head.
    pub fn bytes<'c>(&self, cache: &'c [f32], head: usize, row: usize) -> &'c [u8] {
        let bytes: &[u8] = bytemuck::cast_slice(cache);
        &bytes[(row * self.kv_heads + head) * self.entry()..][..self.entry()]
    }

    pub fn cached(&self, cache: &[f32], head: usize, row: usize, d: usize) -> f32 {
        let bytes = self.bytes(cache, head, row);
        match self.exact {
            true => bytemuck::pod_read_unaligned(&bytes[4 * d..][..4]),
            false => half::f16::from_le_bytes([bytes[2 * d], bytes[2 * d + 1]]).to_f32(),
        }
    }

    pub fn run(&self, lab: &Lab) -> Roped {
        let (heads, count) = (self.q_heads + 2 * self.kv_heads, self.tokens.len());
        let width = heads * self.head_dim;
        let qkv_stride = width.next_multiple_of(64);
        let shape = lab.uniform(qk_norm_rope::Shape {
            head_dim: self.head_dim as u32,
            blocks: self.blocks() as u32,
            q_heads: self.q_heads as u32,
            kv_heads: self.kv_heads as u32,
            normalize: u32::from(self.normalize),
            qkv_stride: qkv_stride as u32,
            q_stride: self.q_stride() as u32 / 4,
            epsilon: 1e-6,
        });
        // Room for what lies behind the last: kernels read whole blocks.
        let mut qkv = strided(self.qkv, width, qkv_stride);
        qkv.resize(qkv.len() + 8, 0.0);
        let mut norms = self.norms.to_vec();
        norms.resize(norms.len() + 8, 0.0);
        let rotations = qk_norm_rope::rotations(0..256, self.head_dim, 10000.0);
        let [tokens, rotations] = [
            lab.buffer(bytemuck::cast_slice(self.tokens)),
            lab.buffer(bytemuck::cast_slice(&rotations)),
        ];
        let [qkv, norms, queries] =
            [qkv, norms, vec![0.0; count * self.q_stride()]].map(|values| lab.floats(&values));
        let cache = || {
            lab.store(
                vec![BEFORE; self.rows * self.kv_heads * self.entry()],
                self.path,
            )
        };
        let (keys, values) = (cache(), cache());
        let overflow = lab.uniform(0u32);
        let first_row = lab.uniform(first_row(0));
        let bindings = qk_norm_rope::Bindings {
            shape: shape.as_entire_binding(),
            tokens: tokens.as_entire_binding(),
            qkv: qkv.as_entire_binding(),
            norms: norms.as_entire_binding(),
            rotations: rotations.as_entire_binding(),
            queries: queries.as_entire_binding(),
            keys: keys.binding(),
            values: values.binding(),
            overflow: overflow.as_entire_binding(),
            first_row: first_row.as_entire_binding(),
        };
        let spec = qk_norm_rope::spec(self.path, self.exact, self.head_dim);
        let workgroups = qk_norm_rope::workgroups(self.q_heads as u32, self.kv_heads as u32);
        let grid = (workgroups, count as u32, 1);
        Roped {
            queries: lab.run(&spec, &bindings.into_list(), &[], grid, &queries),
            keys: lab.read(&keys),
            values: lab.read(&values),
            overflow: lab.read(&Store::Buffer(overflow))[0].to_bits(),
        }
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn embed_matches_its_twin(
        dtype in dtypes(), path in paths(), width in 1usize..700, rows in 1usize..40, first in 0u32..20,
        wanted in prop::collection::vec((0u32..60, any::<bool>(), 0u32..8), 1..6), seed: u64,
    ) {
        let lab = lab();
        let values = noise(seed, rows * width);
        let weights = lab.weights(&values, width, dtype, path);
        let stride = width.next_multiple_of(64);
        let shape = lab.uniform(embed::Shape {
            blocks: width.div_ceil(8) as u32,
            units: weights.units,
            row_first: first,
            row_count: rows as u32,
            out_stride: stride as u32 / 4,
        });
        // Some ids are given, others are what the device chose for the token's sequence.
        let chosen: Vec<u32> = permutation(seed ^ 1, 60)[..8].to_vec();
        let tokens: Vec<TokenInput> = wanted
            .iter()
            .map(|(id, is_chosen, slot)| TokenInput { slot: *slot, ..token(if *is_chosen { CHOSEN } else { *id }) })
            .collect();
        let ids = wanted.iter().map(|(id, is_chosen, slot)| if *is_chosen { chosen[*slot as usize] } else { *id });
        let tokens = lab.buffer(bytemuck::cast_slice(&tokens));
        let chosen_buffer = lab.buffer(bytemuck::cast_slice(&chosen));
        let hidden = lab.floats(&vec![UNTOUCHED; wanted.len() * stride]);
        let bindings = embed::Bindings {
            shape: shape.as_entire_binding(),
            weights: weights.store.binding(),
            hidden: hidden.as_entire_binding(),
            tokens: tokens.as_entire_binding(),
            chosen: chosen_buffer.as_entire_binding(),
        };
        let grid = (embed::workgroups(width.div_ceil(8) as u32), wanted.len() as u32, 1);
        let output = lab.run(&embed::spec(path, dtype), &bindings.into_list(), &[], grid, &hidden);
        for (t, id) in ids.enumerate() {
            let row = &output[t * stride..][..width];
            match id.checked_sub(first).filter(|row| (*row as usize) < rows) {
                // Exact: a lookup only unpacks. Numbers below f32's normal range may be flushed.
                Some(at) => for (x, y) in row.iter().zip(twin::embed(&weights.exact, width, &[at])) {
                    let tolerance = if dtype.is_quantized() { 1e-6 } else { 0.0 };
                    prop_assert!((f64::from(*x) - y).abs() <= tolerance * y.abs(), "{x} instead of {y}");
                },
                None => prop_assert!(row.iter().all(|x| *x == UNTOUCHED), "a row of another part was written"),
            }
        }
    }

    #[test]
    fn rms_norm_matches_its_twin(
        width in 1usize..1500, first in 0usize..4, count in 1usize..5, after in 0usize..3, gather: bool, scale in 1e-3f32..1e3,
        seed: u64,
    ) {
        let lab = lab();
        let stride = width.next_multiple_of(64);
        let all = first + count + after;
        let x: Vec<f32> = noise(seed, width * all).iter().map(|x| x * scale).collect();
        let weight = noise(seed ^ 1, width);
        let shape = lab.uniform(rms_norm::Shape {
            width: width as u32,
            vectors: width.div_ceil(4) as u32,
            stride: stride as u32 / 4,
            gather: u32::from(gather),
            epsilon: 1e-6,
        });
        let gathered = permutation(seed ^ 2, all);
        let from = |t: usize| if gather { gathered[t] as usize } else { t };
        let tokens: Vec<TokenInput> =
            gathered.iter().map(|row| TokenInput { logits_from: *row, ..token(0) }).collect();
        let tokens = lab.buffer(bytemuck::cast_slice(&tokens));
        let weights = lab.floats(&strided(&weight, width, stride));
        let input = lab.floats(&strided(&x, width, stride));
        let output = lab.floats(&vec![UNTOUCHED; stride * all]);
        let first_row = lab.uniform(first_row(first));
        let bindings = rms_norm::Bindings {
            shape: shape.as_entire_binding(),
            weight: weights.as_entire_binding(),
            output: output.as_entire_binding(),
            input: input.as_entire_binding(),
            tokens: tokens.as_entire_binding(),
            first_row: first_row.as_entire_binding(),
        };
        let out = lab.run(&rms_norm::spec(), &bindings.into_list(), &[], (1, count as u32, 1), &output);
        for t in 0..all {
            let row = &out[t * stride..][..stride];
            if !(first..first + count).contains(&t) {
                prop_assert!(row.iter().all(|x| *x == UNTOUCHED), "another class's row {t} was written");
                continue;
            }
            let expected = twin::rms_norm(&widen(&x[from(t) * width..][..width]), &widen(&weight), 1e-6);
            for (a, e) in row.iter().zip(&expected) {
                close(*a, *e, e.abs())?;
            }
        }
    }

    #[test]
    fn qk_norm_rope_matches_its_twin(
        half in 1usize..=128, kv_heads in 1usize..4, group in 1usize..4, exact: bool, normalize: bool, path in paths(),
        positions in prop::collection::vec(prop_oneof![0u32..32, Just(0), Just(31)], 1..6), seed: u64,
    ) {
        let lab = lab();
        let (head_dim, q_heads, rows) = (2 * half, kv_heads * group, 64usize);
        let heads = q_heads + 2 * kv_heads;
        let width = heads * head_dim;
        // Wherever in the cache, whatever the position.
        let cache_rows = permutation(seed ^ 4, rows);
        let tokens: Vec<TokenInput> = positions
            .iter()
            .zip(&cache_rows)
            .map(|(position, cache_row)| TokenInput { position: *position, cache_row: *cache_row, ..token(0) })
            .collect();
        let qkv = noise(seed, width * tokens.len());
        let norms = noise(seed ^ 1, 2 * head_dim);
        let rope = Rope {
            path, exact, normalize, head_dim, q_heads, kv_heads, rows,
            tokens: &tokens,
            qkv: &qkv,
            norms: &norms,
        };
        let Roped { queries, keys, values, overflow } = rope.run(lab);
        prop_assert_eq!(overflow, 0);
        let (blocks, q_stride) = (rope.blocks(), rope.q_stride());
        let cache_error = if exact { 0.0 } else { 1.0 / 2048.0 };
        for (t, token) in tokens.iter().enumerate() {
            let row = token.cache_row as usize;
            for head in 0..heads {
                let x = widen(&qkv[t * width + head * head_dim..][..head_dim]);
                let is_value = head >= q_heads + kv_heads;
                let weight = if head < q_heads { &norms[..head_dim] } else { &norms[head_dim..2 * head_dim] };
                let normed = if normalize && !is_value { twin::rms_norm(&x, &widen(weight), 1e-6) } else { x };
                let expected = if is_value { normed } else { twin::rope(&normed, token.position, 10000.0) };
                let at = |d: usize| {
                    if head < q_heads {
                        (queries[t * q_stride + head * blocks * 8 + d], 0.0)
                    } else if is_value {
                        (rope.cached(&values, head - q_heads - kv_heads, row, d), cache_error)
                    } else {
                        (rope.cached(&keys, head - q_heads, row, d), cache_error)
                    }
                };
                for (d, e) in expected.iter().enumerate() {
                    let (actual, tolerance) = at(d);
                    // Angles are rounded to f32, as in Apple's code: 32 radians to 2e-6.
                    let error = (f64::from(actual) - e).abs();
                    prop_assert!(error <= 2e-5 + tolerance * (e.abs() + 1e-4), "head {head} d {d}: {actual} instead of {e}");
                }
                // Padding behind the head is zero, which attention counts on.
                for d in head_dim..blocks * 8 {
                    prop_assert_eq!(at(d).0, 0.0);
                }
            }
        }
        for row in &cache_rows[tokens.len()..] {
            for (cache, head) in [&keys, &values].into_iter().flat_map(|cache| (0..kv_heads).map(move |head| (cache, head))) {
                let bytes = rope.bytes(cache, head, *row as usize);
                prop_assert!(bytes.iter().all(|byte| *byte == BEFORE), "row {row} of another token was written");
            }
        }
    }

    /// At position 0 nothing turns, so what arrives is what leaves.
    #[test]
    fn overflow_is_set_exactly_when_a_key_or_value_does_not_fit(
        half in 1usize..=128, kv_heads in 1usize..3, group in 1usize..3, exact: bool, path in paths(), place: prop::sample::Index,
        large in prop::sample::select(vec![
            1.0f32, 65504.0, -65504.0, 65519.996, -65519.996, 65520.0, -65520.0, 65536.0, 1e6, -3e38, f32::INFINITY, f32::NEG_INFINITY,
        ]),
        count in 1usize..4, with_nan: bool, nan_place: prop::sample::Index, seed: u64,
    ) {
        let lab = lab();
        let (head_dim, q_heads) = (2 * half, kv_heads * group);
        let width = (q_heads + 2 * kv_heads) * head_dim;
        let cache_rows = permutation(seed ^ 4, 8);
        let tokens: Vec<TokenInput> =
            cache_rows[..count].iter().map(|row| TokenInput { cache_row: *row, ..token(0) }).collect();
        let mut qkv = noise(seed, width * count);
        let at = place.index(qkv.len());
        qkv[at] = large;
        let head = at % width / head_dim;
        // NaN does not fit either, whatever is beside it.
        let is_cached = head >= q_heads;
        let has_nan = with_nan && is_cached;
        if has_nan {
            qkv[at - at % head_dim + nan_place.index(head_dim)] = f32::NAN;
        }
        let norms = vec![1.0; 2 * head_dim];
        let rope = Rope {
            path, exact, normalize: false, head_dim, q_heads, kv_heads, rows: 8,
            tokens: &tokens,
            qkv: &qkv,
            norms: &norms,
        };
        let is_large = half::f16::from_f32(large).is_infinite();
        let expected = !exact && is_cached && (is_large || has_nan);
        prop_assert_eq!(rope.run(lab).overflow, u32::from(expected));
    }

    #[test]
    fn attention_matches_its_twin(
        half in prop_oneof![1usize..40, Just(64), Just(128)], kv_heads in 1usize..3, group in 1usize..7, exact: bool, path in paths(),
        wanted in prop::collection::vec((0usize..3, prop_oneof![0u32..5, 60u32..70, 120u32..200, Just(215)]), 1..5),
        first in 0usize..3, after in 0usize..3,
        spread in 0.1f32..20.0, subgroups: bool, seed: u64,
    ) {
        let lab = lab();
        let (head_dim, q_heads) = (2 * half, kv_heads * group);
        let (rows, context) = (256usize, 216usize);
        let blocks = head_dim.div_ceil(8);
        let width = q_heads * head_dim;
        let stride = width.next_multiple_of(64);
        let dtype = if exact { Dtype::F32 } else { Dtype::F16 };
        let all = first + wanted.len() + after;
        let query: Vec<f32> = noise(seed, all * width).iter().map(|x| x * spread).collect();
        let cache = |seed: u64| -> Vec<f32> {
            noise(seed, rows * kv_heads * head_dim).iter().map(|x| round(*x, dtype)).collect()
        };
        let (keys, values) = (cache(seed ^ 2), cache(seed ^ 3));
        let pack = |values: &[f32]| lab.store(encode(&strided(values, head_dim, blocks * 8), dtype), path);
        let q_stride = (q_heads * blocks * 8).next_multiple_of(64);
        let shape = lab.uniform(attention::Shape {
            head_dim: head_dim as u32,
            blocks: blocks as u32,
            group: group as u32,
            quads: group.div_ceil(4) as u32,
            kv_heads: kv_heads as u32,
            q_stride: q_stride as u32,
            stride: stride as u32,
            scale: 1.0 / (head_dim as f32).sqrt(),
            split: u32::MAX,
            splits: 1,
            normalize: 0,
            epsilon: 0.0,
        });
        // Three sequences, each with its rows all over the cache. Their tables do not follow each other in order.
        let starts = [1, 2, 0].map(|place| place * context);
        let mut table = vec![0; 3 * context];
        for (sequence, start) in (5..).zip(starts) {
            table[start..][..context].copy_from_slice(&permutation(seed ^ sequence, rows)[..context]);
        }
        // Rows that nobody asks for have positions too.
        let mut tokens = vec![TokenInput { position: 3, ..token(0) }; all];
        for (token, (sequence, position)) in tokens[first..].iter_mut().zip(&wanted) {
            (token.table, token.position) = (starts[*sequence] as u32, *position);
        }
        let (token_buffer, table_buffer) = (lab.buffer(bytemuck::cast_slice(&tokens)), lab.buffer(bytemuck::cast_slice(&table)));
        let mut padded = Vec::new();
        for heads in query.chunks_exact(width) {
            padded.extend(strided(heads, head_dim, blocks * 8));
            padded.resize(padded.len().next_multiple_of(q_stride), 0.0);
        }
        padded.resize(padded.len() + UNIFORM_WINDOW as usize / 4, 0.0);
        let queries = lab.floats(&padded);
        let (key_store, value_store) = (pack(&keys), pack(&values));
        let output = lab.floats(&vec![UNTOUCHED; all * stride]);
        let first_row = lab.uniform(first_row(first));
        // Each row's number, at the start of a window of its own.
        let numbers: Vec<[u32; 64]> = (0..all as u32).map(|row| [row; 64]).collect();
        let token_indices = lab.buffer(bytemuck::cast_slice(&numbers));
        let lanes = if subgroups { lab.gpu.subgroup_lanes } else { 0 };
        let covered = attention::COVERED[seed as usize % 2];
        let (spec, resources, offsets) = match path {
            ComputePath::Gpu => {
                let spread = Spread::new(head_dim, BatchClass::Prompt, lanes);
                let bindings = attention::PromptBindings {
                    shape: shape.as_entire_binding(),
                    tokens: token_buffer.as_entire_binding(),
                    queries: queries.as_entire_binding(),
                    keys: key_store.binding(),
                    values: value_store.binding(),
                    output: output.as_entire_binding(),
                    first_row: first_row.as_entire_binding(),
                    rows: table_buffer.as_entire_binding(),
                };
                (attention::spec(BatchClass::Prompt, exact, spread), bindings.into_list(), vec![])
            }
            ComputePath::Software => {
                let bindings = attention::LanesBindings {
                    shape: shape.as_entire_binding(),
                    tokens: token_buffer.as_entire_binding(),
                    queries: window(&queries, 0, UNIFORM_WINDOW),
                    keys: key_store.binding(),
                    values: value_store.binding(),
                    output: output.as_entire_binding(),
                    token_index: window(&token_indices, 0, 16),
                    rows: table_buffer.as_entire_binding(),
                };
                let offsets = vec![(first * q_stride * 4) as u32, first as u32 * 256];
                (attention::lanes_spec(exact, lanes >= 8, covered), bindings.into_list(), offsets)
            }
        };
        let count = wanted.len() as u32;
        let workgroups = match path {
            ComputePath::Gpu => attention::workgroups(q_heads as u32, kv_heads as u32),
            ComputePath::Software => {
                attention::lanes_workgroups(q_heads as u32, kv_heads as u32, blocks as u32, covered)
            }
        };
        let out = lab.run(&spec, &resources, &offsets, (workgroups, count, 1), &output);
        for (t, token) in tokens.iter().enumerate() {
            if !(first..first + wanted.len()).contains(&t) {
                let row = &out[t * stride..][..stride];
                prop_assert!(row.iter().all(|x| *x == UNTOUCHED), "another class's row {t} was written");
                continue;
            }
            for head in 0..q_heads {
                let kv_head = head / group;
                let entries = |cache: &[f32]| -> Vec<Vec<f64>> {
                    (0..=token.position)
                        .map(|p| table[(token.table + p) as usize] as usize)
                        .map(|row| widen(&cache[(row * kv_heads + kv_head) * head_dim..][..head_dim]))
                        .collect()
                };
                let q = widen(&query[t * width + head * head_dim..][..head_dim]);
                let expected = twin::attention(&q, &entries(&keys), &entries(&values));
                for (d, e) in expected.iter().enumerate() {
                    let actual = out[t * stride + head * head_dim + d];
                    prop_assert!((f64::from(actual) - e).abs() < 5e-5, "token {t} head {head} d {d}: {actual} instead of {e}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(config(192))]

    /// All mappings in all layouts, all formats, all outputs; parts that begin at another output; several tokens, which begin anywhere.
    /// Every mapping of a class makes the very bits that the others make.
    #[test]
    fn linear_matches_its_twin(
        mapping in prop::sample::select(Mapping::ALL.to_vec()), dtype in dtypes(),
        output in prop::sample::select(Output::ALL.to_vec()), rows in 1usize..300, columns in 1usize..700,
        extra in 0usize..40, first in 0usize..12, out_offset in 0usize..70, activation in 0u32..4,
        tuning in tunings(), is_normed: bool, seed: u64,
    ) {
        let lab = lab();
        let kind = if is_normed && mapping.can_norm() { Input::Normed } else { Input::Plain };
        let path = if mapping.windows() > 0 { ComputePath::Software } else { ComputePath::Gpu };
        // Where an adapter's subgroups are too small for a layout, it goes without.
        let lanes = lab.gpu.subgroup_lanes;
        let exact = Tuning { int8: false, ..tuning };
        let subgroups = tuning.subgroups && exact.is_possible(path, lanes);
        let tuning = Tuning { subgroups, ..tuning };
        let int8 = tuning.int8 && tuning.is_possible(path, lanes);
        let tuning = Tuning { int8, ..tuning };
        let class = if mapping.can_norm() { BatchClass::Generated } else { BatchClass::Prompt };
        let arithmetic = match mapping {
            Mapping::PrefillOctets => Arithmetic::Float,
            _ => tuning.arithmetic(class, dtype),
        };
        let rows = if output == Output::Gated { rows.next_multiple_of(2) } else { rows };
        // Other widths are not quantised.
        let columns = if dtype.is_quantized() { columns.next_multiple_of(16) } else { columns };
        let outputs = if output == Output::Gated { rows / 2 } else { rows };
        // Lanes compute exactly their tokens a dispatch; rows and tiles any number.
        let lanes_columns = 1 + extra % 5;
        let count = match mapping {
            Mapping::DecodeLanes => 1,
            Mapping::PrefillLanes => 4 * lanes_columns,
            Mapping::PrefillOctets => 8 * lanes_columns,
            Mapping::DecodeRows => 1 + extra % 3,
            Mapping::FewRows(_) => 2 + extra % 15,
            Mapping::PrefillSingle => 1 + extra % 3,
            Mapping::PrefillNarrow => 1 + extra % 24,
            Mapping::PrefillTiles => 1 + extra,
            Mapping::PrefillWide | Mapping::PrefillLarge => 1 + 2 * extra,
            Mapping::PrefillMatrices => unreachable!("in `matrices`"),
        };
        // Rows that were generated come first; windows begin anywhere.
        let first = if matches!(mapping, Mapping::DecodeRows | Mapping::FewRows(_)) { 0 } else { first };
        // Room for the padding of any mapping of the class, and for others' rows behind it.
        let all = first + count.next_multiple_of(64) + 3;
        let in_stride = columns.next_multiple_of(64);
        let out_stride = (out_offset + outputs).next_multiple_of(64);
        let w: Vec<f32> = noise(seed, rows * columns);
        let weights = lab.weights(&w, columns, dtype, path);
        let x: Vec<f32> = noise(seed ^ 1, all * columns);
        let before = noise(seed ^ 2, all * out_stride);
        let (pairs, second) = output.pairs(rows as u32);
        let blocks = (columns.next_multiple_of(ROW_PAD) / 8) as u32;
        let shape = lab.uniform(linear::Shape {
            rows: rows as u32,
            blocks,
            units: weights.units,
            pairs,
            second,
            out_offset: out_offset as u32,
            out_stride: out_stride as u32,
            in_stride: in_stride as u32 / 4,
            activation,
            width: columns as u32,
            epsilon: 1e-6,
        });
        let norm: Vec<f32> = noise(seed ^ 3, columns).iter().map(|x| 1.0 + x).collect();
        let norm_buffer = lab.floats(&strided(&norm, columns, UNIFORM_WINDOW as usize / 4));
        let mut input = strided(&x, columns, in_stride);
        input.resize(input.len() + UNIFORM_WINDOW as usize / 4, 0.0);
        let input = lab.floats(&input);
        let first_row = lab.uniform(first_row(first));
        let run = |mapping: Mapping, blocks: u32| {
            let out_buffer = lab.floats(&before);
            let workgroups = mapping.workgroups(pairs, tuning);
            let product = linear::Product { path, mapping, dtype, arithmetic, input: kind, output, blocks };
            let tokens = mapping.tokens() as usize;
            let per_dispatch = if tokens == 1 { 1 } else { count };
            let has_windows = mapping.windows() > 0;
            let resources = mapping.bind(|operand| match operand {
                Operand::Shape => shape.as_entire_binding(),
                Operand::Weights => weights.store.binding(),
                Operand::Output if has_windows => window(&out_buffer, 0, (per_dispatch * out_stride * 4) as u64),
                Operand::Output => out_buffer.as_entire_binding(),
                Operand::Input if has_windows => window(&input, 0, UNIFORM_WINDOW),
                Operand::Input => input.as_entire_binding(),
                Operand::Norm => norm_buffer.as_entire_binding(),
                Operand::FirstRow => first_row.as_entire_binding(),
                Operand::Overflow => unreachable!("tests/inside/matrices.rs is for prompts in f16"),
            });
            let dispatches = match mapping {
                Mapping::DecodeLanes => {
                    let dispatches = (first..first + count).map(|row| {
                        let offsets = vec![(row * out_stride * 4) as u32, (row * in_stride * 4) as u32];
                        (offsets, (1, workgroups, 1))
                    });
                    dispatches.collect()
                }
                Mapping::PrefillLanes | Mapping::PrefillOctets => {
                    let mut offsets = vec![(first * out_stride * 4) as u32];
                    offsets.extend((0..4).map(|i| ((first + i * count / 4) * in_stride * 4) as u32));
                    vec![(offsets, ((count / tokens) as u32, workgroups, 1))]
                }
                _ => vec![(vec![], (workgroups, count.div_ceil(tokens) as u32, 1))],
            };
            lab.run_all(&product.spec(tuning), &resources, &dispatches, &out_buffer)
        };
        let out = run(mapping, blocks);
        let ours = first * out_stride..(first + count) * out_stride;
        let others: &[Mapping] = match mapping {
            Mapping::DecodeLanes | Mapping::DecodeRows => &[],
            Mapping::PrefillLanes => &[Mapping::DecodeLanes],
            Mapping::PrefillOctets => &[Mapping::PrefillLanes, Mapping::DecodeLanes],
            Mapping::FewRows(_) => &[Mapping::DecodeRows],
            Mapping::PrefillNarrow => {
                &[Mapping::PrefillTiles, Mapping::PrefillWide, Mapping::PrefillLarge]
            }
            Mapping::PrefillSingle | Mapping::PrefillTiles | Mapping::PrefillWide | Mapping::PrefillLarge => {
                &[Mapping::PrefillNarrow]
            }
            Mapping::PrefillMatrices => &[],
        };
        // Nor does it matter whether a kernel is made for the width.
        let others = others.iter().map(|other| (*other, blocks));
        let of_any_width = (mapping == Mapping::DecodeRows).then_some((mapping, 0));
        for (other, blocks) in others.chain(of_any_width) {
            let same = run(other, blocks);
            let differs = ours.clone().find(|at| out[*at].to_bits() != same[*at].to_bits());
            prop_assert_eq!(differs, None, "{:?} {:?} {}", mapping, other, blocks);
        }
        // Rows of others before and behind stay as they are; what pads the last workgroup is nobody's.
        let end = (first + count.next_multiple_of(mapping.tokens() as usize)) * out_stride;
        prop_assert_eq!(&out[..ours.start], &before[..ours.start]);
        prop_assert_eq!(&out[end..before.len()], &before[end..]);
        for t in first..first + count {
            let x = &x[t * columns..][..columns];
            // A norm's weights come before, its division after whatever is lost to eight bits.
            let (weighed, scale) = match kind {
                Input::Plain | Input::Wide | Input::Attended(_) => (x.to_vec(), 1.0),
                Input::Normed => {
                    let weighed = x.iter().zip(&norm).map(|(x, weight)| x * weight);
                    (weighed.collect(), twin::rms_scale(&widen(x), 1e-6))
                }
            };
            let x = &weighed[..];
            // Eight lanes make four numbers each, or one lane makes eight.
            let x = match (arithmetic, path) {
                (Arithmetic::Int8, ComputePath::Software) => twin::eight_bits(x, 32),
                (Arithmetic::Int8, ComputePath::Gpu) => twin::eight_bits(x, 8),
                (Arithmetic::Float, _) => widen(x),
            };
            let x: Vec<f64> = x.iter().map(|x| x * scale).collect();
            let products = twin::linear(&weights.exact, &x);
            let magnitudes = twin::linear_magnitude(&weights.exact, &x);
            for o in 0..outputs {
                let at = t * out_stride + out_offset + o;
                let (expected, magnitude) = match output {
                    Output::Store => (products[o], magnitudes[o]),
                    Output::Residual => (f64::from(before[at]) + products[o], magnitudes[o] + 1.0),
                    Output::Activated => (twin::activate(activation, products[o]), magnitudes[o]),
                    Output::Gated => {
                        let gate = twin::activate(activation, products[o]);
                        let linear = products[outputs + o];
                        (gate * linear, magnitudes[o] * magnitudes[outputs + o])
                    }
                };
                close(out[at], expected, magnitude)?;
            }
            // What lies before the part is another part's.
            for o in 0..out_offset {
                prop_assert_eq!(out[t * out_stride + o], before[t * out_stride + o]);
            }
        }
    }
}
/// Every f16 there is, through both ways of unpacking.
#[test]
fn f16_unpacks_exactly() {
    let lab = lab();
    let finite: Vec<f32> = (0..=u16::MAX)
        .map(|bits| half::f16::from_bits(bits).to_f32())
        .filter(|x| x.is_finite())
        .collect();
    for path in ComputePath::ALL {
        let width = finite.len();
        let weights = lab.weights(&finite, width, Dtype::F16, path);
        let shape = lab.uniform(embed::Shape {
            blocks: width.div_ceil(8) as u32,
            units: weights.units,
            row_first: 0,
            row_count: 1,
            out_stride: width.div_ceil(8) as u32 * 2,
        });
        let tokens = lab.buffer(bytemuck::bytes_of(&token(0)));
        let hidden = lab.floats(&vec![0.0; width.next_multiple_of(8)]);
        let resources = [
            shape.as_entire_binding(),
            weights.store.binding(),
            hidden.as_entire_binding(),
            tokens.as_entire_binding(),
            // Nobody's token is chosen.
            tokens.as_entire_binding(),
        ];
        let grid = (embed::workgroups(width.div_ceil(8) as u32), 1, 1);
        let out = lab.run(
            &embed::spec(path, Dtype::F16),
            &resources,
            &[],
            grid,
            &hidden,
        );
        for (x, y) in out.iter().zip(&finite) {
            assert_eq!(x, y, "{path:?}");
        }
    }
}

/// The peak is only true if every round was computed.
#[test]
fn arithmetic_peak_computes_every_round() {
    let lab = lab();
    let (workgroups, rounds) = (2, 704);
    let (factor, offset) = (0.999, 0.001);
    let shape = lab.uniform(arithmetic_peak::Shape {
        rounds,
        factor,
        offset,
    });
    let results = lab.floats(&vec![0.0; (workgroups * LANES) as usize]);
    let resources = [shape.as_entire_binding(), results.as_entire_binding()];
    let spec = arithmetic_peak::spec();
    let out = lab.run(&spec, &resources, &[], (workgroups, 1, 1), &results);
    for (i, actual) in out.iter().enumerate() {
        let lane = i % LANES as usize;
        let (factor, offset) = (f64::from(factor), f64::from(offset));
        let expected = twin::arithmetic_peak(lane, rounds, factor, offset);
        assert!(
            (f64::from(*actual) - expected).abs() < 1e-3 * expected,
            "{actual} {expected}"
        );
    }
}

/// The bandwidth that everything is held against is only true if every unit was read, and once.
#[test]
fn read_bandwidth_reads_every_unit_once() {
    let lab = lab();
    let (workgroups, units) = (3, 24);
    let rows = (workgroups * LANES) as usize;
    let count = rows * units as usize;
    let values: Vec<[f32; 4]> = noise(30, count * 4).as_chunks().0.to_vec();
    let shape = lab.uniform(read_bandwidth::Shape { units });
    for path in ComputePath::ALL {
        let store = lab.store(bytemuck::cast_slice(&values).to_vec(), path);
        let folded = lab.floats(&vec![0.0; rows * 4]);
        let resources = [
            shape.as_entire_binding(),
            store.binding(),
            folded.as_entire_binding(),
        ];
        let spec = read_bandwidth::spec(path);
        let out = lab.run(&spec, &resources, &[], (workgroups, 1, 1), &folded);
        let expected = twin::read_bandwidth(&values, units as usize, LANES as usize, path);
        for (actual, expected) in out.as_chunks::<4>().0.iter().zip(&expected) {
            assert_eq!(&actual.map(f32::to_bits), expected, "{path:?}");
        }
    }
}
