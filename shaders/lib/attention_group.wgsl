// What lanes of attention have, and how they meet. A group of BLOCK_LANES lanes shares positions; LANES / 64 groups that follow each other meet
// lane to lane (where there are subgroup operations), and what is left, 64 lanes' worth, in workgroup memory.
#import lib/block.wgsl

override LANES: u32 = 64u;

// Blocks of a head, rounded up to a power of two: 1 to 32.
override BLOCK_LANES: u32 = 8u;

override GROUPS: u32 = LANES / BLOCK_LANES;

// Groups of which workgroup memory has room for the results.
override SLOTS: u32 = 64u / BLOCK_LANES;

// Dimensions that a group's lanes have.
override DIMS: u32 = 8u * BLOCK_LANES;

// Lower than any score.
const LOWEST = -3.0e38;

// Weights are powers of two, whose exponents are scores times this.
const LOG2_E = 1.4426950408889634;

#import lib/eight.wgsl

// A lane's part of a group: its queries, times the scale and log2(e); the highest score so far, the sum of weights, which are powers of
// two relative to it, and the weighted sum of values.
struct Own {
    queries: Eight,
    highest: vec4<f32>,
    total: vec4<f32>,
    sums: Eight,
}

// What a workgroup computes.
struct Work {
    row: u32,
    kv_head: u32,
    first_head: u32,
    heads: u32,
    split: u32,
}

#import <sums>

fn weighed(sums: Eight, rescale: vec4<f32>, weight: vec4<f32>, value: Block) -> Eight {
    return Eight(
        fma(weight, vec4<f32>(value.lo.x), sums.d0 * rescale),
        fma(weight, vec4<f32>(value.lo.y), sums.d1 * rescale),
        fma(weight, vec4<f32>(value.lo.z), sums.d2 * rescale),
        fma(weight, vec4<f32>(value.lo.w), sums.d3 * rescale),
        fma(weight, vec4<f32>(value.hi.x), sums.d4 * rescale),
        fma(weight, vec4<f32>(value.hi.y), sums.d5 * rescale),
        fma(weight, vec4<f32>(value.hi.z), sums.d6 * rescale),
        fma(weight, vec4<f32>(value.hi.w), sums.d7 * rescale),
    );
}

// [SLOTS]
var<workgroup> slot_highest: array<vec4<f32>, 64>;
var<workgroup> slot_total: array<vec4<f32>, 64>;
// [8 dimensions of a block, SLOTS, BLOCK_LANES]
var<workgroup> slot_sums: array<vec4<f32>, 512>;

// Lanes of groups that have met hand over the same; the first of them does. What is handed over is written by one lane each, before the
// only barrier, and read behind it.
fn meet(lane: u32, own: Own) {
    let met = meet_lanes(own);
    let slot = lane / (BLOCK_LANES * (LANES / 64u));
    let block = lane % BLOCK_LANES;
    let at = slot * BLOCK_LANES + block;
    if (lane / BLOCK_LANES) % (LANES / 64u) == 0u {
        if block == 0u {
            slot_highest[slot] = met.highest;
            slot_total[slot] = met.total;
        }
        slot_sums[at] = met.sums.d0;
        slot_sums[64u + at] = met.sums.d1;
        slot_sums[128u + at] = met.sums.d2;
        slot_sums[192u + at] = met.sums.d3;
        slot_sums[256u + at] = met.sums.d4;
        slot_sums[320u + at] = met.sums.d5;
        slot_sums[384u + at] = met.sums.d6;
        slot_sums[448u + at] = met.sums.d7;
    }
    workgroupBarrier();
}

// Of all groups: the highest score, the sum of weights, and the weighted sum of a dimension of values.
struct Met {
    highest: vec4<f32>,
    total: vec4<f32>,
    sum: vec4<f32>,
}

// After they have met.
fn met_at(d: u32) -> Met {
    let at = (d % 8u) * 64u + d / 8u;
    var highest = slot_highest[0];
    for (var i = 1u; i < SLOTS; i += 1u) {
        highest = max(highest, slot_highest[i]);
    }
    var total = vec4<f32>();
    var sum = vec4<f32>();
    for (var i = 0u; i < SLOTS; i += 1u) {
        let rescale = exp2(slot_highest[i] - highest);
        total = fma(slot_total[i], rescale, total);
        sum = fma(slot_sums[at + i * BLOCK_LANES], rescale, sum);
    }
    return Met(highest, total, sum);
}
