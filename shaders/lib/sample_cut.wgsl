// Where top-k and top-p cut: found among the few logits that can be kept. The k-th highest of what lanes have for their highest is a bound: as many logits lie at
// or above it. So is the one down to which lanes' highest have the weight that top-p wants. What lies at or above the bound goes to workgroup memory,
// and there every logit is held against every other. Where there are too many, all logits are searched (lib/sample_search.wgsl).

// What can be kept at most.
const MOST = 512u;

var<workgroup> candidates: array<f32, 512>;
var<workgroup> candidate_weights: array<f32, 512>;
var<workgroup> candidate_count: u32;

// A cut: what lies above this key stays, and of what lies at it as much as is needed beside what lies above to reach the goal.
struct Cut {
    lowest: u32,
    goal: f32,
    above: f32,
}

fn bound(lane: u32, own: f32, goal: f32, params: Row, row: Setting) -> f32 {
    workgroupBarrier();
    value[lane] = own;
    index[lane] = bitcast<u32>(weight(own, row));
    workgroupBarrier();
    var rank = 0u;
    var above = 0.0;
    // Sixteen at once, which compilers unroll, so that they need not wait for each.
    for (var block = 0u; block < LANES; block += 16u) {
        for (var i = 0u; i < 16u; i += 1u) {
            let other = value[block + i];
            let is_before = other > own || (other == own && block + i < lane);
            rank += select(0u, 1u, is_before);
            above += select(0.0, bitcast<f32>(index[block + i]), is_before);
        }
    }
    // Sums are rounded: a little lower is no harm.
    let has_weight = above + weight(own, row) >= goal * 1.0001;
    let is_bound = select(has_weight, rank + 1u == params.top_k, params.top_k > 0u);
    return highest_of_lanes(lane, select(LOWEST, own, is_bound), 0u).value;
}

// Keeps a logit that lies at or above the bound.
fn put(at: u32, x: f32, bound: f32, row: Setting) -> u32 {
    if x >= bound {
        candidates[at] = x;
        candidate_weights[at] = weight(x, row);
    }
    return at + select(0u, 1u, x >= bound);
}

fn put_four(at: u32, x: vec4<f32>, bound: f32, row: Setting) -> u32 {
    return put(put(put(put(at, x.x, bound, row), x.y, bound, row), x.z, bound, row), x.w, bound, row);
}

// Each lane's candidates lie behind those of the lanes before it: in the same order, whichever lane is first.
fn collect(lane: u32, bound: f32, row: Setting) {
    var own = 0u;
    for (var g = lane; g < row.groups; g += LANES) {
        if groups[row.first_group + g].x >= bound {
            let x = sixteen_of(g, row);
            let at = vec4<f32>(bound);
            own += (ones(x.a >= at) + ones(x.b >= at)) + (ones(x.c >= at) + ones(x.d >= at));
        }
    }
    let before = count_before(lane, own);
    if lane == 0u {
        candidate_count = before.all;
    }
    var at = before.count;
    for (var g = lane; g < row.groups; g += LANES) {
        if before.all <= MOST && groups[row.first_group + g].x >= bound {
            let x = sixteen_of(g, row);
            at = put_four(at, x.a, bound, row);
            at = put_four(at, x.b, bound, row);
            at = put_four(at, x.c, bound, row);
            at = put_four(at, x.d, bound, row);
        }
    }
}

// How a candidate stands among all.
struct Standing {
    x: f32,
    higher: u32,
    // Weight above it, and down to it.
    above: f32,
    reached: f32,
}

fn standing(at: u32, count: u32) -> Standing {
    let x = candidates[min(at, count - 1u)];
    var higher = 0u;
    var above = 0.0;
    var equal = 0.0;
    for (var block = 0u; block < count; block += 8u) {
        for (var i = 0u; i < 8u; i += 1u) {
            // Behind the last candidate lies anything.
            let is_there = block + i < count;
            let other = candidates[block + i];
            let w = candidate_weights[block + i];
            higher += select(0u, 1u, is_there && other > x);
            above += select(0.0, w, is_there && other > x);
            equal += select(0.0, w, is_there && other == x);
        }
    }
    return Standing(x, higher, above, above + equal);
}

// `total`: the weight of all logits, where top-k is off.
fn cut_among(lane: u32, count: u32, total: f32, params: Row, row: Setting) -> Cut {
    let a = standing(lane, count);
    var b = a;
    if count > LANES {
        b = standing(lane + LANES, count);
    }
    let most = select(count, params.top_k, params.top_k > 0u);
    let a_stays = lane < count && a.higher < most;
    let b_stays = lane + LANES < count && b.higher < most;
    // The lowest that top-k keeps, and what it keeps together.
    let lowest_k = -highest_of_lanes(lane, max(select(LOWEST, -a.x, a_stays), select(LOWEST, -b.x, b_stays)), 0u).value;
    let own_kept = select(0.0, candidate_weights[min(lane, count - 1u)], a_stays)
        + select(0.0, candidate_weights[min(lane + LANES, count - 1u)], b_stays);
    let kept = sum_of_lanes(lane, own_kept);
    let goal = max(params.top_p * select(total, kept, params.top_k > 0u), 1e-30);
    let a_reaches = a_stays && a.reached >= goal;
    let b_reaches = b_stays && b.reached >= goal;
    let lowest_p = highest_of_lanes(lane, max(select(LOWEST, a.x, a_reaches), select(LOWEST, b.x, b_reaches)), 0u).value;
    let lowest = select(lowest_k, max(lowest_k, lowest_p), params.top_p < 1.0);
    let own_above = max(select(LOWEST, a.above, a_stays && a.x == lowest), select(LOWEST, b.above, b_stays && b.x == lowest));
    let above = highest_of_lanes(lane, own_above, 0u).value;
    return Cut(key(vec4<f32>(lowest)).x, goal, above);
}
