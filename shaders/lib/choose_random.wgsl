// A token by its probability, after top-k, top-p and min-p, in this order. A cut is a logit: whatever lies above it stays. Of those that
// lie at it top-k keeps all, top-p as many as it needs, those with the highest ids.
// Logits are compared by keys, integers in the same order, so that a cut is found exactly: of a range of keys that holds it four
// are tried at once, which leaves a fifth; after 14 passes one is left. The token is the one in whose share of all kept
// probability, in the order of ids, the random number falls.
const PASSES = 14u;

var<workgroup> sums: array<vec4<f32>, 256>;
var<workgroup> sixteenths: array<f32, 16>;
// Of each lane's slice: how many tokens lie at the cut, later how many come before it.
var<workgroup> firsts: array<u32, 256>;

fn key(x: vec4<f32>) -> vec4<u32> {
    let bits = bitcast<vec4<u32>>(x);
    return select(bits | vec4<u32>(0x80000000u), ~bits, bits >= vec4<u32>(0x80000000u));
}

// A row's temperature, 1 where it takes the most probable token, and where its adjusted logits begin.
struct Setting {
    temperature: f32,
    start: u32,
    best: f32,
    end: u32,
}

fn weights(x: vec4<f32>, row: Setting) -> vec4<f32> {
    return exp((x - row.best) / row.temperature);
}

// How many tokens, or how much weight, lies at or above each of four keys.
fn reached(lane: u32, keys: vec4<u32>, by_weight: bool, row: Setting) -> vec4<f32> {
    var sum = vec4<f32>();
    for (var i = lane; i < row.end; i += LANES) {
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
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        let other = sums[(lane + half) % LANES];
        workgroupBarrier();
        sums[lane] += other;
        workgroupBarrier();
    }
    return sums[0];
}

