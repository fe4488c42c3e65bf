// The input of a `lanes` product: every lane reads all of it from uniform memory, at an index that is the same for all.
#import lib/each.wgsl

// What a lane reads of a step.
alias Raw = BlockPair;

fn raw_squares(raw: Raw) -> f32 {
    return dot(raw.a.lo, raw.a.lo) + dot(raw.a.hi, raw.a.hi) + dot(raw.b.lo, raw.b.lo) + dot(raw.b.hi, raw.b.hi);
}

fn all_squares(own: f32) -> f32 {
    return own;
}

fn take(own: Reader, raw: Raw, at: u32) -> Input {
    if !NORMED {
        return raw;
    }
    return Input(
        Block(raw.a.lo * norm[at], raw.a.hi * norm[at + 1u]),
        Block(raw.b.lo * norm[at + 2u], raw.b.hi * norm[at + 3u]),
    );
}

@group(0) @binding(4) var<uniform> input_0: array<vec4<f32>, 4096>;

// Of the step that begins at vec4 `at`.
fn raw_0(own: Reader, at: u32) -> Raw {
    return Raw(Block(input_0[at], input_0[at + 1u]), Block(input_0[at + 2u], input_0[at + 3u]));
}
