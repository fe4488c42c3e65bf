// Where top-k and top-p cut, found by trying: logits are compared by keys, integers in the same order, so that a cut is found exactly. Of a range of keys
// that holds it four are tried at once, which leaves a fifth; after 14 passes one is left.
const PASSES = 14u;

var<workgroup> sums: array<vec4<f32>, 256>;
var<workgroup> block_sums: array<vec4<f32>, 16>;

// How many tokens, or how much weight, lies at or above each of four keys. Lanes meet as in lib/sample_lanes.wgsl.
fn reached(lane: u32, keys: vec4<u32>, by_weight: bool, row: Setting) -> vec4<f32> {
    var sum = vec4<f32>();
    for (var i = lane; i < 4u * row.groups; i += LANES) {
        let x = adjusted[row.start + i];
        let k = key(x);
        let w = select(vec4<f32>(1.0), weights(x, row), by_weight);
        sum += vec4<f32>(
            sum_of(select(vec4<f32>(), w, k >= vec4<u32>(keys.x))),
            sum_of(select(vec4<f32>(), w, k >= vec4<u32>(keys.y))),
            sum_of(select(vec4<f32>(), w, k >= vec4<u32>(keys.z))),
            sum_of(select(vec4<f32>(), w, k >= vec4<u32>(keys.w))),
        );
    }
    workgroupBarrier();
    sums[lane] = sum;
    workgroupBarrier();
    // Not unrolled, for which there would not be registers enough.
    let sixteen = 16u + row.groups - shape.groups;
    sum = vec4<f32>();
    for (var i = 0u; i < sixteen; i += 1u) {
        sum += sums[lane % 16u + 16u * i];
    }
    if lane < 16u {
        block_sums[lane] = sum;
    }
    workgroupBarrier();
    sum = vec4<f32>();
    for (var i = 0u; i < sixteen; i += 1u) {
        sum += block_sums[i];
    }
    return sum;
}

// The highest key at or above which `goal` is reached; `low` where none is. `passes` is 0 for a cut that is off.
fn search(lane: u32, start: u32, passes: u32, by_weight: bool, goal: f32, row: Setting) -> u32 {
    var low = start;
    var high = key(vec4<f32>(row.best)).x + 1u;
    for (var round = 0u; round < passes; round += 1u) {
        let step = (high - low + 4u) / 5u;
        let tried = min(low + step * vec4<u32>(1u, 2u, 3u, 4u), vec4<u32>(high));
        let enough = reached(lane, tried, by_weight, row) >= vec4<f32>(goal);
        low = select(low, tried.x, enough.x);
        low = select(low, tried.y, enough.y);
        low = select(low, tried.z, enough.z);
        low = select(low, tried.w, enough.w);
        high = select(high, tried.w, !enough.w);
        high = select(high, tried.z, !enough.z);
        high = select(high, tried.y, !enough.y);
        high = select(high, tried.x, !enough.x);
    }
    return low;
}

// As `cut_among`, of all logits.
fn searched_cut(lane: u32, params: Row, row: Setting) -> Cut {
    let lowest_k = search(lane, 0u, select(0u, PASSES, params.top_k > 0u), false, f32(params.top_k), row);
    let total = reached(lane, vec4<u32>(lowest_k), true, row).x;
    let goal = max(params.top_p * total, 1e-30);
    let lowest = search(lane, lowest_k, select(0u, PASSES, params.top_p < 1.0), true, goal, row);
    let above = reached(lane, vec4<u32>(lowest + 1u), true, row).x;
    return Cut(lowest, goal, above);
}
