// From f32 to pairs of f16 in a u32. How `pack2x16float` rounds is left to the adapter, and AMD's cut off, which would draw every key and value
// towards 0: so numbers are rounded to nearest even before it, by adding half of the last place that is kept, less one where that place is
// even. Below f16's normal range, 6e-5, the adapter's own way is left, which is wrong by 6e-8 at most.

fn pack_halves(quad: vec4<f32>) -> vec2<u32> {
    let bits = bitcast<vec4<u32>>(quad);
    let is_odd = (bits >> vec4<u32>(13u)) & vec4<u32>(1u);
    let rounded = (bits + vec4<u32>(0xfffu) + is_odd) & vec4<u32>(0xffffe000u);
    // A NaN whose bits are all set would become a zero.
    let is_finite = (bits & vec4<u32>(0x7f800000u)) != vec4<u32>(0x7f800000u);
    let quad_rounded = bitcast<vec4<f32>>(select(bits, rounded, is_finite));
    return vec2<u32>(pack2x16float(quad_rounded.xy), pack2x16float(quad_rounded.zw));
}
