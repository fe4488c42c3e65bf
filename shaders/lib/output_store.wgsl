// Output: the two products of a pair, each to its own row.
fn emit(token: u32, pair: u32, first: f32, second: f32) {
    let at = token * shape.out_stride + shape.out_offset + pair;
    output[at] = first;
    if pair + shape.second < shape.rows {
        output[at + shape.second] = second;
    }
}
