// How a group's lanes of attention add up: in workgroup memory, on any adapter. There are 64 lanes.
#import lib/entry_workgroup.wgsl

// Which half of the places below is next: 0 or 64.
var<private> next_half: u32 = 0u;

// In `slot_sums`, which nobody needs in between: [two halves, 64 lanes]. A lane writes its own place before a barrier and reads others behind it. It
// writes the other half next, and this one only behind the next barrier, which nobody reaches who still reads it: all lanes come by as often.
fn group_sum(lane: u32, own: vec4<f32>) -> vec4<f32> {
    let half = next_half;
    next_half = 64u - half;
    slot_sums[half + lane] = own;
    workgroupBarrier();
    let first = half + lane - lane % BLOCK_LANES;
    var sum = vec4<f32>();
    for (var i = 0u; i < BLOCK_LANES; i += 1u) {
        sum += slot_sums[first + i];
    }
    return sum;
}

// With 64 lanes all groups meet in workgroup memory, when all have read what they added up last.
fn meet_lanes(own: Own) -> Own {
    workgroupBarrier();
    return own;
}
