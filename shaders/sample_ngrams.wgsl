// Before a token is chosen on the device: which ids would complete so many ids in a row that occurred already, for rows that ask for it.
//     repeated[ids[i + n - 1]] = 1 for all i <= len - n where ids[i .. i + n - 1] = ids[len - n + 1 .. len]
// Workgroup y is the row; its lanes share the places where such a run may begin.
#import lib/sample_shape.wgsl
// [sequences, history_stride]
@group(0) @binding(2) var<storage, read_write> history: array<atomic<u32>>;

const LANES = 256u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = rows[workgroup.y];
    let repeated = row.slot * shape.history_stride + 2u * id_words();
    let ids = repeated + id_words();
    // Nobody looks at the words of a row that asks for nothing, and another row of the same sequence may.
    let words = select(0u, id_words(), row.ngram > 0u);
    for (var word = lane; word < words; word += LANES) {
        atomicStore(&history[repeated + word], 0u);
    }
    storageBarrier();
    workgroupBarrier();
    let is_possible = row.ngram > 0u && row.len >= row.ngram;
    let places = select(0u, row.len + 1u - row.ngram, is_possible);
    let last = ids + row.len + 1u - row.ngram;
    for (var place = ids + lane; place < ids + places; place += LANES) {
        var i = 0u;
        while i + 1u < row.ngram && atomicLoad(&history[place + i]) == atomicLoad(&history[last + i]) {
            i += 1u;
        }
        if i + 1u == row.ngram {
            let id = atomicLoad(&history[place + i]);
            atomicOr(&history[repeated + (id >> 5u)], 1u << (id & 31u));
        }
    }
}
