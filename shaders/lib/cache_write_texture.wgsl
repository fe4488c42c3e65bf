// The cache in textures, for software adapters: units as in a buffer, numbered through rows of 8192 texels.
@group(0) @binding(6) var keys: texture_storage_2d<rgba32uint, write>;
@group(0) @binding(7) var values: texture_storage_2d<rgba32uint, write>;

fn store_key(unit: u32, bits: vec4<u32>) {
    textureStore(keys, vec2<u32>(unit & 8191u, unit >> 13u), bits);
}

fn store_value(unit: u32, bits: vec4<u32>) {
    textureStore(values, vec2<u32>(unit & 8191u, unit >> 13u), bits);
}
