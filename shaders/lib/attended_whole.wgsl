// The output of attention where one workgroup has all of a token's positions:  [tokens, q_heads * head_dim]
@group(0) @binding(5) var<storage, read_write> output: array<f32>;
#import lib/store_heads.wgsl

fn finish_at(d: u32, work: Work, token: Token) {
    let met = met_at(d);
    if d < shape.head_dim {
        let to = work.row * shape.stride + work.first_head * shape.head_dim;
        store_heads(to + d, work.heads, met.sum / met.total);
    }
}
