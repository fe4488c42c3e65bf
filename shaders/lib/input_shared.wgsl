// The input of a `lanes` product: eight lanes of a subgroup read one value of a block each, and tell all others. For drivers that
// fetch even what all lanes read alike lane by lane (ARCHITECTURE.md).
@group(0) @binding(3) var<uniform> input_0: array<vec4<f32>, 4096>;

struct Place {
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
}

// Which value of a block a lane reads: vec4 and component.
alias Reader = vec2<u32>;

fn reader(place: Place) -> Reader {
    let own = place.subgroup_lane & 7u;
    return vec2<u32>(own >> 2u, own & 3u);
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

// The block of eight that begins at vec4 `at`.
fn block_0(own: Reader, at: u32) -> Block {
    return share(input_0[at + own.x][own.y]);
}
