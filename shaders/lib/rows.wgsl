// What the two `rows` products share: 64 lanes in groups of COLUMNS, each of which walks along two row pairs.

// 8, 16, 32 or 64; chosen by measuring.
override COLUMNS: u32 = 32u;

// Row pairs of a workgroup.
override PAIRS: u32 = 128u / COLUMNS;

// Where a lane's four rows begin: first rows of its group's two pairs, then the second rows. The last row stands in for those that
// are not there.
fn lane_rows(workgroup: u32, lane: u32) -> vec4<u32> {
    let pair = workgroup * PAIRS + (lane / COLUMNS) * 2u;
    let rows = vec4<u32>(pair, pair + 1u, pair + shape.second, pair + shape.second + 1u);
    let there = min(rows, vec4<u32>(shape.rows - 1u));
    return vec4<u32>(weight_row(there.x), weight_row(there.y), weight_row(there.z), weight_row(there.w));
}

// Where the sums of four lanes begin for the first row of a workgroup's pair; those of its second row lie 32 further.
fn quarters_start(pair: u32) -> u32 {
    return (pair % 2u) * 16u + (pair / 2u) * (COLUMNS / 4u);
}
