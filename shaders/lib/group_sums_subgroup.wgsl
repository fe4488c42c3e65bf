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
fn group_sums(lane: u32, own_a: vec4<f32>, own_b: vec4<f32>) -> Scores {
    var a = own_a;
    var b = own_b;
    if BLOCK_LANES > 16u {
        a += subgroupShuffleXor(a, 16u);
        b += subgroupShuffleXor(b, 16u);
    }
    if BLOCK_LANES > 8u {
        a += subgroupShuffleXor(a, 8u);
        b += subgroupShuffleXor(b, 8u);
    }
    if BLOCK_LANES > 4u {
        a += subgroupShuffleXor(a, 4u);
        b += subgroupShuffleXor(b, 4u);
    }
    if BLOCK_LANES > 2u {
        a += subgroupShuffleXor(a, 2u);
        b += subgroupShuffleXor(b, 2u);
    }
    if BLOCK_LANES > 1u {
        a += subgroupShuffleXor(a, 1u);
        b += subgroupShuffleXor(b, 1u);
    }
    return Scores(a, b);
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
        let zero = Block();
        let rescale = exp2(own.highest - all.highest);
        all.total *= rescale;
        all.sums = weighed(own.sums, rescale, vec4<f32>(), zero, vec4<f32>(), zero);
        all.total += subgroupShuffleXor(all.total, BLOCK_LANES);
        all.sums = with_partner(all.sums, BLOCK_LANES);
    }
    if LANES > 128u {
        all.total += subgroupShuffleXor(all.total, 2u * BLOCK_LANES);
        all.sums = with_partner(all.sums, 2u * BLOCK_LANES);
    }
    return all;
}
