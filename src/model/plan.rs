//! The plan of a step: every dispatch with its bind group, built once for a session. Nothing is made while a step is recorded.

use super::Network;
use super::op::{Launch, Op, Spread, Stage, Traffic, floats};
use super::scratch::{self, Scratch, stride};
use super::weights::{Layout, Matrix, Part};
use crate::checkpoint::config::NORM_EPSILON;
use crate::checkpoint::{Activation, Config};
use crate::error::Result;
use crate::gpu::KernelSpec;
use crate::gpu::pipeline::window;
use crate::kernels::linear::{Input, Mapping, Output, Tokens, Tuning, UNIFORM_WINDOW};
use crate::kernels::{
    BLOCK, LANES, WeightSource, attention, embed, linear, qk_norm_rope, rms_norm,
};

/// Tokens a tile of the output head: there are few rows of logits.
const HEAD_TILE: u32 = scratch::LOGITS_TILE as u32;

/// All operations in order.
pub struct Plan {
    /// Embedding and layers, for every token of the step.
    pub trunk: Vec<Op>,
    /// Final norm and output head, for every row of logits.
    pub tail: Vec<Op>,
}

/// The kernels that a plan for this model will ask for.
pub fn kernels(
    config: &Config,
    layout: &Layout,
    source: WeightSource,
    tuning: Tuning,
    exact_kv: bool,
) -> Vec<KernelSpec> {
    let mut specs = vec![
        rms_norm::spec(),
        qk_norm_rope::spec(source, exact_kv),
        attention::spec(source, exact_kv, tuning.subgroups),
    ];
    if source == WeightSource::Buffer {
        specs.push(attention::merge_spec());
    }
    for dtype in layout.dtypes() {
        specs.push(embed::spec(source, dtype));
        for tokens in Tokens::ALL {
            let normed = normed_for(tokens);
            // QKV, head, out and proj_2, proj_1.
            let products = [
                (normed, Output::Store),
                (Input::Plain, Output::Store),
                (Input::Plain, Output::Residual),
                (normed, ffn_output(config)),
            ];
            // Rows that fill a window, rows that do not, and the head's tile.
            for (tile, in_window) in [(tuning.tile, 1), (tuning.tile, 2), (HEAD_TILE, 1)] {
                let mapping = Mapping::of(source, tokens, tile, in_window);
                for (input, output) in products {
                    specs.push(linear::spec(mapping, source, dtype, input, output, tuning));
                }
            }
        }
    }
    specs
}

/// How the products behind a norm see it: many tokens share a dispatch of their own, few compute it along.
fn normed_for(tokens: Tokens) -> Input {
    match tokens {
        Tokens::One | Tokens::Few => Input::Normed,
        Tokens::Many => Input::Plain,
    }
}

fn ffn_output(config: &Config) -> Output {
    if config.ffn_with_glu {
        Output::Gated
    } else {
        Output::Activated
    }
}

/// The number that `lib/activation.wgsl` gives an activation.
fn activation_number(activation: Activation) -> u32 {
    match activation {
        Activation::Silu => 0,
        Activation::Relu => 1,
        Activation::GeluTanh => 2,
        Activation::Gelu => 3,
    }
}

impl Plan {
    pub fn new(network: &Network, scratch: &Scratch) -> Result<Self> {
        let builder = Builder { network, scratch };
        let (config, weights) = (&network.config, &network.weights);
        let mut trunk = builder.embed()?;
        for index in 0..config.layers.len() {
            let mut ops = builder.layer(index)?;
            ops.iter_mut().for_each(|op| op.layer = Some(index as u32));
            trunk.extend(ops);
        }
        let mut tail = vec![builder.norm(&weights.norm, Stage::FinalNorm)?];
        let logits = Product {
            matrix: weights.head(),
            output: Output::Store,
            stage: Stage::Head,
            norm: None,
            input: &scratch.normed,
            to: &scratch.logits,
            to_width: config.vocab_size,
        };
        tail.extend(builder.linear(&logits)?);
        Ok(Self { trunk, tail })
    }
}

struct Builder<'a> {
    network: &'a Network,
    scratch: &'a Scratch,
}

