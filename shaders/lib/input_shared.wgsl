// The input of a `lanes` product, shared by lanes.
#import lib/share.wgsl

// What a lane reads of a step: a value of each block.
alias Raw = vec2<f32>;

fn raw_squares(raw: Raw) -> f32 {
    return dot(raw, raw);
}

// The norm's weights for the step that begins at vec4 `at`.
fn norm_weight(own: Reader, at: u32) -> Raw {
    if !NORMED {
        return Raw();
    }
    return Raw(norm[at + own.x][own.y], norm[at + 2u + own.x][own.y]);
}

fn take(own: Reader, raw: Raw, weight: Raw) -> Input {
    var x = raw;
    if NORMED {
        x *= weight;
    }
    return Input(share(x.x), share(x.y));
}

@group(0) @binding(4) var<uniform> input_0: array<vec4<f32>, 4096>;

// Of the step that begins at vec4 `at`.
fn raw_0(own: Reader, at: u32) -> Raw {
    return Raw(input_0[at + own.x][own.y], input_0[at + 2u + own.x][own.y]);
}
