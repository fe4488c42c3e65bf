//! Every kernel against its twin on the CPU, over random shapes: widths that fill no block, one token, the last position.

mod common;
mod twin;

use std::sync::OnceLock;

use common::{encode, noise};
use openelm::checkpoint::quantize::{dequantize_row, quantize_row};
use openelm::gpu::pipeline::window;
use openelm::gpu::{KernelSpec, Readback};
use openelm::kernels::linear::{Input, Mapping, Output, Tuning, UNIFORM_WINDOW};
use openelm::kernels::{
    FILES, LANES, ROW_PAD, TokenInput, WeightSource, arithmetic_peak, attention, embed, linear,
    qk_norm_rope, read_bandwidth, rms_norm,
};
use openelm::{Dtype, Gpu};
use proptest::prelude::*;
use wgpu::util::DeviceExt;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: common::seed(270),
        ..ProptestConfig::default()
    }
}

/// A device with a few conveniences.
struct Lab {
    gpu: Gpu,
}

fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| Lab {
        gpu: Gpu::open(None).unwrap(),
    })
}

impl Lab {
    fn buffer(&self, bytes: &[u8]) -> wgpu::Buffer {
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().next_multiple_of(16).max(16), 0);
        let descriptor = wgpu::util::BufferInitDescriptor {
            label: None,
            contents: &padded,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::UNIFORM
                | wgpu::BufferUsages::COPY_SRC,
        };
        self.gpu.device.create_buffer_init(&descriptor)
    }

    fn floats(&self, values: &[f32]) -> wgpu::Buffer {
        self.buffer(bytemuck::cast_slice(values))
    }

    fn uniform<T: bytemuck::Pod>(&self, value: T) -> wgpu::Buffer {
        self.buffer(bytemuck::bytes_of(&value))
    }

    fn run(
        &self,
        spec: &KernelSpec,
        resources: &[wgpu::BindingResource<'_>],
        offsets: &[u32],
        (x, y, z): (u32, u32, u32),
        output: &wgpu::Buffer,
    ) -> Vec<f32> {
        let pipeline = &self.gpu.compile(FILES, std::slice::from_ref(spec)).unwrap()[0];
        let bind_group = pipeline.bind(&self.gpu, resources);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, &bind_group, offsets);
            pass.dispatch_workgroups(x, y, z);
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
    fn store(&self, mut bytes: Vec<u8>, source: WeightSource) -> Store {
        if source == WeightSource::Buffer {
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
    fn read(&self, store: &Store) -> Vec<f32> {
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
    fn weights(
        &self,
        values: &[f32],
        columns: usize,
        dtype: Dtype,
        source: WeightSource,
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
                let at = match source {
                    WeightSource::Buffer => row * units + unit,
                    WeightSource::Texture => (row / 8 * units + unit) * 8 + row % 8,
                };
                bytes[at * 16..][..16].copy_from_slice(&packed[unit * 16..][..16]);
            }
        }
        let store = self.store(bytes, source);
        Weights {
            store,
            units: units as u32,
            // What the device holds, after rounding.
            exact,
        }
    }
}

enum Store {
    Buffer(wgpu::Buffer),
    Texture(wgpu::Texture, wgpu::TextureView),
}

struct Weights {
    store: Store,
    units: u32,
    exact: Vec<f64>,
}

impl Store {
    fn binding(&self) -> wgpu::BindingResource<'_> {
        match self {
            Store::Buffer(buffer) => buffer.as_entire_binding(),
            Store::Texture(_, view) => wgpu::BindingResource::TextureView(view),
        }
    }
}

fn round(x: f32, dtype: Dtype) -> f32 {
    match dtype {
        Dtype::F32 => x,
        Dtype::F16 => half::f16::from_f32(x).to_f32(),
        Dtype::Bf16 => half::bf16::from_f32(x).to_f32(),
        Dtype::Q8 | Dtype::Q4 => panic!("not number by number"),
    }
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}

