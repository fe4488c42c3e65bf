// Matrix times vectors for software adapters: as linear_prefill_lanes.wgsl, for eight tokens a lane.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// They are two of each window, so a window must have room for two; weights are unpacked half as often.
#import lib/linear_shape.wgsl
#import <source>
#import <format>
#import <output>
#import lib/lanes.wgsl
#import <inputs>

fn run(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, own: Reader) {
    let pairs = lane_pairs(workgroup.y, lane);
    let first = weight_rows(pairs);
    let second = weight_rows(pairs + shape.second);
    let columns = workgroups.x;
    let input_a = workgroup.x * shape.in_stride;
    let input_b = (workgroup.x + columns) * shape.in_stride;
    // Named by window, and by half of its tokens.
    var sums_0a = Sums();
    var sums_1a = Sums();
    var sums_2a = Sums();
    var sums_3a = Sums();
    var sums_0b = Sums();
    var sums_1b = Sums();
    var sums_2b = Sums();
    var sums_3b = Sums();
    let all = shape.blocks / 2u + hidden_zero(workgroup);
    for (var from_pair = 0u; from_pair < all; from_pair += PAIRS_PER_CHUNK) {
        let first_scales = load_row_scales(first, from_pair / PAIRS_PER_CHUNK);
        let second_scales = load_row_scales(second, from_pair / PAIRS_PER_CHUNK);
        let end = min(from_pair + PAIRS_PER_CHUNK, all);
        for (var pair = from_pair; pair < end; pair += STEP_PAIRS) {
            let w = load_rows(first, first_scales, pair);
            let v = load_rows(second, second_scales, pair);
            let at = 4u * pair;
            let weight = norm_weight(own, at);
            let i = input_a + at;
            let j = input_b + at;
            sums_0a = add_token(sums_0a, w, v, own, raw_0(own, i), weight);
            sums_1a = add_token(sums_1a, w, v, own, raw_1(own, i), weight);
            sums_2a = add_token(sums_2a, w, v, own, raw_2(own, i), weight);
            sums_3a = add_token(sums_3a, w, v, own, raw_3(own, i), weight);
            sums_0b = add_token(sums_0b, w, v, own, raw_0(own, j), weight);
            sums_1b = add_token(sums_1b, w, v, own, raw_1(own, j), weight);
            sums_2b = add_token(sums_2b, w, v, own, raw_2(own, j), weight);
            sums_3b = add_token(sums_3b, w, v, own, raw_3(own, j), weight);
        }
    }
    let token = workgroup.x;
    emit_pairs(token, pairs, sums_0a);
    emit_pairs(token + columns, pairs, sums_0b);
    emit_pairs(token + 2u * columns, pairs, sums_1a);
    emit_pairs(token + 3u * columns, pairs, sums_1b);
    emit_pairs(token + 4u * columns, pairs, sums_2a);
    emit_pairs(token + 5u * columns, pairs, sums_2b);
    emit_pairs(token + 6u * columns, pairs, sums_3a);
    emit_pairs(token + 7u * columns, pairs, sums_3b);
}
