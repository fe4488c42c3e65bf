// The second half of choosing a token on the device: picks it, keeps it as its sequence's next input, and reports it.
//     chosen[slot] = id; report[row] = id, its logit, highest logit, sum of exp(logit - highest),
//     then `top_count` times the id and logit of the most probable tokens; where a logit is NaN, its id, and a sum of -1
// A row that is scored has no next input: its report is the most probable id, and the logit of the id that it is scored by.
// Workgroup y walks over the groups of a row; how it picks is in the imported `choose`.
#import lib/hidden_zero.wgsl
#import lib/sample_shape.wgsl
@group(0) @binding(2) var<storage, read> logits: array<vec4<f32>>;
// [rows, groups, 4]
@group(0) @binding(3) var<storage, read> adjusted: array<vec4<f32>>;
// [rows, groups]
@group(0) @binding(4) var<storage, read_write> groups: array<vec4<f32>>;
// [sequences, history_stride]
@group(0) @binding(5) var<storage, read_write> history: array<u32>;
// [sequences]
@group(0) @binding(6) var<storage, read_write> chosen: array<u32>;
// [rows, REPORT_WORDS]
@group(0) @binding(7) var<storage, read_write> report: array<u32>;

const REPORT_WORDS = 44u;
#import lib/sample_lanes.wgsl
#import <choose>

// The lowest id of four from `first` on whose logit is `wanted`, not yet taken; `otherwise` if there is none.
fn find(x: vec4<f32>, first: u32, wanted: f32, taken: u32, otherwise: u32) -> u32 {
    let ids = first + vec4<u32>(0u, 1u, 2u, 3u);
    let fits = (x == vec4<f32>(wanted)) & (ids >= vec4<u32>(taken));
    var found = select(otherwise, ids.w, fits.w);
    found = select(found, ids.z, fits.z);
    found = select(found, ids.y, fits.y);
    return select(found, ids.x, fits.x);
}

// What is left of four logits from `first` on when those before (`logit`, `id`), in the order of reports, are taken.
fn left(x: vec4<f32>, first: u32, logit: f32, id: u32) -> vec4<f32> {
    let ids = first + vec4<u32>(0u, 1u, 2u, 3u);
    let is_left = (x < vec4<f32>(logit)) | ((x == vec4<f32>(logit)) & (ids > vec4<u32>(id)));
    return select(vec4<f32>(LOWEST), x, is_left);
}

fn report_top(index_of_row: u32, lane: u32, hidden: u32) {
    let row = rows[index_of_row];
    let row_groups = index_of_row * shape.groups;
    let row_logits = row.logits_row * shape.logits_stride;
    let to = index_of_row * REPORT_WORDS;
    var last = 3.4e38;
    // Among equals the ids from here on are still to be reported.
    var next_id = 0u;
    for (var rank = 0u; rank < row.top_count + hidden; rank += 1u) {
        var own = LOWEST;
        var own_group = 0u;
        for (var g = lane; g < shape.groups + hidden; g += LANES) {
            let raw = groups[row_groups + g].y;
            own_group = select(own_group, g, raw > own);
            own = max(own, raw);
        }
        let found = highest_of_lanes(lane, own, own_group);
        next_id = select(0u, next_id, found.value == last);
        last = found.value;
        let at = row_logits + 4u * found.index;
        let first = 16u * found.index;
        // Loops that no compiler unrolls, which would take registers that there are not.
        var id = shape.vocab - 1u;
        for (var i = 0u; i < 4u + hidden; i += 1u) {
            let quad = 3u - i;
            let x = usable(logits[at + quad], first + 4u * quad);
            id = find(x, first + 4u * quad, found.value, next_id, id);
        }
        next_id = id + 1u;
        var rest = vec4<f32>(LOWEST);
        for (var i = 0u; i < 4u + hidden; i += 1u) {
            rest = max(rest, left(usable(logits[at + i], first + 4u * i), first + 4u * i, last, id));
        }
        // A group is written by the lane that reads it.
        if lane == found.index % LANES {
            groups[row_groups + found.index].y = highest_of(rest);
        }
        if lane == 0u {
            report[to + 4u + 2u * rank] = id;
            report[to + 5u + 2u * rank] = bitcast<u32>(last);
        }
    }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let hidden = hidden_zero(workgroup);
    let row = rows[workgroup.y];
    let row_groups = workgroup.y * shape.groups;
    var own = LOWEST;
    var own_group = 0u;
    var own_raw = LOWEST;
    var own_nan = LOWEST;
    for (var g = lane; g < shape.groups + hidden; g += LANES) {
        let group = groups[row_groups + g];
        own_group = select(own_group, g, group.x > own);
        own = max(own, group.x);
        own_raw = max(own_raw, group.y);
        own_nan = max(own_nan, group.w);
    }
    let best = highest_of_lanes(lane, own, own_group);
    let raw = highest_of_lanes(lane, own_raw, 0u).value;
    let nan = highest_of_lanes(lane, own_nan, 0u).value;
    let has_nan = nan > LOWEST;
    var own_sum = 0.0;
    for (var g = lane; g < shape.groups + hidden; g += LANES) {
        let group = groups[row_groups + g];
        own_sum += group.z * exp(group.y - raw);
    }
    let sum = sum_of_lanes(lane, own_sum);
    let at = 4u * (row_groups + best.index);
    let first = 16u * best.index;
    var best_id = find(adjusted[at + 3u], first + 12u, best.value, 0u, first);
    best_id = find(adjusted[at + 2u], first + 8u, best.value, 0u, best_id);
    best_id = find(adjusted[at + 1u], first + 4u, best.value, 0u, best_id);
    best_id = find(adjusted[at], first, best.value, 0u, best_id);

    let id = choose(workgroup.y, lane, own, best.value, best_id, hidden);
    report_top(workgroup.y, lane, hidden);
    if lane == 0u {
        let to = workgroup.y * REPORT_WORDS;
        report[to] = select(id, u32(max(-1.0 - nan, 0.0)), has_nan);
        let known = select(row.scored, id, row.scored == NO_ID);
        report[to + 1u] = bitcast<u32>(logits[row.logits_row * shape.logits_stride + (known >> 2u)][known & 3u]);
        report[to + 2u] = bitcast<u32>(raw);
        report[to + 3u] = bitcast<u32>(select(sum, -1.0, has_nan));
        if row.scored == NO_ID {
            let own = row.slot * shape.history_stride;
            history[own + (id >> 5u)] |= 1u << (id & 31u);
            history[own + 3u * id_words() + row.len] = id;
            chosen[row.slot] = id;
        }
    }
}
