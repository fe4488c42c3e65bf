// Weights in a storage buffer, row after row: neighbouring lanes read neighbouring units of one row (coalesced on GPUs).
// Needs `shape.units`: 16-byte units in a row.
@group(0) @binding(1) var<storage, read> weights: array<vec4<u32>>;

const UNIT_STRIDE = 1u;

fn weight_row(row: u32) -> u32 {
    return row * shape.units;
}

fn fetch(unit: u32) -> vec4<u32> {
    return weights[unit];
}

// One of a unit's four words.
fn fetch_word(unit: u32, word: u32) -> u32 {
    return weights[unit][word];
}
