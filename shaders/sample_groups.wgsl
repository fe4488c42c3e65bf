// The first half of choosing a token on the device: the repetition penalty, and what is worth knowing of every 16 logits.
//     adjusted[i] = seen[i] ? (x < 0 ? x * penalty : x / penalty) : x      x = logits[i], both [vocab], padded to whole groups
//     groups[g] = (highest adjusted, highest raw, sum of exp(raw - highest raw), 0)      of the group's 16
// A lane covers a group. Lanes beyond the last repeat it.
#import lib/sample_shape.wgsl
@group(0) @binding(1) var<storage, read> logits: array<vec4<f32>>;
// A bit for every id that occurred.
@group(0) @binding(2) var<storage, read> seen: array<u32>;
@group(0) @binding(3) var<storage, read_write> adjusted: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> groups: array<vec4<f32>>;

fn penalized(x: vec4<f32>, bits: u32) -> vec4<f32> {
    let is_seen = (vec4<u32>(bits) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>(0u);
    let lowered = select(x / shape.penalty, x * shape.penalty, x < vec4<f32>(0.0));
    return max(select(x, lowered, is_seen), vec4<f32>(LOWEST));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let group = min(invocation.x, shape.groups - 1u);
    let at = 4u * group;
    let bits = seen[group >> 1u] >> ((group & 1u) * 16u);
    let a = usable(logits[at], 16u * group);
    let b = usable(logits[at + 1u], 16u * group + 4u);
    let c = usable(logits[at + 2u], 16u * group + 8u);
    let d = usable(logits[at + 3u], 16u * group + 12u);
    let to_a = penalized(a, bits);
    let to_b = penalized(b, bits >> 4u);
    let to_c = penalized(c, bits >> 8u);
    let to_d = penalized(d, bits >> 12u);
    adjusted[at] = to_a;
    adjusted[at + 1u] = to_b;
    adjusted[at + 2u] = to_c;
    adjusted[at + 3u] = to_d;
    let raw = highest_of(max(max(a, b), max(c, d)));
    let sum = sum_of((exp(a - raw) + exp(b - raw)) + (exp(c - raw) + exp(d - raw)));
    groups[group] = vec4<f32>(highest_of(max(max(to_a, to_b), max(to_c, to_d))), raw, sum, 0.0);
}
