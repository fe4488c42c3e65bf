// Lanes that read for themselves, for any adapter; lib/share.wgsl is the other way.

struct Place {
    @builtin(local_invocation_index) lane: u32,
}

// What a lane must know to read blocks: nothing.
alias Reader = u32;

fn reader(place: Place) -> Reader {
    return 0u;
}
