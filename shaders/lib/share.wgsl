// Lanes that need the same block: eight of a subgroup read one value each, and tell all others. For drivers that fetch even what all
// lanes read alike lane by lane (ARCHITECTURE.md). Subgroups must have eight lanes or more.
#import lib/block.wgsl

// Which value of a block a lane reads: vec4 and component.
alias Reader = vec2<u32>;

// Arguments and no structure: as in lib/entry_subgroup.wgsl.
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let own = subgroup_lane & 7u;
    run(workgroup, workgroups, lane, vec2<u32>(own >> 2u, own & 3u));
}

fn share(own: f32) -> Block {
    return Block(
        vec4<f32>(
            subgroupBroadcast(own, 0u),
            subgroupBroadcast(own, 1u),
            subgroupBroadcast(own, 2u),
            subgroupBroadcast(own, 3u),
        ),
        vec4<f32>(
            subgroupBroadcast(own, 4u),
            subgroupBroadcast(own, 5u),
            subgroupBroadcast(own, 6u),
            subgroupBroadcast(own, 7u),
        ),
    );
}

// What eight lanes have together.
fn all_squares(own: f32) -> f32 {
    let all = share(own);
    return (all.lo.x + all.lo.y + all.lo.z + all.lo.w) + (all.hi.x + all.hi.y + all.hi.z + all.hi.w);
}
