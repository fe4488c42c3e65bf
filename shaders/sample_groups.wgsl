// The first half of choosing a token on the device: the repetition penalty, what is forbidden, and what is worth knowing of every 16 logits.
//     adjusted[i] = forbidden[i] ? LOWEST : seen[i] ? (x < 0 ? x * penalty : x / penalty) : x;  in a row that is scored, x
//         x = logits[i], both [rows, vocab], padded to whole groups
//     groups[g] = (highest adjusted, highest raw, sum of exp(raw - highest raw), - 1 - the first NaN or LOWEST)      of the group's 16
// A lane covers a group, workgroup y is the row. Lanes beyond the last repeat it.
#import lib/sample_shape.wgsl
@group(0) @binding(2) var<storage, read> logits: array<vec4<f32>>;
// [sequences, history_stride]
@group(0) @binding(3) var<storage, read> history: array<u32>;
@group(0) @binding(4) var<storage, read_write> adjusted: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> groups: array<vec4<f32>>;

// Which of four ids have a bit.
fn are_set(bits: u32) -> vec4<bool> {
    return (vec4<u32>(bits) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>(0u);
}

fn adjust(x: vec4<f32>, seen_bits: u32, forbidden_bits: u32, penalty: f32) -> vec4<f32> {
    let lowered = select(x / penalty, x * penalty, x < vec4<f32>(0.0));
    let penalized = max(select(x, lowered, are_set(seen_bits)), vec4<f32>(LOWEST));
    return select(penalized, vec4<f32>(LOWEST), are_set(forbidden_bits));
}

// What tells where a NaN is among four logits from id `first` on: the highest of these belongs to the first.
fn nan_mark(x: vec4<f32>, first: u32) -> f32 {
    let ids = first + vec4<u32>(0u, 1u, 2u, 3u);
    let is_wrong = is_nan(x) & (ids < vec4<u32>(shape.vocab));
    return highest_of(select(vec4<f32>(LOWEST), -1.0 - vec4<f32>(ids), is_wrong));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let group = min(invocation.x, shape.groups - 1u);
    let row = rows[invocation.y];
    let at = row.logits_row * shape.logits_stride + 4u * group;
    let word = row.slot * shape.history_stride + (group >> 1u);
    let shift = (group & 1u) * 16u;
    let bits = history[word] >> shift;
    let repeated = select(0u, history[word + 2u * id_words()], row.ngram > 0u);
    let forbidden = select((history[word + id_words()] | repeated) >> shift, 0u, row.scored != NO_ID);
    let a = usable(logits[at], 16u * group);
    let b = usable(logits[at + 1u], 16u * group + 4u);
    let c = usable(logits[at + 2u], 16u * group + 8u);
    let d = usable(logits[at + 3u], 16u * group + 12u);
    let to_a = adjust(a, bits, forbidden, row.penalty);
    let to_b = adjust(b, bits >> 4u, forbidden >> 4u, row.penalty);
    let to_c = adjust(c, bits >> 8u, forbidden >> 8u, row.penalty);
    let to_d = adjust(d, bits >> 12u, forbidden >> 12u, row.penalty);
    let to = 4u * (invocation.y * shape.groups + group);
    adjusted[to] = to_a;
    adjusted[to + 1u] = to_b;
    adjusted[to + 2u] = to_c;
    adjusted[to + 3u] = to_d;
    let raw = highest_of(max(max(a, b), max(c, d)));
    let sum = sum_of((exp(a - raw) + exp(b - raw)) + (exp(c - raw) + exp(d - raw)));
    let nan_ab = max(nan_mark(logits[at], 16u * group), nan_mark(logits[at + 1u], 16u * group + 4u));
    let nan_cd = max(nan_mark(logits[at + 2u], 16u * group + 8u), nan_mark(logits[at + 3u], 16u * group + 12u));
    let highest = highest_of(max(max(to_a, to_b), max(to_c, to_d)));
    groups[invocation.y * shape.groups + group] = vec4<f32>(highest, raw, sum, max(nan_ab, nan_cd));
}
