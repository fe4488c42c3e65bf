// Lanes that read for themselves, for any adapter; lib/share.wgsl is the other way.

struct Invocation {
    @builtin(local_invocation_index) lane: u32,
}

// What a lane must know to read blocks: nothing.
alias Reader = u32;

fn reader(invocation: Invocation) -> Reader {
    return 0u;
}
