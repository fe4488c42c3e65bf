// What the products of weights in textures share: four row pairs a lane, of which the last lanes have fewer.

#import lib/hidden_zero.wgsl

// Small workgroups spread narrow matrices over the cores; chosen by measuring.
override LANES: u32 = 16u;

// A lane's row pairs: eight lanes compute 32 that follow each other.
fn lane_pairs(workgroup: u32, lane: u32) -> vec4<u32> {
    let first = 4u * (workgroup * LANES + (lane & ~7u)) + (lane & 7u);
    return first + vec4<u32>(0u, 8u, 16u, 24u);
}

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

#import <arithmetic>

// A step of four rows, with their scales.
struct Weights {
    x: RowStep,
    y: RowStep,
    z: RowStep,
    w: RowStep,
    scales: vec4<f32>,
}

fn load_rows(rows: vec4<u32>, scales: RowScales, pair: u32) -> Weights {
    return Weights(
        load_step(rows.x, pair),
        load_step(rows.y, pair),
        load_step(rows.z, pair),
        load_step(rows.w, pair),
        vec4<f32>(
            pair_scale(scales.x, pair),
            pair_scale(scales.y, pair),
            pair_scale(scales.z, pair),
            pair_scale(scales.w, pair),
        ),
    );
}

#import <input>

// Weights of the norm; not read where the input is not normed.
@group(0) @binding(3) var<uniform> norm: array<vec4<f32>, 4096>;

// Of a token: sums of the pairs' first rows, and of their second; of the squares that a lane has read.
struct Sums {
    first: vec4<f32>,
    second: vec4<f32>,
    squares: f32,
}

// Adds a step: what a lane read of it itself, and what that is to be weighed with, which all tokens share.
fn add_token(sums: Sums, first: Weights, second: Weights, own: Reader, raw: Raw, weight: Raw) -> Sums {
    let x = take(own, raw, weight);
    return Sums(add_dots(sums.first, first, x), add_dots(sums.second, second, x), sums.squares + raw_squares(raw));
}

fn normed(sums: Sums) -> Sums {
    if !NORMED {
        return sums;
    }
    let scale = norm_scale(all_squares(sums.squares));
    return Sums(sums.first * scale, sums.second * scale, 0.0);
}

fn emit_pairs(token: u32, pairs: vec4<u32>, unnormed: Sums) {
    let sums = normed(unnormed);
    if pairs.x < shape.pairs {
        emit(token, pairs.x, sums.first.x, sums.second.x);
    }
    if pairs.y < shape.pairs {
        emit(token, pairs.y, sums.first.y, sums.second.y);
    }
    if pairs.z < shape.pairs {
        emit(token, pairs.z, sums.first.z, sums.second.z);
    }
    if pairs.w < shape.pairs {
        emit(token, pairs.w, sums.first.w, sums.second.w);
    }
}
