// Matrix times vectors for software adapters: the products of linear_decode_lanes.wgsl for several tokens.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// A lane computes four pairs of rows for four tokens: each weight is unpacked once and used four times, each activation is
// loaded once for eight rows of all lanes. Sums are vec4s over the pairs. The tokens are one of each window; workgroup x is which,
// so that workgroups which run one after the other find their weights in the cache. y are the rows.
#import lib/linear_shape.wgsl
#import lib/block_dot.wgsl
#import <source>
#import <format>
#import <output>
#import lib/lanes.wgsl
#import <input>
#import <inputs>
#import lib/four_rows.wgsl

// Small workgroups spread narrow matrices over the cores; chosen by measuring.
override LANES: u32 = 16u;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    place: Place,
) {
    let own = reader(place);
    let start = workgroup.y * 4u * LANES + place.lane;
    let input_start = workgroup.x * shape.in_stride;
    let pairs = start + LANES * vec4<u32>(0u, 1u, 2u, 3u);
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
        for (var pair = from_pair; pair < end; pair += 1u) {
            let w = load_rows(first, first_scales, pair);
            let v = load_rows(second, second_scales, pair);
            let i = input_start + 4u * pair;
            sums_0 = add_token(sums_0, w, v, block_0(own, i), block_0(own, i + 2u));
            sums_1 = add_token(sums_1, w, v, block_1(own, i), block_1(own, i + 2u));
            sums_2 = add_token(sums_2, w, v, block_2(own, i), block_2(own, i + 2u));
            sums_3 = add_token(sums_3, w, v, block_3(own, i), block_3(own, i + 2u));
        }
    }
    let token = workgroup.x;
    emit_pairs(token, pairs, sums_0.first, sums_0.second);
    emit_pairs(token + workgroups.x, pairs, sums_1.first, sums_1.second);
    emit_pairs(token + 2u * workgroups.x, pairs, sums_2.first, sums_2.second);
    emit_pairs(token + 3u * workgroups.x, pairs, sums_3.first, sums_3.second);
}
