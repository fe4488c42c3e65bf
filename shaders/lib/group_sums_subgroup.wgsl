// How a group's lanes of attention add up: lane to lane, where subgroups hold whole groups and all that meet lane to lane.
struct Invocation {
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) size: u32,
    @builtin(subgroup_invocation_id) lane: u32,
}

// Counted by subgroups: which lane of a workgroup is which lane of a subgroup is the driver's affair.
fn lane_of(invocation: Invocation) -> u32 {
    return invocation.subgroup * invocation.size + invocation.lane;
}

// Distances by hand: one that the compiler knows is an instruction instead of a trip through memory (lib/sums_subgroup.wgsl).
fn group_sum(lane: u32, own: vec4<f32>) -> vec4<f32> {
    var sum = own;
    if BLOCK_LANES > 16u {
        sum += subgroupShuffleXor(sum, 16u);
    }
    if BLOCK_LANES > 8u {
        sum += subgroupShuffleXor(sum, 8u);
    }
    if BLOCK_LANES > 4u {
        sum += subgroupShuffleXor(sum, 4u);
    }
    if BLOCK_LANES > 2u {
        sum += subgroupShuffleXor(sum, 2u);
    }
    if BLOCK_LANES > 1u {
        sum += subgroupShuffleXor(sum, 1u);
    }
    return sum;
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
