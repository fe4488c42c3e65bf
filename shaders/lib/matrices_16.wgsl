// Cooperative matrices of 16 x 16, which the lanes of a subgroup multiply together: f16 by f16, sums in f32.
enable f16;
enable wgpu_cooperative_matrix;
#import lib/half_tiles.wgsl

// [16 rows, 16 k]
alias Rows = coop_mat16x16<f16, A>;
// [16 k, 16 tokens]
alias Tokens = coop_mat16x16<f16, B>;
// [16 rows, 16 tokens]
alias Sums = coop_mat16x16<f32, C>;

fn rows_at(at: u32) -> Rows {
    return coopLoadT<coop_mat16x16<f16, A>>(&tile_w[at], STRIDE);
}

fn tokens_at(at: u32) -> Tokens {
    return coopLoad<coop_mat16x16<f16, B>>(&tile_x[at], STRIDE);
}

fn add_products(sums: Sums, w: Rows, x: Tokens) -> Sums {
    return coopMultiplyAdd(w, x, sums);
}

// In `results` lie sixteen rows of a token, then of the next.
fn sums_at(at: u32) -> Sums {
    return coopLoad<coop_mat16x16<f32, C>>(&results[at], 16u);
}

// naga 30 wants what is stored by, and where, to have names.
fn keep_sums(at: u32, sums: Sums) {
    let to = at;
    let stride = 16u;
    coopStore(sums, &results[to], stride);
}
