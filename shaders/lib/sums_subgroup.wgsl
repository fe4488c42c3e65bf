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
    var sum_a = a;
    var sum_b = b;
    var sum_c = c;
    var sum_d = d;
    for (var distance = COLUMNS / 2u; distance > 0u; distance /= 2u) {
        sum_a += subgroupShuffleXor(sum_a, distance);
        sum_b += subgroupShuffleXor(sum_b, distance);
        sum_c += subgroupShuffleXor(sum_c, distance);
        sum_d += subgroupShuffleXor(sum_d, distance);
    }
    // The first two lanes of a group take a pair each.
    let column = lane % COLUMNS;
    let is_second = column == 1u;
    let pair = (lane / COLUMNS) * 2u + column;
    return Pair(pair, column < 2u, select(sum_a, sum_b, is_second), select(sum_c, sum_d, is_second));
}

// What the lanes of a group have together.
fn meet_squares(lane: u32, own: Sum) -> Sum {
    var sum = own;
    for (var distance = COLUMNS / 2u; distance > 0u; distance /= 2u) {
        sum += subgroupShuffleXor(sum, distance);
    }
    return sum;
}
