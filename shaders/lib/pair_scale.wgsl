// Scales of quantised weights: the first unit of a superblock holds eight, in f16, one for two pairs of blocks.
#import <half>

fn pair_scale(row_start: u32, superblock: u32, pair: u32) -> f32 {
    let scales = fetch(row_start + superblock * UNIT_STRIDE);
    return unpack_half(scales[(pair >> 2u) & 3u] >> (((pair >> 1u) & 1u) * 16u));
}
