// Matrix times a few vectors for GPUs: the products of linear_decode_rows.wgsl for up to sixteen tokens, to the bit.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// Lanes stride over K as for a single token, but each weight is read once for four tokens. Sums are vec4s over the tokens. Workgroup y
// is the quad of tokens; those beyond the step's last are computed into padding that nobody reads.
#import lib/linear_shape.wgsl
#import <source>
#import <format>
#import <output>

alias Sum = vec4<f32>;
#import lib/rows.wgsl

// The same block of four tokens' inputs.
struct Blocks {
    x: Block,
    y: Block,
    z: Block,
    w: Block,
}

fn load_blocks(start: u32, block: u32) -> Blocks {
    let at = start + 2u * block;
    let step = shape.in_stride;
    return Blocks(
        load_block_at(at),
        load_block_at(at + step),
        load_block_at(at + 2u * step),
        load_block_at(at + 3u * step),
    );
}

struct Inputs {
    x: Input,
    y: Input,
    z: Input,
    w: Input,
}

fn weighed_inputs(raw: Blocks, block: u32) -> Inputs {
    return Inputs(weighed(raw.x, block), weighed(raw.y, block), weighed(raw.z, block), weighed(raw.w, block));
}

fn squares_of_all(raw: Blocks) -> vec4<f32> {
    return vec4<f32>(squares_of(raw.x), squares_of(raw.y), squares_of(raw.z), squares_of(raw.w));
}

fn dots(w: Weights, inputs: Inputs) -> vec4<f32> {
    return vec4<f32>(dot_row(w, inputs.x), dot_row(w, inputs.y), dot_row(w, inputs.z), dot_row(w, inputs.w));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, invocation: Invocation) {
    let lane = lane_of(invocation);
    let column = lane % COLUMNS;
    let rows = lane_rows(workgroup.x, lane);
    let input_start = workgroup.y * 4u * shape.in_stride;
    var sum_a = Sum();
    var sum_b = Sum();
    var sum_c = Sum();
    var sum_d = Sum();
    var squares = Sum();
    // All lanes do as many steps, so that they are together where their sums meet.
    let whole = shape.blocks - shape.blocks % COLUMNS;
    for (var start = 0u; start < whole; start += COLUMNS) {
        let block = start + column;
        let raw = load_blocks(input_start, block);
        let inputs = weighed_inputs(raw, block);
        squares += squares_of_all(raw);
        sum_a += dots(load_row(rows.x, block), inputs);
        sum_b += dots(load_row(rows.y, block), inputs);
        sum_c += dots(load_row(rows.z, block), inputs);
        sum_d += dots(load_row(rows.w, block), inputs);
    }
    if whole < shape.blocks {
        let is_there = whole + column < shape.blocks;
        let block = min(whole + column, shape.blocks - 1u);
        let raw = load_blocks(input_start, block);
        let inputs = weighed_inputs(raw, block);
        squares = select(squares, squares + squares_of_all(raw), is_there);
        sum_a = select(sum_a, sum_a + dots(load_row(rows.x, block), inputs), is_there);
        sum_b = select(sum_b, sum_b + dots(load_row(rows.y, block), inputs), is_there);
        sum_c = select(sum_c, sum_c + dots(load_row(rows.z, block), inputs), is_there);
        sum_d = select(sum_d, sum_d + dots(load_row(rows.w, block), inputs), is_there);
    }
    var sums = meet(lane, sum_a, sum_b, sum_c, sum_d);
    if NORMED {
        let all = meet_squares(lane, squares);
        let scale = vec4<f32>(norm_scale(all.x), norm_scale(all.y), norm_scale(all.z), norm_scale(all.w));
        sums.first *= scale;
        sums.second *= scale;
    }
    let pair = workgroup.x * PAIRS + sums.index;
    if sums.is_here && pair < shape.pairs {
        let token = workgroup.y * 4u;
        emit(token, pair, sums.first.x, sums.second.x);
        emit(token + 1u, pair, sums.first.y, sums.second.y);
        emit(token + 2u, pair, sums.first.z, sums.second.z);
        emit(token + 3u, pair, sums.first.w, sums.second.w);
    }
}