/// A matrix product of the plan.
struct Product<'a> {
    matrix: &'a Matrix,
    output: Output,
    stage: Stage,
    /// Weights of the norm that the input is of, where few tokens compute it along.
    norm: Option<&'a wgpu::Buffer>,
    input: &'a wgpu::Buffer,
    to: &'a wgpu::Buffer,
    /// Floats a token in `to`.
    to_width: usize,
}

impl Builder<'_> {
    /// A uniform buffer with a kernel's parameters.
    fn uniform<T: bytemuck::Pod>(&self, shape: T) -> wgpu::Buffer {
        let gpu = &self.network.gpu;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = gpu.buffer("shape", size_of::<T>() as u64, usage);
        gpu.queue
            .write_buffer(&buffer, 0, bytemuck::bytes_of(&shape));
        buffer
    }

    fn launch(
        &self,
        spec: &KernelSpec,
        workgroups: u32,
        spread: Spread,
        resources: &[wgpu::BindingResource<'_>],
    ) -> Result<Launch> {
        let pipeline = self.network.pipelines.get(spec)?.clone();
        Ok(Launch {
            bind_group: pipeline.bind(&self.network.gpu, resources),
            pipeline,
            workgroups,
            spread,
        })
    }

    fn embed(&self) -> Result<Vec<Op>> {
        let matrix = &self.network.weights.embedding;
        let spec = embed::spec(self.network.source, matrix.dtype);
        matrix
            .parts
            .iter()
            .map(|part| {
                // What pads a row beyond them is zero and stays so: norms count on it.
                let blocks = matrix.columns.div_ceil(BLOCK) as u32;
                let shape = self.uniform(embed::Shape {
                    blocks,
                    units: matrix.units(),
                    row_first: part.first,
                    row_count: part.rows,
                    out_stride: stride(matrix.columns) / 4,
                });
                let one = self.launch(
                    &spec,
                    embed::workgroups(blocks),
                    Spread::Rows(1),
                    &[
                        shape.as_entire_binding(),
                        part.store.binding(),
                        self.scratch.hidden.as_entire_binding(),
                        self.scratch.tokens.as_entire_binding(),
                    ],
                )?;
                Ok(Op {
                    stage: Stage::Embed,
                    layer: None,
                    base_macs: 0,
                    traffic: Traffic {
                        // A row of the matrix, and the same as f32.
                        read: u64::from(matrix.units()) * 16,
                        written: floats(matrix.columns),
                        ..Traffic::default()
                    },
                    one: Some(one),
                    few: None,
                    many: None,
                })
            })
            .collect()
    }

    fn layer(&self, index: usize) -> Result<Vec<Op>> {
        let (config, scratch) = (&self.network.config, self.scratch);
        let weights = &self.network.weights.layers[index];
        let layer = &config.layers[index];
        let q_dim = layer.q_heads * config.head_dim;
        let product = |matrix, output, stage, norm, input, to, to_width| Product {
            matrix,
            output,
            stage,
            norm,
            input,
            to,
            to_width,
        };
        let qkv_dim = config.qkv_dim(layer);
        let qkv = product(
            &weights.qkv,
            Output::Store,
            Stage::Qkv,
            Some(&weights.attn_norm),
            &scratch.normed,
            &scratch.qkv,
            qkv_dim,
        );
        let attended = scratch.attended(q_dim);
        let out = product(
            &weights.out,
            Output::Residual,
            Stage::Out,
            None,
            attended,
            &scratch.hidden,
            config.model_dim,
        );
        let ffn = scratch.ffn(layer.ffn_dim);
        let proj_1 = product(
            &weights.proj_1,
            ffn_output(config),
            Stage::Proj1,
            Some(&weights.ffn_norm),
            &scratch.normed,
            ffn,
            layer.ffn_dim,
        );
        let proj_2 = product(
            &weights.proj_2,
            Output::Residual,
            Stage::Proj2,
            None,
            ffn,
            &scratch.hidden,
            config.model_dim,
        );

        let mut ops = vec![self.norm(&weights.attn_norm, Stage::AttnNorm)?];
        ops.extend(self.linear(&qkv)?);
        ops.push(self.qk_norm_rope(index)?);
        ops.extend(self.attention(index)?);
        ops.extend(self.linear(&out)?);
        ops.push(self.norm(&weights.ffn_norm, Stage::FfnNorm)?);
        ops.extend(self.linear(&proj_1)?);
        ops.extend(self.linear(&proj_2)?);
        Ok(ops)
    }

    fn norm(&self, weight: &wgpu::Buffer, stage: Stage) -> Result<Op> {
        let width = self.network.config.model_dim;
        let shape = self.uniform(rms_norm::Shape {
            width: width as u32,
            vectors: width.div_ceil(4) as u32,
            stride: stride(width) / 4,
            gather: u32::from(stage == Stage::FinalNorm),
            epsilon: NORM_EPSILON,
        });
        let launch = self.launch(
            &rms_norm::spec(),
            1,
            Spread::Rows(1),
            &[
                shape.as_entire_binding(),
                weight.as_entire_binding(),
                self.scratch.normed.as_entire_binding(),
                self.scratch.hidden.as_entire_binding(),
                self.scratch.tokens.as_entire_binding(),
            ],
        )?;
        let (one, many) = match stage {
            Stage::FinalNorm => (Some(launch), None),
            // For fewer, QKV and proj_1 compute it along.
            _ => (None, Some(launch)),
        };
        Ok(Op {
            stage,
            layer: None,
            base_macs: 2 * width as u64,
            traffic: Traffic {
                weights: floats(width),
                read: floats(width),
                written: floats(width),
                ..Traffic::default()
            },
            one,
            few: None,
            many,
        })
    }

    fn qk_norm_rope(&self, index: usize) -> Result<Op> {
        let (network, scratch) = (self.network, self.scratch);
        let (config, layer) = (&network.config, &network.config.layers[index]);
        let cache = &scratch.caches[index];
        let shape = self.uniform(qk_norm_rope::Shape {
            head_dim: config.head_dim as u32,
            blocks: config.head_dim.div_ceil(BLOCK) as u32,
            q_heads: layer.q_heads as u32,
            kv_heads: layer.kv_heads as u32,
            cache_rows: network.context_size as u32,
            normalize: u32::from(config.normalize_qk_projections),
            qkv_stride: stride(config.qkv_dim(layer)),
            q_stride: self.query_stride(layer.q_heads) / 4,
            epsilon: NORM_EPSILON,
        });
        let one = self.launch(
            &qk_norm_rope::spec(network.source, network.exact_kv),
            qk_norm_rope::workgroups(layer.q_heads as u32, layer.kv_heads as u32),
            Spread::Rows(1),
            &[
                shape.as_entire_binding(),
                scratch.tokens.as_entire_binding(),
                scratch.qkv.as_entire_binding(),
                network.weights.layers[index].qk_norms.as_entire_binding(),
                network.rotations.as_entire_binding(),
                scratch.queries.as_entire_binding(),
                cache.keys.binding(),
                cache.values.binding(),
            ],
        )?;
        Ok(Op {
            stage: Stage::QkNormRope,
            layer: None,
            base_macs: 4 * config.qkv_dim(layer) as u64,
            traffic: Traffic {
                read: floats(config.qkv_dim(layer)),
                written: floats(layer.q_heads * config.head_dim)
                    + scratch::layer_position_bytes(config, layer.kv_heads, network.exact_kv),
                ..Traffic::default()
            },
            one: Some(one),
            few: None,
            many: None,
        })
    }

    /// Floats from one token's queries to the next: whole blocks a head.
    fn query_stride(&self, q_heads: usize) -> u32 {
        stride(q_heads * self.network.config.head_dim.next_multiple_of(BLOCK))
    }

    /// Attention, and for weights in buffers what adds up its splits.
    fn attention(&self, index: usize) -> Result<Vec<Op>> {
        let (network, scratch) = (self.network, self.scratch);
        let (config, layer) = (&network.config, &network.config.layers[index]);
        let q_dim = layer.q_heads * config.head_dim;
        let q_stride = self.query_stride(layer.q_heads);
        let group = (layer.q_heads / layer.kv_heads) as u32;
        let blocks = config.head_dim.div_ceil(BLOCK) as u32;
        let cache = &scratch.caches[index];
        let (split, splits) = attention::splits(network.context_size);
        let shape = |split: u32| {
            self.uniform(attention::Shape {
                head_dim: config.head_dim as u32,
                blocks,
                group,
                quads: group.div_ceil(4),
                cache_rows: network.context_size as u32,
                q_stride,
                stride: stride(q_dim),
                scale: 1.0 / (config.head_dim as f32).sqrt(),
                split,
                splits: splits as u32,
            })
        };
        let spec = attention::spec(network.source, network.exact_kv, network.tuning.subgroups);
        let (q_heads, kv_heads) = (layer.q_heads as u32, layer.kv_heads as u32);
        let workgroups = attention::workgroups(network.source, q_heads, kv_heads, blocks);
        let attended = scratch.attended(q_dim);
        let launch = |shape: &wgpu::Buffer, spread| {
            let mut resources = vec![
                shape.as_entire_binding(),
                scratch.tokens.as_entire_binding(),
            ];
            let rest = [
                cache.keys.binding(),
                cache.values.binding(),
                attended.as_entire_binding(),
            ];
            match network.source {
                WeightSource::Buffer => {
                    resources.push(scratch.queries.as_entire_binding());
                    resources.extend(rest);
                    resources.push(scratch.partials.as_entire_binding());
                }
                WeightSource::Texture => {
                    resources.push(window(&scratch.queries, 0, UNIFORM_WINDOW));
                    resources.extend(rest);
                    resources.push(window(&scratch.firsts, 0, 16));
                }
            }
            self.launch(&spec, workgroups, spread, &resources)
        };
        let op = |one, many, traffic| Op {
            stage: Stage::Attention,
            layer: None,
            base_macs: q_dim as u64,
            traffic,
            one: Some(one),
            few: None,
            many,
        };
        let traffic = Traffic {
            read: floats(q_dim),
            written: floats(q_dim),
            position: scratch::layer_position_bytes(config, layer.kv_heads, network.exact_kv),
            ..Traffic::default()
        };
        if network.source == WeightSource::Texture {
            let spread = Spread::Batches {
                tokens: UNIFORM_WINDOW as u32 / (q_stride * 4),
                in_bytes: q_stride * 4,
            };
            return Ok(vec![op(launch(&shape(u32::MAX), spread)?, None, traffic)]);
        }
        let shared = shape(split as u32);
        let few = launch(&shared, Spread::Splits(split as u32))?;
        // Many tokens keep a GPU busy by themselves.
        let many = launch(&shape(u32::MAX), Spread::Rows(1))?;
        let merge = self.launch(
            &attention::merge_spec(),
            workgroups,
            Spread::Merge(split as u32),
            &[
                shared.as_entire_binding(),
                scratch.tokens.as_entire_binding(),
                scratch.partials.as_entire_binding(),
                attended.as_entire_binding(),
            ],
        )?;
        let merged = Op {
            base_macs: 0,
            ..op(merge, None, Traffic::default())
        };
        Ok(vec![op(few, Some(many), traffic), merged])
    }

    /// One operation a part of the matrix.
    fn linear(&self, product: &Product<'_>) -> Result<Vec<Op>> {
        let source = self.network.source;
        let tile = match product.stage {
            Stage::Head => HEAD_TILE,
            _ => self.network.tuning.tile,
        };
        // A vast vocabulary leaves room for a few rows of logits only.
        let rows = self.scratch.rows_of(product.to, stride(product.to_width));
        let in_window = match rows {
            8.. => in_window(stride(product.matrix.columns)),
            _ => 1,
        };
        let fitting = |tokens: Tokens| if rows < 4 { Tokens::One } else { tokens };
        product
            .matrix
            .parts
            .iter()
            .map(|part| {
                let outputs = match product.output {
                    Output::Gated => part.rows / 2,
                    _ => part.rows,
                };
                let written = floats(outputs as usize);
                // What a product is added to is read as well.
                let before = match product.output {
                    Output::Residual => written,
                    _ => 0,
                };
                let launch = |tokens| {
                    let mapping = Mapping::of(source, fitting(tokens), tile, in_window);
                    let norm = match normed_for(tokens) {
                        Input::Normed => product.norm,
                        Input::Plain => None,
                    };
                    self.linear_launch(product, part, mapping, norm)
                };
                Ok(Op {
                    stage: product.stage,
                    layer: None,
                    base_macs: u64::from(part.rows) * product.matrix.columns as u64,
                    traffic: Traffic {
                        weights: u64::from(part.rows) * u64::from(product.matrix.units()) * 16,
                        read: floats(product.matrix.columns) + before,
                        written,
                        ..Traffic::default()
                    },
                    one: Some(launch(Tokens::One)?),
                    few: Some(launch(Tokens::Few)?),
                    many: Some(launch(Tokens::Many)?),
                })
            })
            .collect()
    }

    fn linear_launch(
        &self,
        product: &Product<'_>,
        part: &Part,
        mapping: Mapping,
        norm: Option<&wgpu::Buffer>,
    ) -> Result<Launch> {
        let Product { matrix, output, .. } = *product;
        let (pairs, second) = output.pairs(part.rows);
        let (in_stride, out_stride) = (stride(matrix.columns), stride(product.to_width));
        let shape = self.uniform(linear::Shape {
            rows: part.rows,
            blocks: matrix.blocks(),
            units: matrix.units(),
            pairs,
            second,
            out_offset: part.first,
            out_stride,
            in_stride: in_stride / 4,
            activation: activation_number(self.network.config.activation),
            width: matrix.columns as u32,
            epsilon: NORM_EPSILON,
        });
        let (source, tuning) = (self.network.source, self.network.tuning);
        let (input, from) = match norm {
            Some(_) => (Input::Normed, &self.scratch.hidden),
            None => (Input::Plain, product.input),
        };
        let spec = linear::spec(mapping, source, matrix.dtype, input, output, tuning);
        let (windows, tokens) = (mapping.windows(), mapping.tokens());
        let mut resources = vec![shape.as_entire_binding(), part.store.binding()];
        let spread = if windows == 0 {
            resources.push(product.to.as_entire_binding());
            resources.push(from.as_entire_binding());
            if mapping.is_for_few() {
                resources.push(norm.unwrap_or(from).as_entire_binding());
            }
            Spread::Rows(tokens)
        } else {
            let rows = self.scratch.rows_of(product.to, out_stride);
            let columns = columns(tokens, windows, in_stride, rows);
            let out_bytes = u64::from(tokens * columns * out_stride) * 4;
            resources.push(window(product.to, 0, out_bytes));
            resources.push(window(norm.unwrap_or(from), 0, UNIFORM_WINDOW));
            for _ in 0..windows {
                resources.push(window(from, 0, UNIFORM_WINDOW));
            }
            Spread::Windows {
                tokens,
                windows,
                columns,
                in_bytes: in_stride * 4,
                out_bytes: out_stride * 4,
            }
        };
        self.launch(&spec, mapping.workgroups(pairs, tuning), spread, &resources)
    }
}

