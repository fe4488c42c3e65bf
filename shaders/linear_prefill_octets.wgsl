// Matrix times vectors for software adapters: as linear_prefill_lanes.wgsl, for eight tokens a lane.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// They are two of each window, so a window must have room for two; weights are unpacked half as often.
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
    let pairs = start + LANES * vec4<u32>(0u, 1u, 2u, 3u);
    let first = weight_rows(pairs);
    let second = weight_rows(pairs + shape.second);
    let columns = workgroups.x;
    let input_a = workgroup.x * shape.in_stride;
    let input_b = (workgroup.x + columns) * shape.in_stride;
    // Named by window, and by half of its tokens.
    var first_0a = vec4<f32>();
    var first_1a = vec4<f32>();
    var first_2a = vec4<f32>();
    var first_3a = vec4<f32>();
    var second_0a = vec4<f32>();
    var second_1a = vec4<f32>();
    var second_2a = vec4<f32>();
    var second_3a = vec4<f32>();
    var first_0b = vec4<f32>();
    var first_1b = vec4<f32>();
    var first_2b = vec4<f32>();
    var first_3b = vec4<f32>();
    var second_0b = vec4<f32>();
    var second_1b = vec4<f32>();
    var second_2b = vec4<f32>();
    var second_3b = vec4<f32>();
    let all = shape.blocks / 2u + hidden_zero(workgroup);
    for (var from_pair = 0u; from_pair < all; from_pair += PAIRS_PER_CHUNK) {
        let first_scales = load_row_scales(first, from_pair / PAIRS_PER_CHUNK);
        let second_scales = load_row_scales(second, from_pair / PAIRS_PER_CHUNK);
        let end = min(from_pair + PAIRS_PER_CHUNK, all);
        for (var pair = from_pair; pair < end; pair += 1u) {
            let w = load_rows(first, first_scales, pair);
            let v = load_rows(second, second_scales, pair);
            let i = input_a + 4u * pair;
            let j = input_b + 4u * pair;
            let a_0a = block_0(own, i);
            let b_0a = block_0(own, i + 2u);
            first_0a = add_dots(first_0a, w, a_0a, b_0a);
            second_0a = add_dots(second_0a, v, a_0a, b_0a);
            let a_1a = block_1(own, i);
            let b_1a = block_1(own, i + 2u);
            first_1a = add_dots(first_1a, w, a_1a, b_1a);
            second_1a = add_dots(second_1a, v, a_1a, b_1a);
            let a_2a = block_2(own, i);
            let b_2a = block_2(own, i + 2u);
            first_2a = add_dots(first_2a, w, a_2a, b_2a);
            second_2a = add_dots(second_2a, v, a_2a, b_2a);
            let a_3a = block_3(own, i);
            let b_3a = block_3(own, i + 2u);
            first_3a = add_dots(first_3a, w, a_3a, b_3a);
            second_3a = add_dots(second_3a, v, a_3a, b_3a);
            let a_0b = block_0(own, j);
            let b_0b = block_0(own, j + 2u);
            first_0b = add_dots(first_0b, w, a_0b, b_0b);
            second_0b = add_dots(second_0b, v, a_0b, b_0b);
            let a_1b = block_1(own, j);
            let b_1b = block_1(own, j + 2u);
            first_1b = add_dots(first_1b, w, a_1b, b_1b);
            second_1b = add_dots(second_1b, v, a_1b, b_1b);
            let a_2b = block_2(own, j);
            let b_2b = block_2(own, j + 2u);
            first_2b = add_dots(first_2b, w, a_2b, b_2b);
            second_2b = add_dots(second_2b, v, a_2b, b_2b);
            let a_3b = block_3(own, j);
            let b_3b = block_3(own, j + 2u);
            first_3b = add_dots(first_3b, w, a_3b, b_3b);
            second_3b = add_dots(second_3b, v, a_3b, b_3b);
        }
    }
    let token = workgroup.x;
    emit_pairs(token, pairs, first_0a, second_0a);
    emit_pairs(token + columns, pairs, first_0b, second_0b);
    emit_pairs(token + 2u * columns, pairs, first_1a, second_1a);
    emit_pairs(token + 3u * columns, pairs, first_1b, second_1b);
    emit_pairs(token + 4u * columns, pairs, first_2a, second_2a);
    emit_pairs(token + 5u * columns, pairs, first_2b, second_2b);
    emit_pairs(token + 6u * columns, pairs, first_3a, second_3a);
    emit_pairs(token + 7u * columns, pairs, first_3b, second_3b);
}
