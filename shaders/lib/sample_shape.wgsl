// What all sampling kernels need to know. Logits are looked at in groups of 16.
struct Shape {
    vocab: u32,
    groups: u32,         // ceil(vocab / 16)
    logits_stride: u32,  // vec4s from one row of logits to the next
    history_stride: u32, // words of a sequence's history
}
@group(0) @binding(0) var<uniform> shape: Shape;

// How the token of a row is chosen, or which one is looked up there.
struct Row {
    logits_row: u32,
    slot: u32,           // the sequence
    top_count: u32,      // most probable tokens to report
    top_k: u32,          // 0: all
    temperature: f32,    // 0: the most probable token
    top_p: f32,          // 1 or more: all
    min_p: f32,          // 0: all
    penalty: f32,        // 1: none
    random: f32,         // a random number in [0, 1)
    len: u32,            // ids of the sequence so far
    ngram: u32,          // ids in a row that may not occur twice; 0: any
    scored: u32,         // the id that a row is scored by, where nothing is chosen; NO_ID: something is
}
@group(0) @binding(1) var<uniform> rows: array<Row, 128>;

const NO_ID = 0xffffffffu;

// Lower than every logit that can be chosen; stands in for NaN and for ids beyond the vocabulary.
const LOWEST = -3.4e38;

// Words of a set of ids, a bit each. A sequence's history is three such sets, of ids that occurred, that are forbidden, and that would
// complete a repetition, and then its ids by position.
fn id_words() -> u32 {
    return (shape.vocab + 31u) / 32u;
}

fn is_nan(x: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

// Four logits from id `first` on.
fn usable(x: vec4<f32>, first: u32) -> vec4<f32> {
    let ids = first + vec4<u32>(0u, 1u, 2u, 3u);
    let bounded = max(select(x, vec4<f32>(LOWEST), is_nan(x)), vec4<f32>(LOWEST));
    return select(vec4<f32>(LOWEST), bounded, ids < vec4<u32>(shape.vocab));
}

fn highest_of(x: vec4<f32>) -> f32 {
    return max(max(x.x, x.y), max(x.z, x.w));
}

fn sum_of(x: vec4<f32>) -> f32 {
    return (x.x + x.y) + (x.z + x.w);
}
