// How the sums of a group's lanes meet (lib/rows.wgsl): lane to lane, where the subgroups of an adapter hold whole groups.

#import lib/entry_subgroup.wgsl
#import lib/xor_sum.wgsl

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
    return xor_sum(own, COLUMNS);
}
