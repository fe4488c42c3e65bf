// The nearest whole number, for numbers below 2^22: an addition that leaves no room for a fraction.
fn whole(x: f32) -> i32 {
    return bitcast<i32>(x + 12582912.0) - 0x4b400000;
}

// The same order as the magnitudes of numbers, without what floats cost where one may be NaN. Never 0, to divide by.
fn magnitude(x: vec4<f32>) -> u32 {
    let bits = bitcast<vec4<u32>>(abs(x));
    return max(max(max(bits.x, bits.y), max(bits.z, bits.w)), 0x0da24260u);
}
