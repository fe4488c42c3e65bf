//! The plan of a step: every dispatch with its bind group, built once for a session. Nothing is made while a step is recorded.

use super::Network;
use super::scratch::{Scratch, stride};
use super::weights::{Layout, Matrix, Part};
use crate::checkpoint::config::NORM_EPSILON;
use crate::checkpoint::{Activation, Config};
use crate::error::Result;
use crate::gpu::pipeline::window;
use crate::gpu::{KernelSpec, Pipeline};
use crate::kernels::linear::{Mapping, Output, UNIFORM_WINDOW};
use crate::kernels::{
    BLOCK, LANES, WeightSource, attention, embed, linear, qk_norm_rope, rms_norm,
};

/// What an operation does in its layer, in the order of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Embed,
    AttnNorm,
    Qkv,
    QkNormRope,
    Attention,
    Out,
    FfnNorm,
    Proj1,
    Proj2,
    FinalNorm,
    Head,
}

/// How a launch spreads over tokens.
#[derive(Debug, Clone, Copy)]
enum Spread {
    /// Workgroup row `y` is a token, or a tile of this many.
    Rows(u32),
    /// A dispatch for so many tokens; each next one sees its inputs and outputs through windows that many tokens on.
    Windows {
        tokens: u32,
        in_bytes: u32,
        out_bytes: u32,
    },
}

/// A pipeline with its resources.
struct Launch {
    pipeline: Pipeline,
    bind_group: wgpu::BindGroup,
    workgroups: u32,
    spread: Spread,
}

/// One operation of a step: how to run it for a single token, and for many where that differs.
pub struct Op {
    /// `None` outside the layers.
    pub layer: Option<u32>,
    pub stage: Stage,
    /// Multiply-adds for a token, attention aside.
    pub macs: u64,
    one: Launch,
    many: Option<Launch>,
}

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
    exact_kv: bool,
) -> Vec<KernelSpec> {
    let mut specs = vec![
        rms_norm::spec(),
        qk_norm_rope::spec(source, exact_kv),
        attention::spec(source, exact_kv),
    ];
    for dtype in layout.dtypes() {
        specs.push(embed::spec(source, dtype));
        for many in [false, true] {
            let mapping = Mapping::of(source, many);
            for output in [Output::Store, Output::Residual, ffn_output(config)] {
                specs.push(linear::spec(mapping, source, dtype, output));
            }
        }
    }
    specs
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
            trunk.extend(builder.layer(index)?);
        }
        let mut tail = vec![builder.norm(&weights.norm, None, Stage::FinalNorm)?];
        let logits = Product {
            matrix: weights.head(),
            output: Output::Store,
            layer: None,
            stage: Stage::Head,
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
    layer: Option<u32>,
    stage: Stage,
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
                let shape = self.uniform(embed::Shape {
                    blocks: matrix.blocks(),
                    units: matrix.units(),
                    row_first: part.first,
                    row_count: part.rows,
                    out_stride: stride(matrix.columns) / 4,
                });
                let one = self.launch(
                    &spec,
                    embed::workgroups(matrix.blocks()),
                    Spread::Rows(1),
                    &[
                        shape.as_entire_binding(),
                        part.store.binding(),
                        self.scratch.hidden.as_entire_binding(),
                        self.scratch.tokens.as_entire_binding(),
                    ],
                )?;
                Ok(Op {
                    layer: None,
                    stage: Stage::Embed,
                    macs: matrix.columns as u64,
                    one,
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
        let number = Some(index as u32);
        let product = |matrix, output, stage, input, to, to_width| Product {
            matrix,
            output,
            layer: number,
            stage,
            input,
            to,
            to_width,
        };
        let qkv_dim = config.qkv_dim(layer);
        let qkv = product(&weights.qkv, Output::Store, Stage::Qkv, &scratch.normed, &scratch.qkv, qkv_dim);
        let attended = scratch.attended(q_dim);
        let out = product(&weights.out, Output::Residual, Stage::Out, attended, &scratch.hidden, config.model_dim);
        let ffn = scratch.ffn(layer.ffn_dim);
        let proj_1 = product(&weights.proj_1, ffn_output(config), Stage::Proj1, &scratch.normed, ffn, layer.ffn_dim);
        let proj_2 = product(&weights.proj_2, Output::Residual, Stage::Proj2, ffn, &scratch.hidden, config.model_dim);

        let mut ops = vec![self.norm(&weights.attn_norm, number, Stage::AttnNorm)?];
        ops.extend(self.linear(&qkv)?);
        ops.push(self.qk_norm_rope(index)?);
        ops.push(self.attention(index)?);
        ops.extend(self.linear(&out)?);
        ops.push(self.norm(&weights.ffn_norm, number, Stage::FfnNorm)?);
        ops.extend(self.linear(&proj_1)?);
        ops.extend(self.linear(&proj_2)?);
        Ok(ops)
    }

    fn norm(&self, weight: &wgpu::Buffer, layer: Option<u32>, stage: Stage) -> Result<Op> {
        let width = self.network.config.model_dim;
        let shape = self.uniform(rms_norm::Shape {
            width: width as u32,
            vectors: width.div_ceil(4) as u32,
            stride: stride(width) / 4,
            gather: u32::from(stage == Stage::FinalNorm),
            epsilon: NORM_EPSILON,
        });
        let one = self.launch(
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
        Ok(Op {
            layer,
            stage,
            macs: 2 * width as u64,
            one,
            many: None,
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
            q_stride: stride(layer.q_heads * config.head_dim),
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
                cache.keys.as_entire_binding(),
                cache.values.as_entire_binding(),
            ],
        )?;
        Ok(Op {
            layer: Some(index as u32),
            stage: Stage::QkNormRope,
            macs: 4 * config.qkv_dim(layer) as u64,
            one,
            many: None,
        })
    }

    fn attention(&self, index: usize) -> Result<Op> {
        let (network, scratch) = (self.network, self.scratch);
        let (config, layer) = (&network.config, &network.config.layers[index]);
        let q_dim = layer.q_heads * config.head_dim;
        let group = (layer.q_heads / layer.kv_heads) as u32;
        let cache = &scratch.caches[index];
        let shape = self.uniform(attention::Shape {
            head_dim: config.head_dim as u32,
            blocks: config.head_dim.div_ceil(BLOCK) as u32,
            group,
            quads: group.div_ceil(4),
            cache_rows: network.context_size as u32,
            stride: stride(q_dim),
            scale: 1.0 / (config.head_dim as f32).sqrt(),
        });
        let one = self.launch(
            &attention::spec(network.source, network.exact_kv),
            attention::workgroups(layer.q_heads as u32, layer.kv_heads as u32),
            Spread::Rows(1),
            &[
                shape.as_entire_binding(),
                scratch.tokens.as_entire_binding(),
                scratch.queries.as_entire_binding(),
                cache.keys.as_entire_binding(),
                cache.values.as_entire_binding(),
                scratch.attended(q_dim).as_entire_binding(),
            ],
        )?;
        Ok(Op {
            layer: Some(index as u32),
            stage: Stage::Attention,
            macs: q_dim as u64,
            one,
            many: None,
        })
    }

    /// One operation a part of the matrix.
    fn linear(&self, product: &Product<'_>) -> Result<Vec<Op>> {
        let source = self.network.source;
        product
            .matrix
            .parts
            .iter()
            .map(|part| {
                Ok(Op {
                    layer: product.layer,
                    stage: product.stage,
                    macs: u64::from(part.rows) * product.matrix.columns as u64,
                    one: self.linear_launch(product, part, Mapping::of(source, false))?,
                    many: Some(self.linear_launch(product, part, Mapping::of(source, true))?),
                })
            })
            .collect()
    }

    fn linear_launch(
        &self,
        product: &Product<'_>,
        part: &Part,
        mapping: Mapping,
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
        });
        let spec = linear::spec(mapping, self.network.source, matrix.dtype, output);
        let (windows, tokens) = (mapping.windows(), mapping.tokens());
        let mut resources = vec![shape.as_entire_binding(), part.store.binding()];
        let spread = if windows == 0 {
            resources.push(product.to.as_entire_binding());
            resources.push(product.input.as_entire_binding());
            Spread::Rows(tokens)
        } else {
            let out_bytes = tokens * out_stride * 4;
            resources.push(window(product.to, 0, u64::from(out_bytes)));
            for _ in 0..windows {
                resources.push(window(product.input, 0, UNIFORM_WINDOW));
            }
            Spread::Windows {
                tokens,
                in_bytes: in_stride * 4,
                out_bytes: out_stride * 4,
            }
        };
        self.launch(&spec, mapping.workgroups(pairs), spread, &resources)
    }
}

