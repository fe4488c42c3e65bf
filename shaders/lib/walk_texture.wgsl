// How a lane walks through a texture: along one row of eight that are interleaved.
const WALK_STRIDE = UNIT_STRIDE;

fn walk_start(workgroup: u32, lane: u32) -> u32 {
    return weight_row(workgroup * 64u + lane);
}
