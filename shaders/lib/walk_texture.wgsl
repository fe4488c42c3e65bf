// How a lane walks through a texture: eight lanes side by side, which is what software drivers gather at once.
const WALK_STRIDE = 8u;

fn walk_start(workgroup: u32, lane: u32) -> u32 {
    return (workgroup * 64u + (lane & ~7u)) * shape.units + (lane & 7u);
}
