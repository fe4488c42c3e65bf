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

// The norm's weights for the step that begins at vec4 `at`.
fn norm_weight(own: Reader, at: u32) -> Raw {
    if !NORMED {
        return Raw();
    }
    return Raw(Block(norm[at], norm[at + 1u]), Block(norm[at + 2u], norm[at + 3u]));
}

fn take(own: Reader, raw: Raw, weight: Raw) -> Input {
    if !NORMED {
        return raw;
    }
    return Input(
        Block(raw.a.lo * weight.a.lo, raw.a.hi * weight.a.hi),
        Block(raw.b.lo * weight.b.lo, raw.b.hi * weight.b.hi),
    );
}

@group(0) @binding(4) var<uniform> input_0: array<vec4<f32>, 4096>;

// Of the step that begins at vec4 `at`.
fn raw_0(own: Reader, at: u32) -> Raw {
    return Raw(Block(input_0[at], input_0[at + 1u]), Block(input_0[at + 2u], input_0[at + 3u]));
}
