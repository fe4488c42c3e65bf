// How the sums of a group's lanes meet (lib/rows.wgsl): in workgroup memory, on any adapter.

struct Invocation {
    @builtin(local_invocation_index) lane: u32,
}

fn lane_of(invocation: Invocation) -> u32 {
    return invocation.lane;
}

// A lane writes its own places, and reads others' behind a barrier. `partial` is written once more for the squares, when all have read it: there is a barrier
// between, before `quarters` are read. So squares meet after the sums.
// [4 rows of a lane, 64 lanes], and a quarter as many sums of four neighbours.
var<workgroup> partial: array<Sum, 256>;
var<workgroup> quarters: array<Sum, 64>;

fn meet(lane: u32, a: Sum, b: Sum, c: Sum, d: Sum) -> Pair {
    partial[lane] = a;
    partial[lane + 64u] = b;
    partial[lane + 128u] = c;
    partial[lane + 192u] = d;
    workgroupBarrier();
    let quad = 4u * lane;
    quarters[lane] = (partial[quad] + partial[quad + 1u]) + (partial[quad + 2u] + partial[quad + 3u]);
    workgroupBarrier();
    // One lane a pair from here on. The quarters of its second row lie 32 behind those of its first.
    let pair = min(lane, PAIRS - 1u);
    let at = (pair % 2u) * 16u + (pair / 2u) * (COLUMNS / 4u);
    var first = Sum();
    var second = Sum();
    for (var i = 0u; i < COLUMNS / 4u; i += 1u) {
        first += quarters[at + i];
        second += quarters[at + 32u + i];
    }
    return Pair(pair, lane < PAIRS, first, second);
}

// What the lanes of a group have together, after they have met: every group has walked along the same input, so the first one's will do.
fn meet_squares(lane: u32, own: Sum) -> Sum {
    partial[lane] = own;
    workgroupBarrier();
    var sum = Sum();
    for (var i = 0u; i < COLUMNS; i += 1u) {
        sum += partial[i];
    }
    return sum;
}
