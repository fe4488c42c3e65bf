//! Matrix products: one operation a part of a matrix, one dispatch a mapping that a class may take.

use super::{Blueprint, BufferId, Dispatch, Product, Resource, bytes_of};
use crate::checkpoint::Activation;
use crate::checkpoint::config::NORM_EPSILON;
use crate::kernels::BatchClass;
use crate::kernels::linear::{self, Arithmetic, Input, Mapping, Operand, Output, UNIFORM_WINDOW};
use crate::model::op::{DispatchShape, Op, Stage, Traffic, Work};
use crate::model::sizes::{LOGITS_TILE, floats, stride};
use crate::model::weights::PartLayout;

impl Blueprint<'_> {
    /// One operation a part of the matrix.
    pub(super) fn linear(&self, product: &Product<'_>) -> Vec<Op<Dispatch>> {
        let tile = match product.stage {
            Stage::Head => LOGITS_TILE as u32,
            _ => self.tuning.tile,
        };
        let Product { matrix, .. } = *product;
        let in_window = in_window(stride(matrix.columns));
        let part = |(index, part): (usize, &PartLayout)| {
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
            let of_class = |class| -> Vec<Dispatch> {
                let arithmetic = self.tuning.arithmetic(class, matrix.dtype);
                if class == BatchClass::Prompt && self.is_half(product) {
                    let mapping = Mapping::PrefillMatrices;
                    return vec![self.product(product, (index, part), mapping, arithmetic)];
                }
                let mappings = Mapping::all_for(self.path, class, arithmetic, tile, in_window);
                // Where there is room for one row only, tiles have none.
                let is_single = product.to == BufferId::Logits && self.sizes.logits == 1;
                let count = if is_single { 1 } else { mappings.len() };
                let mappings = mappings[..count].iter();
                mappings
                    .map(|mapping| self.product(product, (index, part), *mapping, arithmetic))
                    .collect()
            };
            Op {
                stage: product.stage,
                layer: None,
                base_macs: u64::from(part.rows) * matrix.columns as u64,
                traffic: Traffic {
                    weights: u64::from(part.rows) * u64::from(matrix.units()) * 16,
                    read: floats(matrix.columns) + before,
                    written,
                    ..Traffic::default()
                },
                work: match self.has_classes() {
                    false => Work::All(of_class(BatchClass::Generated)),
                    true => Work::Classes {
                        generated: of_class(BatchClass::Generated),
                        prompt: of_class(BatchClass::Prompt),
                    },
                },
            }
        };
        matrix.parts.iter().enumerate().map(part).collect()
    }

    /// Whether prompts are multiplied in f16. Logits never are: most of a step's rows have none, and they are what is compared.
    fn is_half(&self, product: &Product<'_>) -> bool {
        self.tuning.matrices.is_some() && product.matrix.suits_f16 && product.stage != Stage::Head
    }

    fn product(
        &self,
        product: &Product<'_>,
        (index, part): (usize, &PartLayout),
        mapping: Mapping,
        arithmetic: Arithmetic,
    ) -> Dispatch {
        let Product { matrix, output, .. } = *product;
        let (pairs, second) = output.pairs(part.rows);
        let (in_stride, out_stride) = (stride(matrix.columns), stride(product.to_width));
        let norm = product.norm.filter(|_| mapping.can_norm());
        let attended = product.attended.filter(|_| mapping.can_attend());
        let (kind, from) = match (norm, attended) {
            (Some(_), _) => (Input::Normed, BufferId::Hidden),
            (None, Some(attended)) => (Input::Attended(attended), BufferId::Partials),
            (None, None) if product.stage == Stage::Proj2 => (Input::Wide, product.from),
            (None, None) => (Input::Plain, product.from),
        };
        let in_stride = attended.map_or(in_stride, |a| 4 * a.splits * a.record);
        let parameters = bytes_of(&linear::Shape {
            rows: part.rows,
            blocks: matrix.blocks(),
            units: matrix.units(),
            pairs,
            second,
            out_offset: part.first,
            out_stride,
            in_stride: in_stride / 4,
            activation: activation_number(self.config.activation),
            width: matrix.columns as u32,
            epsilon: NORM_EPSILON,
        });
        let kernel = linear::Product {
            path: self.path,
            mapping,
            dtype: matrix.dtype,
            arithmetic,
            input: kind,
            output,
            blocks: matrix.blocks(),
        }
        .spec(self.tuning);
        let (windows, tokens) = (mapping.windows(), mapping.tokens());
        let first_row = match product.stage {
            Stage::Head => BufferId::PromptLogits,
            _ => BufferId::PromptRows,
        };
        let rows = match product.to {
            BufferId::Logits => self.sizes.logits,
            _ => self.sizes.rows,
        };
        let columns = match windows {
            0 => 1,
            _ => columns(tokens, windows, in_stride, rows as u32),
        };
        let out_bytes = u64::from(tokens * columns * out_stride) * 4;
        let input = match windows {
            0 => Resource::Buffer(from),
            _ => Resource::Window(from, UNIFORM_WINDOW),
        };
        let bindings = mapping.bind(|operand| match operand {
            Operand::Shape => Resource::Shape,
            Operand::Weights => Resource::Weights(product.id, index),
            Operand::Output if windows > 0 => Resource::Window(product.to, out_bytes),
            Operand::Output => Resource::Buffer(product.to),
            Operand::Input => input,
            Operand::Norm => match norm {
                // Of a plain input anything as large.
                None => input,
                Some(norm) if windows > 0 => Resource::NormWindow(norm, UNIFORM_WINDOW),
                Some(norm) => Resource::Norm(norm),
            },
            Operand::FirstRow => Resource::Buffer(first_row),
            Operand::Overflow => Resource::Buffer(BufferId::Overflow),
        });
        let shape = match windows {
            0 => DispatchShape::Rows(tokens),
            _ => DispatchShape::Windows {
                tokens,
                windows,
                columns,
                in_bytes: in_stride * 4,
                out_bytes: out_stride * 4,
            },
        };
        Dispatch {
            kernel,
            parameters,
            bindings,
            workgroups: mapping.workgroups(pairs, self.tuning),
            shape,
        }
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

/// Tokens whose input lies in one uniform window.
fn in_window(in_stride: u32) -> u32 {
    UNIFORM_WINDOW as u32 / (4 * in_stride)
}

/// Workgroup columns of a dispatch, `tokens` each: as many as there is input for in the windows, of `rows` that there are.
fn columns(tokens: u32, windows: u32, in_stride: u32, rows: u32) -> u32 {
    let most = match tokens {
        1 => 1,
        _ => (in_window(in_stride) * windows).min(rows) / tokens,
    };
    1 << most.max(1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::{columns, in_window};

    /// No window holds more than there is input for.
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
                assert!(taken / windows <= in_window, "{in_stride}");
            }
        }
    }
}
