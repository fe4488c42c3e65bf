// Writes one dimension of up to four heads, the components of `x`, to the output of attention; `to` is its place in the first.
fn store_heads(to: u32, heads: u32, x: vec4<f32>) {
    output[to] = x.x;
    if heads > 1u {
        output[to + shape.head_dim] = x.y;
    }
    if heads > 2u {
        output[to + 2u * shape.head_dim] = x.z;
    }
    if heads > 3u {
        output[to + 3u * shape.head_dim] = x.w;
    }
}
