// How a lane walks through a buffer: 64 lanes side by side, which GPUs read in whole lines.
const WALK_STRIDE = 64u;

fn walk_start(workgroup: u32, lane: u32) -> u32 {
    return workgroup * 64u * shape.units + lane;
}
