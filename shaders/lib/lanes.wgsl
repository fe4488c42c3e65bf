// What the products of weights in textures share: four row pairs a lane, of which the last lanes have fewer.

#import lib/hidden_zero.wgsl

// Where four rows begin; the last row stands in for those that are not there.
fn weight_rows(rows: vec4<u32>) -> vec4<u32> {
    let there = min(rows, vec4<u32>(shape.rows - 1u));
    return vec4<u32>(weight_row(there.x), weight_row(there.y), weight_row(there.z), weight_row(there.w));
}

// Scales of four rows' numbers in a chunk.
struct RowScales {
    x: Scales,
    y: Scales,
    z: Scales,
    w: Scales,
}

fn load_row_scales(rows: vec4<u32>, chunk: u32) -> RowScales {
    return RowScales(
        load_scales(rows.x, chunk),
        load_scales(rows.y, chunk),
        load_scales(rows.z, chunk),
        load_scales(rows.w, chunk),
    );
}

fn emit_pairs(token: u32, pairs: vec4<u32>, first: vec4<f32>, second: vec4<f32>) {
    if pairs.x < shape.pairs {
        emit(token, pairs.x, first.x, second.x);
    }
    if pairs.y < shape.pairs {
        emit(token, pairs.y, first.y, second.y);
    }
    if pairs.z < shape.pairs {
        emit(token, pairs.z, first.z, second.z);
    }
    if pairs.w < shape.pairs {
        emit(token, pairs.w, first.w, second.w);
    }
}
