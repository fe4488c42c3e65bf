// The cache in storage buffers: [rows, kv_heads, blocks] 16-byte units (or twice as many, for f32).
@group(0) @binding(6) var<storage, read_write> keys: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read_write> values: array<vec4<u32>>;

fn store_key(unit: u32, bits: vec4<u32>) {
    keys[unit] = bits;
}

fn store_value(unit: u32, bits: vec4<u32>) {
    values[unit] = bits;
}
