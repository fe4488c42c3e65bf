//! `sample_ngrams.wgsl`, `sample_groups.wgsl` and `sample_pick.wgsl`: the next token of each row of logits chosen on the device, so that the next step need
//! not wait for the host; or a given token scored, so that logits need not come to it.

use super::ComputePath;
use super::layout::{bindings, uniform_struct};
use crate::gpu::KernelSpec;
use crate::gpu::shader::Variant;

uniform_struct! {
    /// `Shape` of `lib/sample_shape.wgsl`, which says what each field means.
    Shape {
        vocab: u32,
        groups: u32,
        logits_stride: u32,
        history_stride: u32,
    }
}

uniform_struct! {
    /// How the token of a row is chosen, or scored: `Row` of `lib/sample_shape.wgsl`, which says what each field means.
    Row {
        logits_row: u32,
        slot: u32,
        top_count: u32,
        top_k: u32,
        temperature: f32,
        top_p: f32,
        min_p: f32,
        penalty: f32,
        random: f32,
        len: u32,
        ngram: u32,
        scored: u32,
    }
}

/// Rows of a step that tokens can be chosen for, or that can be scored.
pub const MOST_ROWS: usize = 128;

/// Logits in a group.
pub const GROUP: usize = 16;

/// The most probable tokens that can be reported with each token.
pub const MOST_TOP: usize = 20;

/// `scored` of a row whose token is chosen.
pub const NO_ID: u32 = u32::MAX;

/// Words of a report that are about the token: its id, its logit, the highest logit, and the sum of `exp(logit - highest)`, negative where a
/// logit is NaN.
const OWN_WORDS: usize = 4;

/// Words of a row's report: those about the token, then an id and a logit for each of the most probable.
pub const REPORT_WORDS: usize = OWN_WORDS + 2 * MOST_TOP;

/// What `sample_pick.wgsl` reports of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The token that was chosen; of a row that is scored the most probable one. Where a logit is NaN, the id of that.
    pub id: u32,
    pub is_nan: bool,
    /// Of the token that was chosen, or is scored.
    pub logit: f32,
    /// `ln(sum(exp(logits)))` over all raw logits.
    pub log_sum: f64,
    /// Ids and raw logits of the most probable tokens, most probable first.
    pub top: Vec<(u32, f32)>,
}

impl Report {
    /// Reads [`REPORT_WORDS`] words, with as many of the most probable tokens as were asked for.
    pub fn read(words: &[f32], top: usize) -> Self {
        let (own, pairs) = words.split_at(OWN_WORDS);
        let [id, logit, highest, sum] = [own[0], own[1], own[2], own[3]];
        let pairs = pairs.chunks_exact(2).take(top);
        Self {
            id: id.to_bits(),
            is_nan: sum < 0.0,
            logit,
            log_sum: f64::from(highest) + f64::from(sum).ln(),
            top: pairs.map(|pair| (pair[0].to_bits(), pair[1])).collect(),
        }
    }
}

/// Words of a set of ids, a bit each.
pub fn id_words(vocab: usize) -> usize {
    vocab.div_ceil(32)
}

/// Words of a sequence's history: ids that occurred, that are forbidden and that would complete a repetition as sets, and its ids by
/// position, with one for the token that follows the last.
pub fn history_words(vocab: usize, context_size: usize) -> usize {
    3 * id_words(vocab) + context_size + 1
}

bindings! {
    /// Of `sample_ngrams.wgsl`.
    NgramsBindings |path| {
        shape: Uniform,
        rows: Uniform,
        history: Write,
    }
}

bindings! {
    /// Of `sample_groups.wgsl`.
    GroupsBindings |path| {
        shape: Uniform,
        rows: Uniform,
        logits: Read,
        history: Read,
        adjusted: Write,
        groups: Write,
    }
}

bindings! {
    /// Of `sample_pick.wgsl`.
    PickBindings |path| {
        shape: Uniform,
        rows: Uniform,
        logits: Read,
        adjusted: Read,
        groups: Write,
        history: Write,
        chosen: Write,
        report: Write,
    }
}

/// How a token is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Choice {
    /// The most probable one.
    Highest,
    /// By probability, after the cuts; the most probable one where the temperature is 0.
    Random,
}

impl Choice {
    pub const ALL: [Self; 2] = [Self::Highest, Self::Random];
}

pub fn ngrams_spec() -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "sample_ngrams.wgsl",
            slots: vec![],
        },
        constants: vec![],
        bindings: NgramsBindings::<()>::kinds(ComputePath::Gpu),
    }
}

pub fn groups_spec() -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "sample_groups.wgsl",
            slots: vec![],
        },
        constants: vec![],
        // The same for both paths.
        bindings: GroupsBindings::<()>::kinds(ComputePath::Gpu),
    }
}

/// Workgroups of `sample_groups.wgsl` for a row; of the others it is one.
pub fn workgroups(vocab: usize) -> u32 {
    vocab.div_ceil(GROUP).div_ceil(64) as u32
}

pub fn pick_spec(choice: Choice) -> KernelSpec {
    let file = match choice {
        Choice::Highest => "lib/choose_highest.wgsl",
        Choice::Random => "lib/choose_random.wgsl",
    };
    KernelSpec {
        variant: Variant {
            file: "sample_pick.wgsl",
            slots: vec![("choose", file)],
        },
        constants: vec![],
        bindings: PickBindings::<()>::kinds(ComputePath::Gpu),
    }
}
