//! All memory of a step: how large each buffer is.

use super::{Blueprint, BufferId, PlannedBuffer, TOKEN_INDEX_STRIDE, own_or_shared};
use crate::kernels::linear::UNIFORM_WINDOW;
use crate::kernels::sample::{self, GROUP};
use crate::kernels::{BLOCK, ComputePath, FirstRow, ROW_PAD, TokenInput, attention};
use crate::model::sizes::{self, floats, stride, widest};

impl Blueprint<'_> {
    pub(super) fn buffers(&self) -> Vec<PlannedBuffer> {
        let Self {
            config,
            path,
            sizes,
            ..
        } = *self;
        let rows = sizes.activation_rows();
        let mut buffers = Vec::new();
        let mut add = |id, bytes, is_uniform| {
            buffers.push(PlannedBuffer {
                id,
                bytes,
                is_uniform,
            });
        };
        // A window that begins at the last row must still lie within the buffer.
        let activations = |width| rows as u64 * u64::from(stride(width)) * 4 + UNIFORM_WINDOW;
        let first_row = size_of::<FirstRow>() as u64;
        // Attention sees them as a window of a fixed size.
        let tokens = rows.max(attention::MOST_GENERATED) * size_of::<TokenInput>();
        add(BufferId::Tokens, tokens as u64, true);
        add(BufferId::PromptRows, first_row, true);
        add(BufferId::PromptLogits, first_row, true);
        add(BufferId::Zero, first_row, true);
        add(BufferId::Hidden, activations(config.model_dim), true);
        add(BufferId::Normed, activations(config.model_dim), true);
        let qkv = widest(config, |layer| config.qkv_dim(layer));
        add(BufferId::Qkv, activations(qkv), false);
        let padded_head = config.head_dim.next_multiple_of(BLOCK);
        let queries = widest(config, |layer| layer.q_heads * padded_head);
        add(BufferId::Queries, activations(queries), true);
        let indices = match path {
            ComputePath::Gpu => 1,
            ComputePath::Software => rows as u64,
        };
        add(
            BufferId::TokenIndices,
            indices * u64::from(TOKEN_INDEX_STRIDE),
            true,
        );
        if path == ComputePath::Gpu {
            let (_, splits) = self.splits();
            let record = widest(config, |layer| {
                sizes::record_floats(config, layer.q_heads) as usize
            });
            // Products take sixteen rows at once, and look a little beyond the last record.
            let rows = sizes.generated.next_multiple_of(16);
            add(
                BufferId::Partials,
                floats(rows * splits * record + ROW_PAD),
                false,
            );
        }
        for layer in &config.layers {
            let widths = [
                (
                    BufferId::Attended as fn(_) -> _,
                    layer.q_heads * config.head_dim,
                ),
                (BufferId::Ffn as fn(_) -> _, layer.ffn_dim),
            ];
            for (id, width) in widths {
                add(own_or_shared(id, width), activations(width), true);
            }
        }
        let logits_row = u64::from(stride(config.vocab_size)) * 4;
        add(
            BufferId::Logits,
            sizes.logits_rows() as u64 * logits_row,
            false,
        );
        add(BufferId::Overflow, 16, false);
        let groups = config.vocab_size.div_ceil(GROUP);
        let reports = sizes.reports as u64;
        add(BufferId::Adjusted, reports * floats(groups * GROUP), false);
        add(BufferId::Groups, reports * groups as u64 * 16, false);
        add(
            BufferId::SampleRows,
            (sample::MOST_ROWS * size_of::<sample::Row>()) as u64,
            true,
        );
        add(
            BufferId::Report,
            reports * floats(sample::REPORT_WORDS),
            false,
        );
        // Of several layers that share a buffer the widest counts.
        buffers.sort_by_key(|buffer| std::cmp::Reverse(buffer.bytes));
        let mut unique: Vec<PlannedBuffer> = Vec::new();
        for buffer in buffers {
            if unique.iter().all(|other| other.id != buffer.id) {
                unique.push(buffer);
            }
        }
        unique
    }
}
