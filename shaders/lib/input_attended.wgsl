// The input of the `rows` products from the records of attention's splits (lib/attended_split.wgsl), which are added up here: that costs less than a
// dispatch between.
//     x[h] = sum over splits of 2^logarithm[s, h] * values[s, h]  /  sum of 2^logarithm[s, h]
// All reads are independent of each other, so that one trip to memory does. Where heads are no whole blocks there is one split, and nothing to add up.

// Records of a token, and vec4s of a record.
override SPLITS: u32 = 1u;
override RECORD: u32 = 1u;

override HEAD_DIM: u32 = 64u;

fn float_at(at: u32) -> f32 {
    return input[at / 4u][at % 4u];
}

// Of the head that dimension `d` belongs to, in the record that begins at vec4 `record`.
fn logarithm(record: u32, d: u32) -> f32 {
    return float_at(4u * record + shape.width + d / HEAD_DIM);
}

// What the splits of a head weigh together: relative to the highest.
struct Weight {
    highest: f32,
    total: f32,
}

fn weight_of(first: u32, d: u32) -> Weight {
    var highest = logarithm(first, d);
    for (var split = 1u; split < SPLITS; split += 1u) {
        highest = max(highest, logarithm(first + split * RECORD, d));
    }
    var total = 0.0;
    for (var split = 0u; split < SPLITS; split += 1u) {
        total += exp2(logarithm(first + split * RECORD, d) - highest);
    }
    return Weight(highest, total);
}

// What a split adds; one that is not there has no weight, and anything for values.
fn part(weight: f32, values: vec4<f32>) -> vec4<f32> {
    return select(weight * values, vec4<f32>(), weight == 0.0);
}

// A block of one head, whose token's records begin at `first`.
fn block_of(first: u32, d: u32) -> Block {
    let all = weight_of(first, d);
    var lo = vec4<f32>();
    var hi = vec4<f32>();
    for (var split = 0u; split < SPLITS; split += 1u) {
        let record = first + split * RECORD;
        let weight = exp2(logarithm(record, d) - all.highest);
        lo += part(weight, input[record + d / 4u]);
        hi += part(weight, input[record + d / 4u + 1u]);
    }
    let share = 1.0 / all.total;
    // Behind the last dimension, where weights are 0, lies something else.
    let is_there = d < shape.width;
    return Block(select(vec4<f32>(), lo * share, is_there), select(vec4<f32>(), hi * share, is_there));
}

// The block that would begin at vec4 `at` if a token's first record were its input.
fn load_block_at(at: u32) -> Block {
    let d = 4u * (at % (SPLITS * RECORD));
    return block_of(at - d / 4u, d);
}
