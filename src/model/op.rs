//! One operation of a step: what it is called, what it costs, and how it is recorded for any number of tokens.

use crate::gpu::Pipeline;
use crate::kernels::linear::{MOST_FEW, Tokens};

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
    Sample,
}

impl Stage {
    /// What a trace calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::AttnNorm => "attn_norm",
            Self::Qkv => "qkv",
            Self::QkNormRope => "qk_norm_rope",
            Self::Attention => "attention",
            Self::Out => "out",
            Self::FfnNorm => "ffn_norm",
            Self::Proj1 => "proj_1",
            Self::Proj2 => "proj_2",
            Self::FinalNorm => "final_norm",
            Self::Head => "head",
            Self::Sample => "sample",
        }
    }
}

/// How a launch spreads over tokens.
#[derive(Debug, Clone, Copy)]
pub enum Spread {
    /// Workgroup row `y` is a token, or a tile of this many.
    Rows(u32),
    /// A dispatch for up to `columns` workgroup columns of `tokens` tokens each, and so on. Inputs are seen through `windows`, which
    /// hold the tokens in turn, outputs through one. Workgroup rows are the product's.
    Windows {
        tokens: u32,
        windows: u32,
        columns: u32,
        in_bytes: u32,
        out_bytes: u32,
    },
    /// Workgroup row `y` is a token of a window that begins at another token each dispatch: first the input's window moves, then
    /// the one into [`Scratch::firsts`].
    Batches { tokens: u32, in_bytes: u32 },
    /// Workgroup row `y` is a token, layer `z` so many of its positions.
    Splits(u32),
    /// Workgroup row `y` is a token of few, if any has more positions than this; nothing otherwise.
    Merge(u32),
}

/// How much a step has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub tokens: u32,
    /// Positions that the last token looks at.
    pub reach: u32,
}

/// A pipeline with its resources.
pub struct Launch {
    pub pipeline: Pipeline,
    pub bind_group: wgpu::BindGroup,
    pub workgroups: u32,
    pub spread: Spread,
}

/// One operation of a step: how to run it for a single token, and for more where that differs. What has no way to run for so many
/// tokens is part of another operation then.
pub struct Op {
    pub stage: Stage,
    /// `None`: outside the layers.
    pub layer: Option<u32>,
    /// Multiply-adds for a token; of attention for a token and a position, in each of its two products.
    pub base_macs: u64,
    pub traffic: Traffic,
    pub one: Option<Launch>,
    pub few: Option<Launch>,
    pub many: Option<Launch>,
}

/// Bytes that an operation must read and write at least.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traffic {
    /// Weights, once a step.
    pub weights: u64,
    /// Activations read, for each token.
    pub read: u64,
    /// Activations and cache entries written, for each token.
    pub written: u64,
    /// Keys and values read, for each position that some token looks at.
    pub position: u64,
}

/// Bytes from one token's number to the next in [`Scratch::firsts`]: what every adapter takes as a window's offset.
pub const FIRSTS_STRIDE: u32 = 256;

/// Room for a launch's dynamic offsets: the output's, then one an input window.
const MAX_OFFSETS: usize = 5;

impl Launch {
    /// Records the launch for tokens `first..first + count`, none of which looks at more than `reach` positions.
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, first: u32, count: u32, reach: u32) {
        pass.set_pipeline(&self.pipeline.pipeline);
        match self.spread {
            Spread::Rows(tile) => {
                pass.set_bind_group(0, &self.bind_group, &[]);
                pass.dispatch_workgroups(self.workgroups, count.div_ceil(tile), 1);
            }
            Spread::Splits(positions) => {
                pass.set_bind_group(0, &self.bind_group, &[]);
                pass.dispatch_workgroups(self.workgroups, count, reach.div_ceil(positions));
            }
            Spread::Merge(_) => {
                pass.set_bind_group(0, &self.bind_group, &[]);
                pass.dispatch_workgroups(self.workgroups, count, 1);
            }
            Spread::Batches { tokens, in_bytes } => {
                for token in (first..first + count).step_by(tokens as usize) {
                    let offsets = [token * in_bytes, token * FIRSTS_STRIDE];
                    pass.set_bind_group(0, &self.bind_group, &offsets);
                    let rows = tokens.min(first + count - token);
                    pass.dispatch_workgroups(self.workgroups, rows, 1);
                }
            }
            Spread::Windows {
                tokens,
                windows,
                columns,
                in_bytes,
                out_bytes,
            } => {
                let end = first + count;
                for token in (first..end).step_by((tokens * columns) as usize) {
                    let columns = columns.min((end - token).div_ceil(tokens));
                    let mut offsets = [token * out_bytes; MAX_OFFSETS];
                    for (i, offset) in (0..windows).zip(&mut offsets[1..]) {
                        *offset = (token + i * columns * (tokens / windows)) * in_bytes;
                    }
                    pass.set_bind_group(0, &self.bind_group, &offsets[..1 + windows as usize]);
                    pass.dispatch_workgroups(columns, self.workgroups, 1);
                }
            }
        }
    }
}

/// Bytes of so many f32.
pub fn floats(count: usize) -> u64 {
    4 * count as u64
}

impl Op {
    /// Multiply-adds for `tokens` tokens that look at `positions` positions together.
    pub fn macs(&self, tokens: u64, positions: u64) -> u64 {
        match self.stage {
            Stage::Attention => 2 * self.base_macs * positions,
            _ => self.base_macs * tokens,
        }
    }

    /// Bytes that must be read, and written.
    pub fn bytes(&self, extent: Extent) -> (u64, u64) {
        let Traffic {
            weights,
            read,
            written,
            position,
        } = self.traffic;
        let (tokens, reach) = (u64::from(extent.tokens), u64::from(extent.reach));
        (weights + read * tokens + position * reach, written * tokens)
    }

    /// How it runs for so many tokens.
    fn launch(&self, tokens: u32) -> Option<&Launch> {
        let special = match Tokens::of(tokens) {
            Tokens::One => None,
            Tokens::Few => self.few.as_ref(),
            Tokens::Many => self.many.as_ref(),
        };
        special.or(self.one.as_ref())
    }

    /// Whether there is anything to do.
    pub fn is_needed(&self, extent: Extent) -> bool {
        match self.launch(extent.tokens).map(|launch| launch.spread) {
            Some(Spread::Merge(split)) => extent.tokens <= MOST_FEW && extent.reach > split,
            Some(_) => extent.tokens > 0,
            None => false,
        }
    }

    /// Records the operation.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, extent: Extent) {
        let Extent {
            tokens: count,
            reach,
        } = extent;
        let Some(launch) = self.launch(count) else {
            return;
        };
        match (launch.spread, &self.one) {
            // A single token left over costs less by itself than a whole window.
            (Spread::Windows { tokens, .. }, Some(one)) if tokens > 1 && count % tokens == 1 => {
                launch.record(pass, 0, count - 1, reach);
                one.record(pass, count - 1, 1, reach);
            }
            _ => launch.record(pass, 0, count, reach),
        }
    }
}
