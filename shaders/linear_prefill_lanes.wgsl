// Matrix times vectors for software adapters: the products of linear_decode_lanes.wgsl for several tokens.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// A lane computes four pairs of rows for four tokens: each weight is unpacked once and used four times, each activation is
// loaded once for eight rows of all lanes. Sums are vec4s over the pairs. The tokens are one of each window; workgroup x is which,
// so that workgroups which run one after the other find their weights in the cache. y are the rows.
#import lib/linear_shape.wgsl
#import <source>
#import <format>
#import <output>
#import lib/lanes.wgsl
#import <inputs>

fn run(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, own: Reader) {
    let input_start = workgroup.x * shape.in_stride;
    let pairs = lane_pairs(workgroup.y, lane);
    let first = weight_rows(pairs);
    let second = weight_rows(pairs + shape.second);
    var sums_0 = Sums();
    var sums_1 = Sums();
    var sums_2 = Sums();
    var sums_3 = Sums();
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
            let i = input_start + at;
            sums_0 = add_token(sums_0, w, v, own, raw_0(own, i), weight);
            sums_1 = add_token(sums_1, w, v, own, raw_1(own, i), weight);
            sums_2 = add_token(sums_2, w, v, own, raw_2(own, i), weight);
            sums_3 = add_token(sums_3, w, v, own, raw_3(own, i), weight);
        }
    }
    let token = workgroup.x;
    emit_pairs(token, pairs, sums_0);
    emit_pairs(token + workgroups.x, pairs, sums_1);
    emit_pairs(token + 2u * workgroups.x, pairs, sums_2);
    emit_pairs(token + 3u * workgroups.x, pairs, sums_3);
}
