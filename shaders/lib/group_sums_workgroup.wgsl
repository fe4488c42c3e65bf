// How a group's lanes of attention add up: in workgroup memory, on any adapter. There are 64 lanes.
struct Invocation {
    @builtin(local_invocation_index) lane: u32,
}

fn lane_of(invocation: Invocation) -> u32 {
    return invocation.lane;
}

// Which half of the places below is next: 0 or 128.
var<private> next_half: u32 = 0u;

// In `slot_sums`, which nobody needs in between: [two halves, two positions, 64 lanes]. A lane writes its own places before a barrier and reads others
// behind it. It writes the other half next, and this one only behind the next barrier, which nobody reaches who still reads it: all lanes come by
// as often.
fn group_sums(lane: u32, own_a: vec4<f32>, own_b: vec4<f32>) -> Scores {
    let half = next_half;
    next_half = 128u - half;
    slot_sums[half + lane] = own_a;
    slot_sums[half + 64u + lane] = own_b;
    workgroupBarrier();
    let first = half + lane - lane % BLOCK_LANES;
    var a = vec4<f32>();
    var b = vec4<f32>();
    for (var i = 0u; i < BLOCK_LANES; i += 1u) {
        a += slot_sums[first + i];
        b += slot_sums[first + 64u + i];
    }
    return Scores(a, b);
}

// With 64 lanes all groups meet in workgroup memory, when all have read what they added up last.
fn meet_lanes(own: Own) -> Own {
    workgroupBarrier();
    return own;
}