/// Tokens whose input lies in one uniform window.
fn in_window(in_stride: u32) -> u32 {
    UNIFORM_WINDOW as u32 / (4 * in_stride)
}

/// Workgroup columns of a dispatch, `tokens` each: as many as there is input for in the windows, of `rows` that there are, so that
/// nothing reaches beyond the last.
fn columns(tokens: u32, windows: u32, in_stride: u32, rows: u32) -> u32 {
    let most = match tokens {
        1 => 1,
        _ => (in_window(in_stride) * windows).min(rows) / tokens,
    };
    1 << most.max(1).ilog2()
}

const _: () = assert!(
    LANES == 64,
    "attention and the padding of strides count on it"
);

#[cfg(test)]
mod tests {
    use super::*;

    /// No window reaches beyond the tokens that there are, nor takes more than there is input for.
    #[test]
    fn columns_fit_windows_and_rows() {
        // 270M: model_dim 1280 and the widest FFN, 5120; 3B: FFN of 12288.
        assert_eq!(columns(8, 4, 1280, 32), 4);
        assert_eq!(columns(4, 4, 1280, 32), 8);
        assert_eq!(columns(8, 4, 5120, 32), 1);
        assert_eq!(columns(4, 4, 5120, 32), 2);
        assert_eq!(columns(4, 4, 12288, 32), 1);
        assert_eq!(columns(4, 4, 64, 4), 1);
        assert_eq!(columns(1, 1, 64, 32), 1);
        for in_stride in (64..=16384).step_by(64) {
            for (tokens, windows, rows) in [(4, 4, 32), (8, 4, 32), (4, 4, 4)] {
                let in_window = in_window(in_stride);
                if in_window * windows < tokens {
                    continue;
                }
                let taken = tokens * columns(tokens, windows, in_stride, rows);
                assert!(rows % taken == 0, "{in_stride}: {taken} of {rows}");
                assert!(taken / windows <= in_window, "{in_stride}");
            }
        }
    }
}
