// Adds up the partial results of the splits of attention.wgsl, for tokens whose positions were split.
//     out[t, h] = sum over splits of exp(highest[s] - highest) * values[s]  /  the same of weights
// One workgroup covers a token and up to four query heads, a lane a dimension.
#import lib/tokens.wgsl
#import lib/attention_shape.wgsl
#import lib/attention_partials.wgsl
@group(0) @binding(1) var<storage, read> tokens: array<Token>;
@group(0) @binding(2) var<storage, read> partials: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
#import lib/store_heads.wgsl

const LANES = 64u;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let positions = tokens[workgroup.y].position + 1u;
    let is_split = positions > shape.split;
    let splits = (positions + shape.split - 1u) / shape.split;
    let heads = min(4u, shape.group - (workgroup.x % shape.quads) * 4u);
    let first_head = (workgroup.x / shape.quads) * shape.group + (workgroup.x % shape.quads) * 4u;
    let heads_start = workgroup.y * shape.stride + first_head * shape.head_dim;
    var highest = partials[partial_start(workgroup.y, 0u, workgroup.x, workgroups.x)];
    for (var s = 1u; s < splits; s += 1u) {
        highest = max(highest, partials[partial_start(workgroup.y, s, workgroup.x, workgroups.x)]);
    }
    for (var start = 0u; start < shape.head_dim; start += LANES) {
        let d = start + lane;
        let at = 2u + min(d, shape.head_dim - 1u);
        var total = vec4<f32>();
        var sum = vec4<f32>();
        for (var s = 0u; s < splits; s += 1u) {
            let partial_at = partial_start(workgroup.y, s, workgroup.x, workgroups.x);
            let scale = exp(partials[partial_at] - highest);
            total += scale * partials[partial_at + 1u];
            sum += scale * partials[partial_at + at];
        }
        let result = sum / total;
        if is_split && d < shape.head_dim {
            store_heads(heads_start + d, heads, result);
        }
    }
}
