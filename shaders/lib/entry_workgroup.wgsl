// The entry point of kernels whose lanes meet in workgroup memory, on any adapter.
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    run(workgroup, lane);
}
