// Whether subgroup operations do what kernels rely on: a workgroup's lanes are counted once each by subgroup and lane, and what is
// exchanged comes from the lane that was asked (lib/sums_subgroup.wgsl, lib/share.wgsl). Lane i writes to found[i]
//     its number by subgroup and lane, its subgroup's size, what its group has together, what lane 3 of its subgroup has
struct Shape {
    count: u32,  // added to what lanes have
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read_write> found: array<vec4<u32>>;

alias Sum = u32;
#import lib/xor_sum.wgsl

// Lanes of a subgroup, at least.
override LEAST: u32 = 4u;

@compute @workgroup_size(64)
fn main(
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) size: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let lane = subgroup * size + subgroup_lane;
    let own = lane + shape.count;
    found[index] = vec4<u32>(lane, size, xor_sum(own, LEAST), subgroupBroadcast(own, 3u));
}
