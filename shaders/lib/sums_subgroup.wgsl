// How the sums of a group's lanes meet (lib/rows.wgsl): lane to lane, where the subgroups of an adapter hold whole groups. Each
// step adds what a lane and its partner have, so all lanes end with the same bits, whatever the size of the subgroup.

struct Invocation {
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) size: u32,
    @builtin(subgroup_invocation_id) lane: u32,
}

// Counted by subgroups: which lane of a workgroup is which lane of a subgroup is the driver's affair.
fn lane_of(invocation: Invocation) -> u32 {
    return invocation.subgroup * invocation.size + invocation.lane;
}

fn meet(lane: u32, a: Sum, b: Sum, c: Sum, d: Sum) -> Pair {
    let sum_a = meet_squares(lane, a);
    let sum_c = meet_squares(lane, c);
    var sum_b = b;
    var sum_d = d;
    if GROUP_PAIRS > 1u {
        sum_b = meet_squares(lane, b);
        sum_d = meet_squares(lane, d);
    }
    // The first lanes of a group take a pair each.
    let column = lane % COLUMNS;
    let is_second = column == 1u;
    let is_here = column < GROUP_PAIRS;
    return Pair(lane / COLUMNS, column, is_here, select(sum_a, sum_b, is_second), select(sum_c, sum_d, is_second));
}

// What the lanes of a group have together.
fn meet_squares(lane: u32, own: Sum) -> Sum {
    // By hand: compilers do not unroll a loop that halves, and a distance that they know is an instruction instead of a trip through memory.
    var sum = own;
    if COLUMNS > 32u {
        sum += subgroupShuffleXor(sum, 32u);
    }
    if COLUMNS > 16u {
        sum += subgroupShuffleXor(sum, 16u);
    }
    if COLUMNS > 8u {
        sum += subgroupShuffleXor(sum, 8u);
    }
    sum += subgroupShuffleXor(sum, 4u);
    sum += subgroupShuffleXor(sum, 2u);
    sum += subgroupShuffleXor(sum, 1u);
    return sum;
}
