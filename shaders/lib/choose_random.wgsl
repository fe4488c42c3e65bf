// A token by its probability, after top-k, top-p and min-p, in this order. A cut is a logit: whatever lies above it stays. Of those that
// lie at it top-k keeps all, top-p as many as it needs, those with the highest ids. The token is the one in whose share of all kept
// probability, in the order of ids, the random number falls.

// [16 sixteenths of the lanes]
var<workgroup> sixteenths: array<f32, 16>;

// A row's temperature, 1 where it takes the most probable token, its highest logit, and where its adjusted logits and groups begin.
struct Setting {
    temperature: f32,
    best: f32,
    start: u32,
    first_group: u32,
    groups: u32,
}

// Integers in the order of floats.
fn key(x: vec4<f32>) -> vec4<u32> {
    let bits = bitcast<vec4<u32>>(x);
    return select(bits | vec4<u32>(0x80000000u), ~bits, bits >= vec4<u32>(0x80000000u));
}

fn of_key(key: u32) -> f32 {
    return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}

fn weights(x: vec4<f32>, row: Setting) -> vec4<f32> {
    return exp((x - row.best) / row.temperature);
}

fn weight(x: f32, row: Setting) -> f32 {
    return exp((x - row.best) / row.temperature);
}

// A group's logits.
struct Sixteen {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

fn sixteen_of(g: u32, row: Setting) -> Sixteen {
    let at = row.start + 4u * g;
    return Sixteen(adjusted[at], adjusted[at + 1u], adjusted[at + 2u], adjusted[at + 3u]);
}

fn ones(is_one: vec4<bool>) -> u32 {
    let one = select(vec4<u32>(), vec4<u32>(1u), is_one);
    return one.x + one.y + one.z + one.w;
}

#import lib/sample_cut.wgsl
#import lib/sample_search.wgsl

// Four tokens: what is left of their weights, and how many tokens at the cut come before the next four.
struct Kept {
    weights: vec4<f32>,
    equals: u32,
}

// The first `skipped` of the tokens at the cut go; `before` of all come before these four.
fn keep(x: vec4<f32>, lowest: u32, before: u32, skipped: u32, min_p: f32, row: Setting) -> Kept {
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

// A group's tokens: what is kept of them, and how many at the cut have passed.
struct KeptGroup {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
    passed: u32,
}

fn keep_group(g: u32, lowest: u32, passed: u32, skipped: u32, min_p: f32, row: Setting) -> KeptGroup {
    let x = sixteen_of(g, row);
    let a = keep(x.a, lowest, passed, skipped, min_p, row);
    let b = keep(x.b, lowest, a.equals, skipped, min_p, row);
    let c = keep(x.c, lowest, b.equals, skipped, min_p, row);
    let d = keep(x.d, lowest, c.equals, skipped, min_p, row);
    return KeptGroup(a.weights, b.weights, c.weights, d.weights, d.equals);
}

fn look_at_four(search: Search, id: u32, w: vec4<f32>) -> Search {
    return look(look(look(look(search, id, w.x), id + 1u, w.y), id + 2u, w.z), id + 3u, w.w);
}

fn total_weight(lane: u32, row: Setting) -> f32 {
    var sum = 0.0;
    for (var i = lane; i < 4u * row.groups; i += LANES) {
        sum += sum_of(weights(adjusted[row.start + i], row));
    }
    return sum_of_lanes(lane, sum);
}

fn cut_of(lane: u32, own: f32, params: Row, row: Setting) -> Cut {
    if params.top_k == 0u && params.top_p >= 1.0 {
        return Cut(0u, 0.0, 0.0);
    }
    var total = 0.0;
    if params.top_k == 0u {
        total = total_weight(lane, row);
    }
    collect(lane, bound(lane, own, params.top_p * total, params, row), row);
    let count = workgroupUniformLoad(&candidate_count);
    if count > MOST {
        return searched_cut(lane, params, row);
    }
    return cut_among(lane, count, total, params, row);
}

fn choose(index_of_row: u32, lane: u32, own: f32, best: f32, best_id: u32, hidden: u32) -> u32 {
    let params = rows[index_of_row];
    let is_greedy = params.temperature <= 0.0;
    let first_group = index_of_row * shape.groups;
    let temperature = select(params.temperature, 1.0, is_greedy);
    let row = Setting(temperature, best, 4u * first_group, first_group, shape.groups + hidden);
    let cut = cut_of(lane, own, params, row);

    // Every lane looks at a slice of groups of its own, and into those that reach the cut: first how many tokens there lie at it.
    let slice = (shape.groups + LANES - 1u) / LANES;
    var equals = 0u;
    for (var i = 0u; i < slice + hidden; i += 1u) {
        let g = min(lane * slice + i, shape.groups - 1u);
        if lane * slice + i < shape.groups && key(vec4<f32>(groups[first_group + g].x)).x >= cut.lowest {
            let x = sixteen_of(g, row);
            let at = vec4<u32>(cut.lowest);
            equals += (ones(key(x.a) == at) + ones(key(x.b) == at)) + (ones(key(x.c) == at) + ones(key(x.d) == at));
        }
    }
    let before = count_before(lane, equals);
    let at_cut = max(weight(of_key(cut.lowest), row), 1e-30);
    let needed = min(u32(clamp(ceil((cut.goal - cut.above) / at_cut), 1.0, 1e9)), before.all);
    let skipped = select(0u, before.all - needed, params.top_p < 1.0);
    // Then it sums what is kept there.
    var sum = 0.0;
    var passed = before.count;
    for (var i = 0u; i < slice + hidden; i += 1u) {
        let g = min(lane * slice + i, shape.groups - 1u);
        if lane * slice + i < shape.groups && key(vec4<f32>(groups[first_group + g].x)).x >= cut.lowest {
            let kept = keep_group(g, cut.lowest, passed, skipped, params.min_p, row);
            sum += (sum_of(kept.a) + sum_of(kept.b)) + (sum_of(kept.c) + sum_of(kept.d));
            passed = kept.passed;
        }
    }
    workgroupBarrier();
    index[lane] = before.count;
    value[lane] = sum;
    workgroupBarrier();
    var part = 0.0;
    for (var i = 0u; i < 16u; i += 1u) {
        part += value[(lane % 16u) * 16u + i];
    }
    if lane < 16u {
        sixteenths[lane] = part;
    }
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
        search = look(search, first_slice + i, value[first_slice + i]);
    }
    let first = search.part * slice;
    passed = index[search.part];
    search = Search(best_id, left_within(search), false);
    for (var i = 0u; i < slice + hidden; i += 1u) {
        let g = min(first + i, shape.groups - 1u);
        if first + i < shape.groups && key(vec4<f32>(groups[first_group + g].x)).x >= cut.lowest {
            let kept = keep_group(g, cut.lowest, passed, skipped, params.min_p, row);
            passed = kept.passed;
            search = look_at_four(search, 16u * g, kept.a);
            search = look_at_four(search, 16u * g + 4u, kept.b);
            search = look_at_four(search, 16u * g + 8u, kept.c);
            search = look_at_four(search, 16u * g + 12u, kept.d);
        }
    }
    return select(search.part, best_id, is_greedy);
}