/// Room for a launch's dynamic offsets: the output's, then one an input window.
const MAX_OFFSETS: usize = 5;

impl Launch {
    /// Records the launch for tokens `first..first + count`.
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, first: u32, count: u32) {
        pass.set_pipeline(&self.pipeline.pipeline);
        match self.spread {
            Spread::Rows(tile) => {
                pass.set_bind_group(0, &self.bind_group, &[]);
                pass.dispatch_workgroups(self.workgroups, count.div_ceil(tile), 1);
            }
            Spread::Windows {
                tokens,
                in_bytes,
                out_bytes,
            } => {
                for token in (first..first + count).step_by(tokens as usize) {
                    let mut offsets = [token * out_bytes; MAX_OFFSETS];
                    for (i, offset) in (0..tokens).zip(&mut offsets[1..]) {
                        *offset = (token + i) * in_bytes;
                    }
                    pass.set_bind_group(0, &self.bind_group, &offsets[..1 + tokens as usize]);
                    pass.dispatch_workgroups(self.workgroups, 1, 1);
                }
            }
        }
    }
}

impl Op {
    /// Records the operation for `count` tokens.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, count: u32) {
        let many = match &self.many {
            Some(many) if count > 1 => many,
            _ => return self.one.record(pass, 0, count),
        };
        match many.spread {
            Spread::Rows(_) => many.record(pass, 0, count),
            // A single token left over costs less by itself than a whole window.
            Spread::Windows { tokens, .. } => {
                let whole = if count % tokens == 1 { count - 1 } else { count };
                many.record(pass, 0, whole);
                if whole < count {
                    self.one.record(pass, whole, 1);
                }
            }
        }
    }
}

const _: () = assert!(LANES == 64, "attention and the padding of strides count on it");