// The highest key at or above which `goal` is reached; `low` where none is. `passes` is 0 for a cut that is off.
fn cut(lane: u32, start: u32, passes: u32, by_weight: bool, goal: f32, row: Setting) -> u32 {
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

// Four tokens: what is left of their weights, and how many tokens at the cut come before the next four.
struct Kept {
    weights: vec4<f32>,
    equals: u32,
}

// The first `skipped` of the tokens at the cut go; `before` of all come before these four.
fn keep(i: u32, lowest: u32, before: u32, skipped: u32, min_p: f32, row: Setting) -> Kept {
    let x = adjusted[row.start + i];
    let w = weights(x, row);
    let keys = key(x);
    let is_equal = keys == vec4<u32>(lowest);
    let one = select(vec4<u32>(), vec4<u32>(1u), is_equal);
    let rank = before + vec4<u32>(0u, one.x, one.x + one.y, one.x + one.y + one.z);
    let is_in = (keys > vec4<u32>(lowest)) | (is_equal & (rank >= vec4<u32>(skipped)));
    return Kept(select(vec4<f32>(), w, is_in & (w >= vec4<f32>(min_p))), rank.w + one.w);
}

// The search for where a goal falls among weights in a row: the part that it is in (the last with any weight, if rounding has it beyond),
// and what is left of it there.
struct Search {
    part: u32,
    left: f32,
    is_found: bool,
}

fn look(search: Search, part: u32, weight: f32) -> Search {
    let is_here = !search.is_found && weight > 0.0;
    let falls_here = is_here && search.left < weight;
    return Search(
        select(search.part, part, is_here),
        select(search.left - weight, search.left, search.is_found || falls_here || weight <= 0.0),
        search.is_found || falls_here,
    );
}

// What is left of a goal within its part. Where rounding had it beyond the last, it is beyond the last of that part's parts too.
fn left_within(search: Search) -> f32 {
    return select(3.4e38, search.left, search.is_found);
}

fn choose(index_of_row: u32, lane: u32, best: f32, best_id: u32, end: u32) -> u32 {
    let params = rows[index_of_row];
    let is_greedy = params.temperature <= 0.0;
    let row = Setting(select(params.temperature, 1.0, is_greedy), 4u * index_of_row * shape.groups, best, end);
    let lowest_k = cut(lane, 0u, select(0u, PASSES, params.top_k > 0u), false, f32(params.top_k), row);
    let total = reached(lane, vec4<u32>(lowest_k), true, row).x;
    let goal = max(params.top_p * total, 1e-30);
    let lowest = cut(lane, lowest_k, select(0u, PASSES, params.top_p < 1.0), true, goal, row);

    // Every lane looks at a slice of its own: first how many tokens there lie at the cut.
    let slice = 4u * ((shape.groups + LANES - 1u) / LANES);
    var equals = 0u;
    var weight = 0.0;
    for (var i = 0u; i < slice; i += 1u) {
        let at = lane * slice + i;
        let x = adjusted[row.start + min(at, end - 1u)];
        let is_equal = (key(x) == vec4<u32>(lowest)) & vec4<bool>(at < end);
        let one = select(vec4<u32>(), vec4<u32>(1u), is_equal);
        equals += one.x + one.y + one.z + one.w;
        weight = max(weight, highest_of(select(vec4<f32>(), weights(x, row), is_equal)));
    }
    weight = highest_of_lanes(lane, weight, 0u).value;
    firsts[lane] = equals;
    workgroupBarrier();
    var before = 0u;
    var all_equals = 0u;
    for (var i = 0u; i < LANES; i += 1u) {
        before += select(0u, firsts[i], i < lane);
        all_equals += firsts[i];
    }
    let above = reached(lane, vec4<u32>(lowest + 1u), true, row).x;
    let needed = min(u32(clamp(ceil((goal - above) / max(weight, 1e-30)), 1.0, 1e9)), all_equals);
    let skipped = select(0u, all_equals - needed, params.top_p < 1.0);
    // Then it sums what is kept there.
    var sum = 0.0;
    var passed = before;
    for (var i = 0u; i < slice; i += 1u) {
        let at = lane * slice + i;
        let kept = keep(min(at, end - 1u), lowest, passed, skipped, params.min_p, row);
        sum += select(0.0, sum_of(kept.weights), at < end);
        passed = select(passed, kept.equals, at < end);
    }
    workgroupBarrier();
    firsts[lane] = before;
    sums[lane] = vec4<f32>(sum);
    workgroupBarrier();
    var part = 0.0;
    for (var i = 0u; i < 16u; i += 1u) {
        part += sums[(lane % 16u) * 16u + i].x;
    }
    sixteenths[lane % 16u] = part;
    workgroupBarrier();
    var kept = 0.0;
    for (var i = 0u; i < 16u; i += 1u) {
        kept += sixteenths[i];
    }
    // First which sixteenth of the slices, then which slice, then which token.
    var search = Search(0u, params.random * kept, false);
    for (var i = 0u; i < 16u; i += 1u) {
        search = look(search, i, sixteenths[i]);
    }
    let first_slice = 16u * search.part;
    search = Search(first_slice, left_within(search), false);
    for (var i = 0u; i < 16u; i += 1u) {
        search = look(search, first_slice + i, sums[first_slice + i].x);
    }
    let first = search.part * slice;
    passed = firsts[search.part];
    search = Search(best_id, left_within(search), false);
    for (var i = 0u; i < slice; i += 1u) {
        let at = first + i;
        let kept = keep(min(at, end - 1u), lowest, passed, skipped, params.min_p, row);
        let w = select(vec4<f32>(), kept.weights, at < end);
        passed = select(passed, kept.equals, at < end);
        search = look(search, 4u * at, w.x);
        search = look(search, 4u * at + 1u, w.y);
        search = look(search, 4u * at + 2u, w.z);
        search = look(search, 4u * at + 3u, w.w);
    }
    return select(search.part, best_id, is_greedy);
}
