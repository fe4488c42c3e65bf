// As matrices_16.wgsl, of cooperative matrices of 8 x 8: four make one of 16 x 16. Named by their halves of rows or k, then of k or tokens.
enable f16;
enable wgpu_cooperative_matrix;
#import lib/half_tiles.wgsl

// [16 rows, 16 k]
struct Rows {
    aa: coop_mat8x8<f16, A>,
    ab: coop_mat8x8<f16, A>,
    ba: coop_mat8x8<f16, A>,
    bb: coop_mat8x8<f16, A>,
}

// [16 k, 16 tokens]
struct Tokens {
    aa: coop_mat8x8<f16, B>,
    ab: coop_mat8x8<f16, B>,
    ba: coop_mat8x8<f16, B>,
    bb: coop_mat8x8<f16, B>,
}

// [16 rows, 16 tokens]
struct Sums {
    aa: coop_mat8x8<f32, C>,
    ab: coop_mat8x8<f32, C>,
    ba: coop_mat8x8<f32, C>,
    bb: coop_mat8x8<f32, C>,
}

fn rows_at(at: u32) -> Rows {
    return Rows(
        coopLoadT<coop_mat8x8<f16, A>>(&tile_w[at], STRIDE),
        coopLoadT<coop_mat8x8<f16, A>>(&tile_w[at + 8u], STRIDE),
        coopLoadT<coop_mat8x8<f16, A>>(&tile_w[at + 8u * STRIDE], STRIDE),
        coopLoadT<coop_mat8x8<f16, A>>(&tile_w[at + 8u * STRIDE + 8u], STRIDE),
    );
}

fn tokens_at(at: u32) -> Tokens {
    return Tokens(
        coopLoad<coop_mat8x8<f16, B>>(&tile_x[at], STRIDE),
        coopLoad<coop_mat8x8<f16, B>>(&tile_x[at + 8u * STRIDE], STRIDE),
        coopLoad<coop_mat8x8<f16, B>>(&tile_x[at + 8u], STRIDE),
        coopLoad<coop_mat8x8<f16, B>>(&tile_x[at + 8u * STRIDE + 8u], STRIDE),
    );
}

fn add_products(sums: Sums, w: Rows, x: Tokens) -> Sums {
    return Sums(
        coopMultiplyAdd(w.ab, x.ba, coopMultiplyAdd(w.aa, x.aa, sums.aa)),
        coopMultiplyAdd(w.ab, x.bb, coopMultiplyAdd(w.aa, x.ab, sums.ab)),
        coopMultiplyAdd(w.bb, x.ba, coopMultiplyAdd(w.ba, x.aa, sums.ba)),
        coopMultiplyAdd(w.bb, x.bb, coopMultiplyAdd(w.ba, x.ab, sums.bb)),
    );
}

// In `results` lie sixteen rows of a token, then of the next.
fn sums_at(at: u32) -> Sums {
    return Sums(
        coopLoad<coop_mat8x8<f32, C>>(&results[at], 16u),
        coopLoad<coop_mat8x8<f32, C>>(&results[at + 128u], 16u),
        coopLoad<coop_mat8x8<f32, C>>(&results[at + 8u], 16u),
        coopLoad<coop_mat8x8<f32, C>>(&results[at + 136u], 16u),
    );
}

// naga 30 wants what is stored by, and where, to have names.
fn keep_sums(at: u32, sums: Sums) {
    let aa = at;
    let ab = at + 128u;
    let ba = at + 8u;
    let bb = at + 136u;
    let stride = 16u;
    coopStore(sums.aa, &results[aa], stride);
    coopStore(sums.ab, &results[ab], stride);
    coopStore(sums.ba, &results[ba], stride);
    coopStore(sums.bb, &results[bb], stride);
}