/// Rows of `width` values at `stride`, zeros between.
fn strided(values: &[f32], width: usize, stride: usize) -> Vec<f32> {
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

fn sources() -> impl Strategy<Value = WeightSource> {
    prop::sample::select(WeightSource::ALL.to_vec())
}

fn tunings() -> impl Strategy<Value = Tuning> {
    let of = |sizes: [u32; 4]| prop::sample::select(sizes.to_vec());
    let flags = (any::<bool>(), any::<bool>());
    (of(Tuning::LANES), of(Tuning::COLUMNS), flags).prop_map(
        |(lanes, columns, (subgroups, int8))| Tuning {
            lanes,
            columns,
            subgroups,
            int8,
            ..Tuning::default()
        },
    )
}

fn token(id: u32, position: u32, cache_start: u32) -> TokenInput {
    TokenInput {
        id,
        position,
        cache_start,
        logits_from: 0,
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn embed_matches_its_twin(
        dtype in dtypes(), source in sources(), width in 1usize..700, rows in 1usize..40, first in 0u32..20,
        wanted in prop::collection::vec(0u32..60, 1..6), seed: u64,
    ) {
        let lab = lab();
        let values = noise(seed, rows * width);
        let weights = lab.weights(&values, width, dtype, source);
        let stride = width.next_multiple_of(64);
        let shape = lab.uniform(embed::Shape {
            blocks: width.div_ceil(8) as u32,
            units: weights.units,
            row_first: first,
            row_count: rows as u32,
            out_stride: stride as u32 / 4,
        });
        let tokens: Vec<TokenInput> = wanted.iter().map(|id| token(*id, 0, 0)).collect();
        let tokens = lab.buffer(bytemuck::cast_slice(&tokens));
        let hidden = lab.floats(&vec![7.0; wanted.len() * stride]);
        let resources = [
            shape.as_entire_binding(), weights.store.binding(), hidden.as_entire_binding(), tokens.as_entire_binding(),
        ];
        let grid = (embed::workgroups(width.div_ceil(8) as u32), wanted.len() as u32, 1);
        let output = lab.run(&embed::spec(source, dtype), &resources, &[], grid, &hidden);
        for (t, id) in wanted.iter().enumerate() {
            let row = &output[t * stride..][..width];
            match id.checked_sub(first).filter(|row| (*row as usize) < rows) {
                // Exact: a lookup only unpacks. Numbers below f32's normal range may be flushed.
                Some(at) => for (x, y) in row.iter().zip(twin::embed(&weights.exact, width, &[at])) {
                    let tolerance = if dtype.is_quantized() { 1e-6 } else { 0.0 };
                    prop_assert!((f64::from(*x) - y).abs() <= tolerance * y.abs(), "{x} instead of {y}");
                },
                None => prop_assert!(row.iter().all(|x| *x == 7.0), "a row of another part was written"),
            }
        }
    }

    #[test]
    fn rms_norm_matches_its_twin(width in 1usize..1500, count in 1usize..5, gather: bool, scale in 1e-3f32..1e3, seed: u64) {
        let lab = lab();
        let stride = width.next_multiple_of(64);
        let x: Vec<f32> = noise(seed, width * count).iter().map(|x| x * scale).collect();
        let weight = noise(seed ^ 1, width);
        let shape = lab.uniform(rms_norm::Shape {
            width: width as u32,
            vectors: width.div_ceil(4) as u32,
            stride: stride as u32 / 4,
            gather: u32::from(gather),
            epsilon: 1e-6,
        });
        let from = |t: usize| if gather { count - 1 - t } else { t };
        let tokens: Vec<TokenInput> = (0..count)
            .map(|t| TokenInput { logits_from: from(t) as u32, ..token(0, 0, 0) })
            .collect();
        let tokens = lab.buffer(bytemuck::cast_slice(&tokens));
        let weights = lab.floats(&strided(&weight, width, stride));
        let input = lab.floats(&strided(&x, width, stride));
        let output = lab.floats(&vec![0.0; stride * count]);
        let resources = [
            shape.as_entire_binding(), weights.as_entire_binding(), output.as_entire_binding(),
            input.as_entire_binding(), tokens.as_entire_binding(),
        ];
        let out = lab.run(&rms_norm::spec(), &resources, &[], (1, count as u32, 1), &output);
        for t in 0..count {
            let expected = twin::rms_norm(&widen(&x[from(t) * width..][..width]), &widen(&weight), 1e-6);
            for (a, e) in out[t * stride..].iter().zip(&expected) {
                close(*a, *e, e.abs())?;
            }
        }
    }

    #[test]
    fn qk_norm_rope_matches_its_twin(
        half in 1usize..=128, kv_heads in 1usize..4, group in 1usize..4, exact: bool, normalize: bool, source in sources(),
        place in prop::sample::select(vec![0u32, 1, 30, 31]), second_sequence: bool, seed: u64,
    ) {
        let lab = lab();
        let (head_dim, q_heads, rows) = (2 * half, kv_heads * group, 64usize);
        let heads = q_heads + 2 * kv_heads;
        let width = heads * head_dim;
        let blocks = head_dim.div_ceil(8);
        let (qkv_stride, q_stride) = (width.next_multiple_of(64), (q_heads * blocks * 8).next_multiple_of(64));
        let cache_start = if second_sequence { 32 } else { 0 };
        // Two tokens: the second at the last position of its sequence when `place` is 30.
        let tokens = [token(0, place, cache_start), token(0, (place + 1).min(31), cache_start)];
        let count = if place == 31 { 1 } else { 2 };
        let qkv = noise(seed, width * 2);
        let mut norms = noise(seed ^ 1, 2 * head_dim);
        norms.resize(2 * head_dim + 8, 0.0);
        let shape = lab.uniform(qk_norm_rope::Shape {
            head_dim: head_dim as u32,
            blocks: blocks as u32,
            q_heads: q_heads as u32,
            kv_heads: kv_heads as u32,
            cache_rows: rows as u32,
            normalize: u32::from(normalize),
            qkv_stride: qkv_stride as u32,
            q_stride: q_stride as u32 / 4,
            epsilon: 1e-6,
        });
        let entry = blocks * 8 * if exact { 4 } else { 2 };
        let token_buffer = lab.buffer(bytemuck::cast_slice(&tokens));
        let qkv_buffer = lab.floats(&strided(&qkv, width, qkv_stride));
        let norm_buffer = lab.floats(&norms);
        let table = lab.buffer(bytemuck::cast_slice(&qk_norm_rope::rotations(0..32, head_dim, 10000.0)));
        let queries = lab.floats(&vec![0.0; 2 * q_stride]);
        let keys = lab.store(vec![0; kv_heads * rows * entry], source);
        let values = lab.store(vec![0; kv_heads * rows * entry], source);
        let resources = [
            shape.as_entire_binding(), token_buffer.as_entire_binding(), qkv_buffer.as_entire_binding(),
            norm_buffer.as_entire_binding(), table.as_entire_binding(), queries.as_entire_binding(),
            keys.binding(), values.binding(),
        ];
        let spec = qk_norm_rope::spec(source, exact);
        let grid = (qk_norm_rope::workgroups(q_heads as u32, kv_heads as u32), count as u32, 1);
        let queries = lab.run(&spec, &resources, &[], grid, &queries);
        let (keys, values) = (lab.read(&keys), lab.read(&values));
        let cached = |cache: &[f32], head: usize, row: usize, d: usize| -> f32 {
            let bytes: &[u8] = bytemuck::cast_slice(cache);
            let at = (head * rows + row) * entry;
            if exact {
                bytemuck::pod_read_unaligned(&bytes[at + 4 * d..][..4])
            } else {
                half::f16::from_le_bytes([bytes[at + 2 * d], bytes[at + 2 * d + 1]]).to_f32()
            }
        };
        let cache_error = if exact { 0.0 } else { 1.0 / 2048.0 };
        for (t, token) in tokens.iter().enumerate().take(count) {
            let row = (token.cache_start + token.position) as usize;
            for head in 0..heads {
                let x = widen(&qkv[t * width + head * head_dim..][..head_dim]);
                let is_value = head >= q_heads + kv_heads;
                let weight = if head < q_heads { &norms[..head_dim] } else { &norms[head_dim..2 * head_dim] };
                let normed = if normalize && !is_value { twin::rms_norm(&x, &widen(weight), 1e-6) } else { x };
                let expected = if is_value { normed } else { twin::rope(&normed, token.position, 10000.0) };
                for (d, e) in expected.iter().enumerate() {
                    let (actual, tolerance) = if head < q_heads {
                        (queries[t * q_stride + head * blocks * 8 + d], 0.0)
                    } else if is_value {
                        (cached(&values, head - q_heads - kv_heads, row, d), cache_error)
                    } else {
                        (cached(&keys, head - q_heads, row, d), cache_error)
                    };
                    // Angles are rounded to f32, as in Apple's code: 32 radians to 2e-6.
                    let error = (f64::from(actual) - e).abs();
                    prop_assert!(error <= 2e-5 + tolerance * (e.abs() + 1e-4), "head {head} d {d}: {actual} instead of {e}");
                }
                // Padding behind the head is zero, which attention counts on.
                for d in head_dim..blocks * 8 {
                    if head >= q_heads && !is_value {
                        prop_assert_eq!(cached(&keys, head - q_heads, row, d), 0.0);
                    }
                }
            }
        }
    }

    #[test]
    fn attention_matches_its_twin(
        half in prop_oneof![1usize..40, Just(64), Just(128)], kv_heads in 1usize..3, group in 1usize..7, exact: bool,
        source in sources(), position in prop_oneof![0u32..5, 60u32..70, 120u32..200, Just(214)],
        split in prop_oneof![Just(64u32), Just(128), Just(u32::MAX)], spread in 0.1f32..20.0, subgroups: bool, seed: u64,
    ) {
        let lab = lab();
        let (head_dim, q_heads) = (2 * half, kv_heads * group);
        let (rows, cache_start) = (256usize, 40u32);
        let blocks = head_dim.div_ceil(8);
        let width = q_heads * head_dim;
        let stride = width.next_multiple_of(64);
        let dtype = if exact { Dtype::F32 } else { Dtype::F16 };
        let query: Vec<f32> = noise(seed, 2 * width).iter().map(|x| x * spread).collect();
        let cache = |seed: u64| -> Vec<f32> {
            noise(seed, kv_heads * rows * head_dim).iter().map(|x| round(*x, dtype)).collect()
        };
        let (keys, values) = (cache(seed ^ 2), cache(seed ^ 3));
        let pack = |values: &[f32]| lab.store(encode(&strided(values, head_dim, blocks * 8), dtype), source);
        let q_stride = (q_heads * blocks * 8).next_multiple_of(64);
        let shape = lab.uniform(attention::Shape {
            head_dim: head_dim as u32,
            blocks: blocks as u32,
            group: group as u32,
            quads: group.div_ceil(4) as u32,
            cache_rows: rows as u32,
            q_stride: q_stride as u32,
            stride: stride as u32,
            scale: 1.0 / (head_dim as f32).sqrt(),
            split,
            splits: (rows as u32).div_ceil(split),
        });
        // The second ends at the last row.
        let tokens = [token(0, position, cache_start), token(0, position + 1, cache_start)];
        let token_buffer = lab.buffer(bytemuck::cast_slice(&tokens));
        let mut padded = Vec::new();
        for heads in query.chunks_exact(width) {
            padded.extend(strided(heads, head_dim, blocks * 8));
            padded.resize(padded.len().next_multiple_of(q_stride), 0.0);
        }
        padded.resize(padded.len() + UNIFORM_WINDOW as usize / 4, 0.0);
        let queries = lab.floats(&padded);
        let (key_store, value_store) = (pack(&keys), pack(&values));
        let output = lab.floats(&vec![0.0; 2 * stride]);
        let quads = kv_heads * group.div_ceil(4);
        let vectors = 2 * rows.div_ceil(64) * quads * attention::partial_vectors(head_dim);
        let partials = lab.floats(&vec![0.0; 4 * vectors]);
        let mut resources = vec![shape.as_entire_binding(), token_buffer.as_entire_binding()];
        let rest = [key_store.binding(), value_store.binding(), output.as_entire_binding()];
        let firsts = lab.uniform([0u32; 4]);
        let mut offsets: &[u32] = &[];
        match source {
            WeightSource::Buffer => {
                resources.push(queries.as_entire_binding());
                resources.extend(rest);
                resources.push(partials.as_entire_binding());
            }
            WeightSource::Texture => {
                resources.push(window(&queries, 0, UNIFORM_WINDOW));
                resources.extend(rest);
                resources.push(window(&firsts, 0, 16));
                offsets = &[0, 0];
            }
        }
        let workgroups = attention::workgroups(source, q_heads as u32, kv_heads as u32, blocks as u32);
        let splits = match source {
            WeightSource::Buffer => (position + 2).div_ceil(split),
            WeightSource::Texture => 1,
        };
        let subgroups = subgroups && lab.gpu.subgroup_lanes >= 8;
        let spec = attention::spec(source, exact, subgroups);
        let mut out = lab.run(&spec, &resources, offsets, (workgroups, 2, splits), &output);
        if splits > 1 {
            // Leaves alone what is done already.
            let resources = [
                shape.as_entire_binding(),
                token_buffer.as_entire_binding(),
                partials.as_entire_binding(),
                output.as_entire_binding(),
            ];
            out = lab.run(&attention::merge_spec(), &resources, &[], (workgroups, 2, 1), &output);
        }
        for (t, token) in tokens.iter().enumerate() {
            for head in 0..q_heads {
                let kv_head = head / group;
                let entries = |cache: &[f32]| -> Vec<Vec<f64>> {
                    (0..=token.position)
                        .map(|p| widen(&cache[(kv_head * rows + (cache_start + p) as usize) * head_dim..][..head_dim]))
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
    #![proptest_config(config(160))]

    /// All mappings in all layouts, all formats, all outputs; parts that begin at another output; several tokens. Few tokens get the
    /// very bits that each would get alone.
    #[test]
    fn linear_matches_its_twin(
        mapping in prop::sample::select(Mapping::ALL.to_vec()), dtype in dtypes(),
        output in prop::sample::select(Output::ALL.to_vec()), rows in 1usize..300, columns in 1usize..400,
        extra in 0usize..40, out_offset in 0usize..70, activation in 0u32..4,
        tuning in tunings(), is_normed: bool, seed: u64,
    ) {
        let lab = lab();
        let kind = if is_normed && mapping.is_for_few() { Input::Normed } else { Input::Plain };
        let source = if mapping.windows() > 0 { WeightSource::Texture } else { WeightSource::Buffer };
        // Where an adapter's subgroups are too small for a layout, it goes without.
        let lanes = lab.gpu.subgroup_lanes;
        let exact = Tuning { int8: false, ..tuning };
        let subgroups = tuning.subgroups && exact.is_possible(source, lanes);
        let tuning = Tuning { subgroups, ..tuning };
        let int8 = tuning.int8 && tuning.is_possible(source, lanes);
        let tuning = Tuning { int8, ..tuning };
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
            Mapping::FewRows => 2 + extra % 15,
            Mapping::PrefillTiles => 1 + extra,
            Mapping::PrefillWide => 1 + 2 * extra,
        };
        let padded_count = count.next_multiple_of(mapping.tokens() as usize);
        let in_stride = columns.next_multiple_of(64);
        let out_stride = (out_offset + outputs).next_multiple_of(64);
        let w: Vec<f32> = noise(seed, rows * columns);
        let weights = lab.weights(&w, columns, dtype, source);
        let x: Vec<f32> = noise(seed ^ 1, padded_count * columns);
        let before = noise(seed ^ 2, padded_count * out_stride);
        let (pairs, second) = output.pairs(rows as u32);
        let shape = lab.uniform(linear::Shape {
            rows: rows as u32,
            blocks: (columns.next_multiple_of(ROW_PAD) / 8) as u32,
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
        let run = |mapping: Mapping| {
            let out_buffer = lab.floats(&before);
            let mut resources = vec![shape.as_entire_binding(), weights.store.binding()];
            let mut offsets = Vec::new();
            let workgroups = mapping.workgroups(pairs, tuning);
            let token_groups = (count as u32).div_ceil(mapping.tokens());
            let grid = if mapping.windows() > 0 {
                resources.push(window(&out_buffer, 0, (count * out_stride * 4) as u64));
                resources.push(norm_buffer.as_entire_binding());
                offsets.push(0);
                for t in 0..mapping.windows() {
                    resources.push(window(&input, 0, UNIFORM_WINDOW));
                    let columns = count as u32 / mapping.windows();
                    offsets.push(t * columns * in_stride as u32 * 4);
                }
                (token_groups, workgroups, 1)
            } else {
                resources.push(out_buffer.as_entire_binding());
                resources.push(input.as_entire_binding());
                if mapping.is_for_few() {
                    resources.push(norm_buffer.as_entire_binding());
                }
                (workgroups, token_groups, 1)
            };
            let spec = linear::spec(mapping, source, dtype, kind, output, tuning);
            lab.run(&spec, &resources, &offsets, grid, &out_buffer)
        };
        let out = run(mapping);
        if mapping == Mapping::FewRows {
            let alone = run(Mapping::DecodeRows);
            let all = count * out_stride;
            prop_assert_eq!(&out[..all], &alone[..all]);
        }
        for t in 0..count {
            let x = &x[t * columns..][..columns];
            // A norm's weights come before, its division after whatever is lost to eight bits.
            let (weighed, scale) = match kind {
                Input::Plain => (x.to_vec(), 1.0),
                Input::Normed => {
                    let weighed = x.iter().zip(&norm).map(|(x, weight)| x * weight);
                    (weighed.collect(), twin::rms_scale(&widen(x), 1e-6))
                }
            };
            let x = &weighed[..];
            // Eight lanes make four numbers each, or one lane makes eight.
            let x = match (mapping.is_int8(dtype, tuning), source) {
                (true, WeightSource::Texture) => twin::eight_bits(x, 32),
                (true, WeightSource::Buffer) => twin::eight_bits(x, 8),
                (false, _) => widen(x),
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
    for source in WeightSource::ALL {
        let width = finite.len();
        let weights = lab.weights(&finite, width, Dtype::F16, source);
        let shape = lab.uniform(embed::Shape {
            blocks: width.div_ceil(8) as u32,
            units: weights.units,
            row_first: 0,
            row_count: 1,
            out_stride: width.div_ceil(8) as u32 * 2,
        });
        let tokens = lab.buffer(bytemuck::bytes_of(&token(0, 0, 0)));
        let hidden = lab.floats(&vec![0.0; width.next_multiple_of(8)]);
        let resources = [
            shape.as_entire_binding(),
            weights.store.binding(),
            hidden.as_entire_binding(),
            tokens.as_entire_binding(),
        ];
        let grid = (embed::workgroups(width.div_ceil(8) as u32), 1, 1);
        let out = lab.run(
            &embed::spec(source, Dtype::F16),
            &resources,
            &[],
            grid,
            &hidden,
        );
        for (x, y) in out.iter().zip(&finite) {
            assert_eq!(x, y, "{source:?}");
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
    for source in WeightSource::ALL {
        let store = lab.store(bytemuck::cast_slice(&values).to_vec(), source);
        let folded = lab.floats(&vec![0.0; rows * 4]);
        let resources = [
            shape.as_entire_binding(),
            store.binding(),
            folded.as_entire_binding(),
        ];
        let spec = read_bandwidth::spec(source);
        let out = lab.run(&spec, &resources, &[], (workgroups, 1, 1), &folded);
        let expected = twin::read_bandwidth(&values, units as usize, LANES as usize, source);
        for (actual, expected) in out.as_chunks::<4>().0.iter().zip(&expected) {
            assert_eq!(&actual.map(f32::to_bits), expected, "{source:?}");
        }
    }
}
