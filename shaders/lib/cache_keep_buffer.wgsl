// The cache in storage buffers, read and written: [rows, kv_heads, blocks] 16-byte units (or twice as many, for f32).
@group(0) @binding(3) var<storage, read_write> keys: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> values: array<vec4<u32>>;

fn fetch_key(unit: u32) -> vec4<u32> {
    return keys[unit];
}

fn fetch_value(unit: u32) -> vec4<u32> {
    return values[unit];
}

fn store_key(unit: u32, bits: vec4<u32>) {
    keys[unit] = bits;
}

fn store_value(unit: u32, bits: vec4<u32>) {
    values[unit] = bits;
}
