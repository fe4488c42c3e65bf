// Matrix times vector for software adapters: QKV, out, FFN and head products of a single token.
//     y = W x           W: [rows, K], x: [K], y: [rows]
// A lane computes four pairs of rows on its own, LANES pairs apart. Each value of x
// is read once for eight rows (lib/input_*.wgsl); weights come from a texture. Two blocks an iteration:
// rows are padded to an even number. Scales of quantised weights are fetched once a chunk. Workgroup y are the rows.
#import lib/linear_shape.wgsl
#import lib/block_dot.wgsl
#import <source>
#import <format>
#import <output>
#import lib/lanes.wgsl
#import <input>

// Small workgroups spread narrow matrices over the cores; chosen by measuring.
override LANES: u32 = 16u;

fn pair_dot(sum: f32, row: u32, scales: Scales, pair: u32, a: Block, b: Block) -> f32 {
    let w = load_pair(row, pair);
    let scale = pair_scale(scales, pair);
    return sum + block_dot(w.a, a.lo, a.hi) * scale + block_dot(w.b, b.lo, b.hi) * scale;
}

// Adds a pair of blocks of four rows.
fn pair_dots(sums: vec4<f32>, rows: vec4<u32>, scales: RowScales, pair: u32, a: Block, b: Block) -> vec4<f32> {
    return vec4<f32>(
        pair_dot(sums.x, rows.x, scales.x, pair, a, b),
        pair_dot(sums.y, rows.y, scales.y, pair, a, b),
        pair_dot(sums.z, rows.z, scales.z, pair, a, b),
        pair_dot(sums.w, rows.w, scales.w, pair, a, b),
    );
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, place: Place) {
    let own = reader(place);
    let start = workgroup.y * 4u * LANES + place.lane;
    let pairs = start + LANES * vec4<u32>(0u, 1u, 2u, 3u);
    let first = weight_rows(pairs);
    let second = weight_rows(pairs + shape.second);
    var sum_first = vec4<f32>();
    var sum_second = vec4<f32>();
    let all = shape.blocks / 2u + hidden_zero(workgroup);
    for (var from_pair = 0u; from_pair < all; from_pair += PAIRS_PER_CHUNK) {
        let first_scales = load_row_scales(first, from_pair / PAIRS_PER_CHUNK);
        let second_scales = load_row_scales(second, from_pair / PAIRS_PER_CHUNK);
        let end = min(from_pair + PAIRS_PER_CHUNK, all);
        for (var pair = from_pair; pair < end; pair += 1u) {
            let a = block_0(own, 4u * pair);
            let b = block_0(own, 4u * pair + 2u);
            sum_first = pair_dots(sum_first, first, first_scales, pair, a, b);
            sum_second = pair_dots(sum_second, second, second_scales, pair, a, b);
        }
    }
    emit_pairs(0u, pairs, sum_first, sum_second);
}
