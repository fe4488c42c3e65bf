//! Whose turn it is: which of many requests gives the next text to be written.
//!
//! First in, first out, as long as requests are for one text each. One for many takes what places there are, but the last few are for requests
//! that have none yet, and whoever has fewer texts at work comes first: so a request for hundreds holds nobody up.

/// Places that are kept for requests without a text at work.
pub const KEPT_FREE: usize = 4;

/// What there is to say of a request.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Whether it has a text that could be begun.
    pub has_more: bool,
    /// Its texts at work.
    pub working: usize,
}

/// The request whose text begins next, where so many places are free. They come in the order in which they were asked.
pub fn next(requests: impl IntoIterator<Item = (u64, Standing)>, free: usize) -> Option<u64> {
    let may_begin = |standing: &Standing| {
        let kept = if standing.working == 0 { 0 } else { KEPT_FREE };
        standing.has_more && free > kept
    };
    let candidates = requests
        .into_iter()
        .filter(|(_, standing)| may_begin(standing));
    // Of several the first is taken.
    let next = candidates.min_by_key(|(_, standing)| standing.working);
    next.map(|(request, _)| request)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Begins texts until none may begin; returns whose they are.
    fn begin(left: &mut BTreeMap<u64, (usize, usize)>, mut free: usize) -> Vec<u64> {
        let mut order = Vec::new();
        loop {
            let standings = left.iter().map(|(request, (more, working))| {
                let standing = Standing {
                    has_more: *more > 0,
                    working: *working,
                };
                (*request, standing)
            });
            let Some(request) = next(standings, free) else {
                return order;
            };
            let (more, working) = left.get_mut(&request).unwrap();
            (*more, *working, free) = (*more - 1, *working + 1, free - 1);
            order.push(request);
        }
    }

    #[test]
    fn single_texts_go_first_in_first_out() {
        let mut left = (0..6).map(|request| (request, (1, 0))).collect();
        assert_eq!(begin(&mut left, 4), [0, 1, 2, 3]);
        assert_eq!(begin(&mut left, 1), [4]);
        assert_eq!(begin(&mut left, 0), [0; 0]);
    }

    #[test]
    fn a_request_for_many_leaves_room_and_shares() {
        let mut left = BTreeMap::from([(0, (100, 0))]);
        assert_eq!(begin(&mut left, 32).len(), 32 - KEPT_FREE);
        left.insert(1, (1, 0));
        left.insert(2, (3, 0));
        // The places kept free are for a first text only.
        assert_eq!(begin(&mut left, KEPT_FREE), [1, 2]);
        // Two of the first request end: the places are those of whoever has fewer.
        left.get_mut(&0).unwrap().1 -= 2;
        assert_eq!(begin(&mut left, KEPT_FREE + 2), [2, 2]);
    }
}
