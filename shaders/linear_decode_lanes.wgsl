// Matrix times vector for software adapters: QKV, out, FFN and head products of a single token.
//     y = W x           W: [rows, K], x: [K], y: [rows]
// A lane computes four pairs of rows on its own. Each value of x is read once for eight rows (lib/input_*.wgsl); weights come
// from a texture. Scales of quantised weights are fetched once a chunk. Workgroup y are the rows.
#import lib/linear_shape.wgsl
#import <source>
#import <format>
#import <output>
#import lib/lanes.wgsl

fn run(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, own: Reader) {
    let pairs = lane_pairs(workgroup.y, lane);
    let first = weight_rows(pairs);
    let second = weight_rows(pairs + shape.second);
    var sums = Sums();
    let all = shape.blocks / 2u + hidden_zero(workgroup);
    for (var from_pair = 0u; from_pair < all; from_pair += PAIRS_PER_CHUNK) {
        let first_scales = load_row_scales(first, from_pair / PAIRS_PER_CHUNK);
        let second_scales = load_row_scales(second, from_pair / PAIRS_PER_CHUNK);
        let end = min(from_pair + PAIRS_PER_CHUNK, all);
        for (var pair = from_pair; pair < end; pair += STEP_PAIRS) {
            let w = load_rows(first, first_scales, pair);
            let v = load_rows(second, second_scales, pair);
            sums = add_token(sums, w, v, own, raw_0(own, 4u * pair), norm_weight(own, 4u * pair));
        }
    }
    emit_pairs(0u, pairs, sums);
}
