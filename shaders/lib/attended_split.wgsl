// The output of attention where workgroups share a token's positions, for lib/input_attended.wgsl, which adds it up: [tokens, splits] records of
//     q_heads * head_dim values, as if there were no other split, then for each head the logarithm (base 2) of its sum of weights
// A record that a token has no positions for has LOWEST for logarithms, and anything for values.
@group(0) @binding(5) var<storage, read_write> output: array<f32>;
#import lib/store_heads.wgsl

fn finish_at(d: u32, work: Work, token: Token) {
    let met = met_at(d);
    let count = token.position / shape.split + 1u;
    let record = (work.row * shape.splits + work.split) * shape.stride;
    let logarithm = record + shape.group * shape.kv_heads * shape.head_dim + work.first_head + d;
    let is_there = work.split < count;
    if is_there && d < shape.head_dim {
        store_heads(record + work.first_head * shape.head_dim + d, work.heads, met.sum / met.total);
    }
    if is_there && d < work.heads {
        output[logarithm] = met.highest[d] + log2(met.total[d]);
    }
    // The first split says which others are not there.
    for (var split = count; split < shape.splits; split += 1u) {
        if work.split == 0u && d < work.heads {
            output[logarithm + split * shape.stride] = LOWEST;
        }
    }
}
