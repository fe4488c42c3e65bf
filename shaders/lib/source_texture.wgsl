// Weights in a texture, eight rows interleaved: neighbouring lanes read the same unit of neighbouring rows, and a lane's next
// unit lies 128 bytes on. Software drivers gather texels in vectors but read storage buffers lane by lane; a
// storage texture spares them the level of detail that a sampled one has (ARCHITECTURE.md).
// Needs `shape.units`: 16-byte units in a row. The texture is 8192 texels wide; units are numbered through its rows.
@group(0) @binding(1) var weights: texture_storage_2d<rgba32uint, read>;

const UNIT_STRIDE = 8u;

fn weight_row(row: u32) -> u32 {
    return (row & ~7u) * shape.units + (row & 7u);
}

fn fetch(unit: u32) -> vec4<u32> {
    return textureLoad(weights, vec2<u32>(unit & 8191u, unit >> 13u));
}

// One of a unit's four words.
fn fetch_word(unit: u32, word: u32) -> u32 {
    return fetch(unit)[word];
}
