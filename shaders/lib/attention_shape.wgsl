// What the attention kernels need to know.
struct Shape {
    head_dim: u32,
    blocks: u32,      // ceil(head_dim / 8), at most 32
    group: u32,       // query heads to a kv head
    quads: u32,       // ceil(group / 4)
    kv_heads: u32,
    q_stride: u32,    // floats from one token's queries to the next
    stride: u32,      // floats from one token's output to the next
    scale: f32,
    split: u32,       // positions that a workgroup takes at most
    splits: u32,      // workgroups that share a token's positions at most
}
@group(0) @binding(0) var<uniform> shape: Shape;
