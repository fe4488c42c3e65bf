// Lanes that read for themselves, for any adapter; lib/share.wgsl is the other way.

// What a lane must know to read blocks: nothing.
alias Reader = u32;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    run(workgroup, workgroups, lane, 0u);
}
