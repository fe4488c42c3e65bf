//! `sample_groups.wgsl` and `sample_pick.wgsl`: the next token chosen on the device, so that the next step need not wait for the
//! host.

use super::uniform_struct;
use crate::gpu::shader::Variant;
use crate::gpu::{BindingKind, KernelSpec};

uniform_struct! {
    /// `Shape` of `lib/sample_shape.wgsl`, which says what each field means.
    Shape {
        vocab: u32,
        groups: u32,
        top_count: u32,
        top_k: u32,
        temperature: f32,
        top_p: f32,
        min_p: f32,
        penalty: f32,
    }
}

/// Logits in a group.
pub const GROUP: usize = 16;

/// The most probable tokens that can be reported with each token.
pub const MOST_TOP: usize = 16;

/// Words of a report: four about the token, then an id and a logit for each of the most probable.
pub const REPORT_WORDS: usize = 4 + 2 * MOST_TOP;

/// How a token is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Choice {
    /// The most probable one.
    Highest,
    /// By probability, after the cuts.
    Random,
}

impl Choice {
    pub const ALL: [Self; 2] = [Self::Highest, Self::Random];
}

/// Bindings: shape, logits, seen, adjusted, groups.
pub fn groups_spec() -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "sample_groups.wgsl",
            slots: vec![],
        },
        constants: vec![],
        bindings: vec![
            BindingKind::Uniform,
            BindingKind::Read,
            BindingKind::Read,
            BindingKind::Write,
            BindingKind::Write,
        ],
    }
}

/// Workgroups of the first kernel; the second is one.
pub fn workgroups(vocab: usize) -> u32 {
    vocab.div_ceil(GROUP).div_ceil(64) as u32
}

/// Bindings: shape, logits, adjusted, groups, seen, tokens, chosen; for a random choice also the random numbers.
pub fn pick_spec(choice: Choice) -> KernelSpec {
    let mut bindings = vec![BindingKind::Uniform, BindingKind::Read, BindingKind::Read];
    bindings.extend([BindingKind::Write; 4]);
    let file = match choice {
        Choice::Highest => "lib/choose_highest.wgsl",
        Choice::Random => {
            bindings.push(BindingKind::Read);
            "lib/choose_random.wgsl"
        }
    };
    KernelSpec {
        variant: Variant {
            file: "sample_pick.wgsl",
            slots: vec![("choose", file)],
        },
        constants: vec![],
        bindings,
    }
}
