// How the sums of a group's lanes meet (lib/rows.wgsl): in workgroup memory, on any adapter.

#import lib/entry_workgroup.wgsl

// Of one row of a lane and of another, and a quarter as many sums of four neighbours, the former's first.
override NEIGHBOURS: u32 = LANES / 2u;
var<workgroup> partial: array<Sum, LANES>;
var<workgroup> others: array<Sum, LANES>;
var<workgroup> quarters: array<Sum, NEIGHBOURS>;

// The sum of `a` in a group's lanes, or of `b`, whichever the lane has been given: lanes of the groups' first pairs, then of their second.
fn gather(lane: u32, a: Sum, b: Sum) -> Sum {
    partial[lane] = a;
    others[lane] = b;
    workgroupBarrier();
    let quad = 4u * (lane % (LANES / 4u));
    if lane < LANES / 4u {
        quarters[lane] = (partial[quad] + partial[quad + 1u]) + (partial[quad + 2u] + partial[quad + 3u]);
    } else if lane < LANES / 2u {
        quarters[lane] = (others[quad] + others[quad + 1u]) + (others[quad + 2u] + others[quad + 3u]);
    }
    workgroupBarrier();
    let pair = min(lane, 2u * LANES / COLUMNS - 1u);
    var sum: Sum;
    for (var i = 0u; i < COLUMNS / 4u; i += 1u) {
        sum += quarters[pair * (COLUMNS / 4u) + i];
    }
    return sum;
}

fn meet(lane: u32, a: Sum, b: Sum, c: Sum, d: Sum) -> Pair {
    let first = gather(lane, a, b);
    // Nobody writes `partial` before all have read it (the second barrier within), nor `quarters` before all have added them up: between
    // lies the first barrier of the next call.
    let second = gather(lane, c, d);
    let groups = LANES / COLUMNS;
    return Pair(lane % groups, lane / groups, lane < groups * GROUP_PAIRS, first, second);
}

// What the lanes of a group have together, after they have met, in the lane that has its pair.
fn meet_squares(lane: u32, own: Sum) -> Sum {
    partial[lane] = own;
    workgroupBarrier();
    let group = lane % (LANES / COLUMNS);
    var sum: Sum;
    for (var i = 0u; i < COLUMNS; i += 1u) {
        sum += partial[group * COLUMNS + i];
    }
    return sum;
}
