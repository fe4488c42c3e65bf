// The input of a `lanes` product as whole numbers of eight bits, with a scale for 32: eight lanes of a subgroup make four each,
// and tell all others.
#import lib/whole.wgsl
@group(0) @binding(3) var<uniform> input_0: array<vec4<f32>, 4096>;

struct Place {
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
}

// Which vec4 of a step a lane reads.
alias Reader = u32;

fn reader(place: Place) -> Reader {
    return place.subgroup_lane & 7u;
}

fn share_magnitude(own: u32) -> u32 {
    let a = max(subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u));
    let b = max(subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u));
    let c = max(subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u));
    let d = max(subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u));
    return max(max(a, b), max(c, d));
}

fn quantize(x: vec4<f32>) -> Input {
    let most = bitcast<f32>(share_magnitude(magnitude(x)));
    let scaled = x * (127.0 / most);
    let even = bitcast<u32>((whole(scaled.x) << 16u) + whole(scaled.z));
    let odd = bitcast<u32>((whole(scaled.y) << 16u) + whole(scaled.w));
    // What the weights' offset of 128 adds to a product, taken away; and 2^15 more.
    let own = Four(even, odd, 0x8000u - 0x00800080u * even, 0x8000u - 0x00800080u * odd);
    return Input(
        array<Four, 4>(
            Four(
                subgroupBroadcast(own.even, 0u),
                subgroupBroadcast(own.odd, 0u),
                subgroupBroadcast(own.even_offset, 0u),
                subgroupBroadcast(own.odd_offset, 0u),
            ),
            Four(
                subgroupBroadcast(own.even, 1u),
                subgroupBroadcast(own.odd, 1u),
                subgroupBroadcast(own.even_offset, 1u),
                subgroupBroadcast(own.odd_offset, 1u),
            ),
            Four(
                subgroupBroadcast(own.even, 2u),
                subgroupBroadcast(own.odd, 2u),
                subgroupBroadcast(own.even_offset, 2u),
                subgroupBroadcast(own.odd_offset, 2u),
            ),
            Four(
                subgroupBroadcast(own.even, 3u),
                subgroupBroadcast(own.odd, 3u),
                subgroupBroadcast(own.even_offset, 3u),
                subgroupBroadcast(own.odd_offset, 3u),
            ),
        ),
        array<Four, 4>(
            Four(
                subgroupBroadcast(own.even, 4u),
                subgroupBroadcast(own.odd, 4u),
                subgroupBroadcast(own.even_offset, 4u),
                subgroupBroadcast(own.odd_offset, 4u),
            ),
            Four(
                subgroupBroadcast(own.even, 5u),
                subgroupBroadcast(own.odd, 5u),
                subgroupBroadcast(own.even_offset, 5u),
                subgroupBroadcast(own.odd_offset, 5u),
            ),
            Four(
                subgroupBroadcast(own.even, 6u),
                subgroupBroadcast(own.odd, 6u),
                subgroupBroadcast(own.even_offset, 6u),
                subgroupBroadcast(own.odd_offset, 6u),
            ),
            Four(
                subgroupBroadcast(own.even, 7u),
                subgroupBroadcast(own.odd, 7u),
                subgroupBroadcast(own.even_offset, 7u),
                subgroupBroadcast(own.odd_offset, 7u),
            ),
        ),
        most / 127.0,
    );
}

// The step that begins at vec4 `at`.
fn step_0(own: Reader, at: u32) -> Input {
    return quantize(input_0[at + own]);
}
