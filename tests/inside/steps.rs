//! Steps by hand, below sessions.

use openelm::Model;
use openelm::kernels::BatchClass;
use openelm::model::{Batch, RowResult, Sequence, TokenSource, Wants};
use openelm::trace::TraceMode;

/// Submits a batch that wants logits after every row, and reads them.
pub fn run(model: &Model, batch: &Batch) -> Vec<Vec<f32>> {
    let network = model.network();
    let ticket = network.submit(batch, TraceMode::Off).unwrap();
    let mut all = vec![Vec::new(); batch.rows().len()];
    let is_valid = network
        .read(&ticket, |row, result| match result {
            RowResult::Logits(logits) => all[row] = logits.to_vec(),
            _ => panic!("only logits were asked for"),
        })
        .unwrap();
    assert!(is_valid);
    all
}

/// Adds the next `count` of `ids` to a batch, as far as there is room. Returns how many.
pub fn add(
    sequence: &mut Sequence,
    batch: &mut Batch,
    ids: &[u32],
    count: usize,
    class: BatchClass,
) -> usize {
    let room = sequence.network().room();
    for (added, id) in ids.iter().take(count).enumerate() {
        if !room.has_room(batch, class, &Wants::Logits) {
            return added;
        }
        let token = TokenSource::Id(*id);
        sequence
            .push(batch, token, None, class, Wants::Logits)
            .unwrap();
    }
    ids.len().min(count)
}

/// Logits after each of `ids`, in steps of the given sizes, over and over; smaller where a step has no room for as many.
pub fn logits(model: &Model, ids: &[u32], sizes: &[usize], class: BatchClass) -> Vec<Vec<f32>> {
    let mut sequence = Sequence::new(model.network()).unwrap();
    let mut all = Vec::new();
    for size in sizes.iter().copied().cycle() {
        let mut batch = Batch::default();
        let rest = &ids[all.len()..];
        if add(&mut sequence, &mut batch, rest, size, class) == 0 {
            break;
        }
        all.extend(run(model, &batch));
    }
    assert_eq!(all.len(), ids.len());
    all
}
