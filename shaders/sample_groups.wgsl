// The first half of choosing a token on the device: the repetition penalty, and what is worth knowing of every 16 logits.
//     adjusted[i] = seen[i] ? (x < 0 ? x * penalty : x / penalty) : x      x = logits[i], both [rows, vocab], padded to whole groups
//     groups[g] = (highest adjusted, highest raw, sum of exp(raw - highest raw), 0)      of the group's 16
// A lane covers a group, workgroup y is the row. Lanes beyond the last repeat it.
#import lib/sample_shape.wgsl
@group(0) @binding(2) var<storage, read> logits: array<vec4<f32>>;
// [sequences, vocab / 32]: a bit for every id that occurred.
@group(0) @binding(3) var<storage, read> seen: array<u32>;
@group(0) @binding(4) var<storage, read_write> adjusted: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> groups: array<vec4<f32>>;

fn penalized(x: vec4<f32>, bits: u32, penalty: f32) -> vec4<f32> {
    let is_seen = (vec4<u32>(bits) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>(0u);
    let lowered = select(x / penalty, x * penalty, x < vec4<f32>(0.0));
    return max(select(x, lowered, is_seen), vec4<f32>(LOWEST));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let group = min(invocation.x, shape.groups - 1u);
    let row = rows[invocation.y];
    let at = row.logits_row * shape.logits_stride + 4u * group;
    let bits = seen[row.slot * shape.seen_stride + (group >> 1u)] >> ((group & 1u) * 16u);
    let a = usable(logits[at], 16u * group);
    let b = usable(logits[at + 1u], 16u * group + 4u);
    let c = usable(logits[at + 2u], 16u * group + 8u);
    let d = usable(logits[at + 3u], 16u * group + 12u);
    let to_a = penalized(a, bits, row.penalty);
    let to_b = penalized(b, bits >> 4u, row.penalty);
    let to_c = penalized(c, bits >> 8u, row.penalty);
    let to_d = penalized(d, bits >> 12u, row.penalty);
    let to = 4u * (invocation.y * shape.groups + group);
    adjusted[to] = to_a;
    adjusted[to + 1u] = to_b;
    adjusted[to + 2u] = to_c;
    adjusted[to + 3u] = to_d;
    let raw = highest_of(max(max(a, b), max(c, d)));
    let sum = sum_of((exp(a - raw) + exp(b - raw)) + (exp(c - raw) + exp(d - raw)));
    groups[invocation.y * shape.groups + group] = vec4<f32>(highest_of(max(max(to_a, to_b), max(to_c, to_d))), raw, sum, 0.0);
}
