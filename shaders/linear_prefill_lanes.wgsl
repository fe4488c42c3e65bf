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
    var first_0 = vec4<f32>();
    var first_1 = vec4<f32>();
    var first_2 = vec4<f32>();
    var first_3 = vec4<f32>();
    var second_0 = vec4<f32>();
    var second_1 = vec4<f32>();
    var second_2 = vec4<f32>();
    var second_3 = vec4<f32>();
    let all = shape.blocks / 2u + hidden_zero(workgroup);
    for (var from_pair = 0u; from_pair < all; from_pair += PAIRS_PER_CHUNK) {
        let first_scales = load_row_scales(first, from_pair / PAIRS_PER_CHUNK);
        let second_scales = load_row_scales(second, from_pair / PAIRS_PER_CHUNK);
        let end = min(from_pair + PAIRS_PER_CHUNK, all);
        for (var pair = from_pair; pair < end; pair += 1u) {
            let w = load_rows(first, first_scales, pair);
            let v = load_rows(second, second_scales, pair);
            let i = input_start + 4u * pair;
            let a_0 = block_0(own, i);
            let b_0 = block_0(own, i + 2u);
            first_0 = add_dots(first_0, w, a_0, b_0);
            second_0 = add_dots(second_0, v, a_0, b_0);
            let a_1 = block_1(own, i);
            let b_1 = block_1(own, i + 2u);
            first_1 = add_dots(first_1, w, a_1, b_1);
            second_1 = add_dots(second_1, v, a_1, b_1);
            let a_2 = block_2(own, i);
            let b_2 = block_2(own, i + 2u);
            first_2 = add_dots(first_2, w, a_2, b_2);
            second_2 = add_dots(second_2, v, a_2, b_2);
            let a_3 = block_3(own, i);
            let b_3 = block_3(own, i + 2u);
            first_3 = add_dots(first_3, w, a_3, b_3);
            second_3 = add_dots(second_3, v, a_3, b_3);
        }
    }
    let token = workgroup.x;
    emit_pairs(token, pairs, first_0, second_0);
    emit_pairs(token + workgroups.x, pairs, first_1, second_1);
    emit_pairs(token + 2u * workgroups.x, pairs, first_2, second_2);
    emit_pairs(token + 3u * workgroups.x, pairs, first_3, second_3);
}
