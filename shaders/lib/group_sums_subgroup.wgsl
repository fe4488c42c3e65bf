// How a group's lanes of attention add up: lane to lane, where subgroups hold whole groups and all that meet lane to lane.
alias Sum = vec4<f32>;
#import lib/entry_subgroup.wgsl
#import lib/xor_sum.wgsl

fn group_sum(lane: u32, own: vec4<f32>) -> vec4<f32> {
    return xor_sum(own, BLOCK_LANES);
}

fn with_partner(own: Eight, distance: u32) -> Eight {
    return Eight(
        own.d0 + subgroupShuffleXor(own.d0, distance),
        own.d1 + subgroupShuffleXor(own.d1, distance),
        own.d2 + subgroupShuffleXor(own.d2, distance),
        own.d3 + subgroupShuffleXor(own.d3, distance),
        own.d4 + subgroupShuffleXor(own.d4, distance),
        own.d5 + subgroupShuffleXor(own.d5, distance),
        own.d6 + subgroupShuffleXor(own.d6, distance),
        own.d7 + subgroupShuffleXor(own.d7, distance),
    );
}

// What two or four neighbouring groups have together.
fn meet_lanes(own: Own) -> Own {
    var all = own;
    if LANES > 64u {
        all.highest = max(all.highest, subgroupShuffleXor(all.highest, BLOCK_LANES));
    }
    if LANES > 128u {
        all.highest = max(all.highest, subgroupShuffleXor(all.highest, 2u * BLOCK_LANES));
    }
    if LANES > 64u {
        let rescale = exp2(own.highest - all.highest);
        all.total *= rescale;
        all.sums = weighed(own.sums, rescale, vec4<f32>(), Block());
        all.total += subgroupShuffleXor(all.total, BLOCK_LANES);
        all.sums = with_partner(all.sums, BLOCK_LANES);
    }
    if LANES > 128u {
        all.total += subgroupShuffleXor(all.total, 2u * BLOCK_LANES);
        all.sums = with_partner(all.sums, 2u * BLOCK_LANES);
    }
    return all;
}
