// The entry point of kernels whose lanes meet lane to lane: they are counted by subgroups, for which lane of a workgroup is which lane of a
// subgroup is the driver's affair. What is built in are arguments, not members of a structure: there naga 30 forgets what DirectX calls them.
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) size: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    run(workgroup, subgroup * size + subgroup_lane);
}
