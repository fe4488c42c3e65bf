// What the 256 lanes of a workgroup that picks a token have together. Lanes meet in two steps: sixteen and sixteen. Before a place of workgroup memory is
// written there is a barrier behind its last readers, and one before it is read, here and by whoever uses `value` and `index` between.
const LANES = 256u;

var<workgroup> value: array<f32, 256>;
var<workgroup> index: array<u32, 256>;
var<workgroup> block_value: array<f32, 16>;
var<workgroup> block_index: array<u32, 16>;

// The highest value of all lanes with its index, the lowest index among equals.
struct Highest {
    value: f32,
    index: u32,
}

// First the value, then who has it: shorter chains than pair by pair.
fn highest_of_lanes(lane: u32, own_value: f32, own_index: u32) -> Highest {
    workgroupBarrier();
    value[lane] = own_value;
    index[lane] = own_index;
    workgroupBarrier();
    let block = lane % 16u;
    var highest = value[block];
    for (var i = 1u; i < 16u; i += 1u) {
        highest = max(highest, value[block + 16u * i]);
    }
    var lowest = NO_ID;
    for (var i = 0u; i < 16u; i += 1u) {
        lowest = min(lowest, select(NO_ID, index[block + 16u * i], value[block + 16u * i] == highest));
    }
    if lane < 16u {
        block_value[lane] = highest;
        block_index[lane] = lowest;
    }
    workgroupBarrier();
    highest = block_value[0];
    for (var i = 1u; i < 16u; i += 1u) {
        highest = max(highest, block_value[i]);
    }
    lowest = NO_ID;
    for (var i = 0u; i < 16u; i += 1u) {
        lowest = min(lowest, select(NO_ID, block_index[i], block_value[i] == highest));
    }
    return Highest(highest, lowest);
}

fn sum_of_lanes(lane: u32, own: f32) -> f32 {
    workgroupBarrier();
    value[lane] = own;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < 16u; i += 1u) {
        sum += value[lane % 16u + 16u * i];
    }
    if lane < 16u {
        block_value[lane] = sum;
    }
    workgroupBarrier();
    sum = 0.0;
    for (var i = 0u; i < 16u; i += 1u) {
        sum += block_value[i];
    }
    return sum;
}

// How many lanes before this one have together, and how many all have.
struct Before {
    count: u32,
    all: u32,
}

fn count_before(lane: u32, own: u32) -> Before {
    workgroupBarrier();
    index[lane] = own;
    workgroupBarrier();
    let first = lane - lane % 16u;
    var before = 0u;
    var block = 0u;
    for (var i = 0u; i < 16u; i += 1u) {
        let other = index[first + i];
        before += select(0u, other, first + i < lane);
        block += other;
    }
    if lane == first {
        block_index[lane / 16u] = block;
    }
    workgroupBarrier();
    var all = 0u;
    for (var i = 0u; i < 16u; i += 1u) {
        let other = block_index[i];
        before += select(0u, other, i < lane / 16u);
        all += other;
    }
    return Before(before, all);
}
