// The cache in textures, for software adapters: units as in a buffer, numbered through rows of 8192 texels.
@group(0) @binding(3) var keys: texture_storage_2d<rgba32uint, read>;
@group(0) @binding(4) var values: texture_storage_2d<rgba32uint, read>;

fn fetch_key(unit: u32) -> vec4<u32> {
    return textureLoad(keys, vec2<u32>(unit & 8191u, unit >> 13u));
}

fn fetch_value(unit: u32) -> vec4<u32> {
    return textureLoad(values, vec2<u32>(unit & 8191u, unit >> 13u));
}
