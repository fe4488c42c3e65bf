// Embedding lookup: the hidden state begins as the token's row of the embedding matrix.
//     hidden[t] = embeddings[ids[t]]              embeddings: [vocab, width], hidden: [tokens, width]
// A lane copies one block of 8; workgroup y is the token. A matrix in several parts runs once a part: each writes the tokens
// whose rows it holds.
#import lib/tokens.wgsl

struct Shape {
    blocks: u32,      // ceil(width / 8)
    units: u32,       // 16-byte units in a row of weights
    row_first: u32,   // first row of this part
    row_count: u32,   // rows of this part
    out_stride: u32,  // vec4s from one token's hidden state to the next
}
@group(0) @binding(0) var<uniform> shape: Shape;
#import <source>
#import <format>
@group(0) @binding(2) var<storage, read_write> hidden: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> tokens: array<Token>;
// [sequences]: ids that the device chose.
@group(0) @binding(4) var<storage, read> chosen: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = workgroup.x * 64u + lane;
    let token = tokens[workgroup.y];
    let id = select(token.id, chosen[token.slot], token.id == 0xffffffffu);
    let row = id - shape.row_first;
    if block >= shape.blocks || row >= shape.row_count {
        return;
    }
    let values = load_weights(weight_row(row), block);
    let at = workgroup.y * shape.out_stride + 2u * block;
    hidden[at] = values.lo;
    hidden[at + 1u] = values.hi;
}
