// The input of a `lanes` product: every lane reads all of it from uniform memory, at an index that is the same for all.
@group(0) @binding(3) var<uniform> input_0: array<vec4<f32>, 4096>;

struct Place {
    @builtin(local_invocation_index) lane: u32,
}

// What a lane must know to read blocks.
alias Reader = u32;

fn reader(place: Place) -> Reader {
    return 0u;
}

// The block of eight that begins at vec4 `at`.
fn block_0(own: Reader, at: u32) -> Block {
    return Block(input_0[at], input_0[at + 1u]);
}
