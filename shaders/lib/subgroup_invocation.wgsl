// A workgroup's lanes counted by subgroups: which lane of a workgroup is which lane of a subgroup is the driver's affair.
struct Invocation {
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) size: u32,
    @builtin(subgroup_invocation_id) lane: u32,
}

fn lane_of(invocation: Invocation) -> u32 {
    return invocation.subgroup * invocation.size + invocation.lane;
}
