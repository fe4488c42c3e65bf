// The input of the `rows` products as it lies there.

// The block that begins at vec4 `at`.
fn load_block_at(at: u32) -> Block {
    return Block(input[at], input[at + 1u]);
}
