// What the attention kernels need to know.
struct Shape {
    head_dim: u32,
    blocks: u32,      // ceil(head_dim / 8), at most 32
    group: u32,       // query heads to a kv head
    quads: u32,       // ceil(group / 4)
    kv_heads: u32,
    q_stride: u32,    // floats from one token's queries to the next; of the QKV product where queries are made of it
    stride: u32,      // floats from one token's output, or one split's, to the next
    scale: f32,
    split: u32,       // positions that a workgroup takes at most
    splits: u32,      // workgroups that share a token's positions at most
    normalize: u32,   // 1: with q and k norms
    epsilon: f32,     // likewise
}
@group(0) @binding(0) var<uniform> shape: Shape;
