// The input of a `lanes` product quantised to eight bits on the fly, with a scale for 32: eight lanes of a subgroup make four each,
// and tell all others.
#import lib/share.wgsl
#import lib/whole.wgsl

// What a lane reads of a step.
alias Raw = vec4<f32>;

fn lane_vector(own: Reader) -> u32 {
    return 4u * own.x + own.y;
}

fn raw_squares(raw: Raw) -> f32 {
    return dot(raw, raw);
}

fn share_magnitude(own: u32) -> u32 {
    let a = max(subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u));
    let b = max(subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u));
    let c = max(subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u));
    let d = max(subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u));
    return max(max(a, b), max(c, d));
}

// The norm's weights for the step that begins at vec4 `at`.
fn norm_weight(own: Reader, at: u32) -> Raw {
    if !NORMED {
        return Raw();
    }
    return norm[at + lane_vector(own)];
}

fn take(own: Reader, raw: Raw, weight: Raw) -> Input {
    var x = raw;
    if NORMED {
        x *= weight;
    }
    let most = bitcast<f32>(share_magnitude(magnitude(x)));
    let scaled = x * (127.0 / most);
    let even = bitcast<u32>((whole(scaled.x) << 16u) + whole(scaled.z));
    let odd = bitcast<u32>((whole(scaled.y) << 16u) + whole(scaled.w));
    // What the weights' offset of 128 adds to a product, taken away; and 2^15 more.
    let four = Four(even, odd, 0x8000u - 0x00800080u * even, 0x8000u - 0x00800080u * odd);
    return Input(
        array<Four, 4>(
            subgroupBroadcast(four, 0u),
            subgroupBroadcast(four, 1u),
            subgroupBroadcast(four, 2u),
            subgroupBroadcast(four, 3u),
        ),
        array<Four, 4>(
            subgroupBroadcast(four, 4u),
            subgroupBroadcast(four, 5u),
            subgroupBroadcast(four, 6u),
            subgroupBroadcast(four, 7u),
        ),
        most / 127.0,
    );
}

@group(0) @binding(4) var<uniform> input_0: array<vec4<f32>, 4096>;

// Of the step that begins at vec4 `at`.
fn raw_0(own: Reader, at: u32) -> Raw {
    return input_0[at + lane_vector(own)];
}
