//! Which rows of the cache belong to which sequence: handed out in spans, shared by forks, taken back when nobody uses them. Host
//! memory only; `kv_pool.rs` has the rows themselves.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// A sequence of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId {
    /// Its place in the device's tables.
    pub(super) slot: u32,
    /// Tells it from others that had the place before.
    generation: u64,
}

/// Row 0 is for rows of a step that belong to no sequence; nobody reads it.
pub const NOBODYS_ROW: u32 = 0;

#[derive(Debug, Default)]
struct Sequence {
    generation: u64,
    /// Row of each position.
    rows: Vec<u32>,
    /// Positions whose keys and values were computed, or are under way.
    computed: u32,
    /// The position whose id the device has chosen, if that is the next one.
    chosen: Option<u32>,
    is_live: bool,
}

/// The books of a pool.
#[derive(Debug)]
pub struct Rows {
    /// Users of each row.
    users: Vec<u32>,
    /// Spans of rows without users: first to length.
    free: BTreeMap<u32, u32>,
    free_rows: usize,
    sequences: Vec<Sequence>,
    generations: u64,
}

impl Rows {
    /// Books for so many rows; one of them is nobody's.
    pub fn new(capacity: usize) -> Self {
        let mut rows = Self {
            users: vec![1],
            free: BTreeMap::new(),
            free_rows: 0,
            sequences: Vec::new(),
            generations: 0,
        };
        rows.grow(capacity);
        rows
    }

    /// Rows in all.
    pub fn capacity(&self) -> usize {
        self.users.len()
    }

    /// Rows without users.
    pub fn free_rows(&self) -> usize {
        self.free_rows
    }

    /// Adds rows up to so many.
    pub fn grow(&mut self, capacity: usize) {
        let before = self.users.len();
        if capacity > before {
            self.users.resize(capacity, 0);
            self.give_back(before as u32, (capacity - before) as u32);
        }
    }

    /// A sequence without rows. Its slot may be one that is not there yet in the device's tables.
    pub fn create(&mut self) -> SequenceId {
        self.generations += 1;
        let slot = self.sequences.iter().position(|other| !other.is_live);
        let slot = slot.unwrap_or_else(|| {
            self.sequences.push(Sequence::default());
            self.sequences.len() - 1
        });
        self.sequences[slot] = Sequence {
            generation: self.generations,
            is_live: true,
            ..Sequence::default()
        };
        SequenceId {
            slot: slot as u32,
            generation: self.generations,
        }
    }

    fn get(&self, id: SequenceId) -> Result<&Sequence> {
        let sequence = self.sequences.get(id.slot as usize);
        let is_this = |other: &&Sequence| other.is_live && other.generation == id.generation;
        sequence
            .filter(is_this)
            .ok_or_else(|| Error::Misuse("the sequence is no longer there".into()))
    }

    fn get_mut(&mut self, id: SequenceId) -> Result<&mut Sequence> {
        self.get(id)?;
        Ok(&mut self.sequences[id.slot as usize])
    }

    /// Rows of a sequence by position.
    ///
    /// # Errors
    /// [`Error::Misuse`] for a sequence that is gone, as all of these.
    pub fn of(&self, id: SequenceId) -> Result<&[u32]> {
        Ok(&self.get(id)?.rows)
    }

    /// Positions that are computed, or under way.
    pub fn computed(&self, id: SequenceId) -> Result<u32> {
        Ok(self.get(id)?.computed)
    }

    /// The position whose id the device has chosen, where that is the next one.
    pub fn chosen(&self, id: SequenceId) -> Result<Option<u32>> {
        Ok(self.get(id)?.chosen)
    }

    /// Notes that positions before `computed` are under way, and that the device chooses the id that follows, if it does.
    pub fn note(&mut self, id: SequenceId, computed: u32, is_chosen: bool) -> Result<()> {
        let sequence = self.get_mut(id)?;
        sequence.computed = computed;
        sequence.chosen = is_chosen.then_some(computed);
        Ok(())
    }

    /// Forgets what a sequence holds from position `len` on.
    pub fn truncate(&mut self, id: SequenceId, len: u32) -> Result<()> {
        let sequence = self.get_mut(id)?;
        if len < sequence.computed {
            sequence.computed = len;
            sequence.chosen = None;
        }
        let kept = (len as usize).min(sequence.rows.len());
        let dropped = sequence.rows.split_off(kept);
        self.release(&dropped);
        Ok(())
    }

    /// Ends a sequence; one that is gone already is no mistake.
    pub fn free(&mut self, id: SequenceId) {
        if let Ok(sequence) = self.get_mut(id) {
            let dropped = std::mem::take(&mut sequence.rows);
            sequence.is_live = false;
            self.release(&dropped);
        }
    }

    /// Forgets what all sequences hold, but not that they are there.
    pub fn forget_all(&mut self) {
        for slot in 0..self.sequences.len() {
            let sequence = &mut self.sequences[slot];
            sequence.computed = 0;
            sequence.chosen = None;
            let dropped = std::mem::take(&mut sequence.rows);
            self.release(&dropped);
        }
    }

    /// A sequence that begins with the first `len` positions of another, and shares its rows.
    pub fn fork(&mut self, id: SequenceId, len: u32) -> Result<SequenceId> {
        let parent = self.get(id)?;
        let len = len.min(parent.computed);
        let shared = parent.rows[..len as usize].to_vec();
        for row in &shared {
            self.users[*row as usize] += 1;
        }
        let fork = self.create();
        let sequence = &mut self.sequences[fork.slot as usize];
        sequence.rows = shared;
        sequence.computed = len;
        Ok(fork)
    }

    /// Rows that [`Rows::extend`] would take.
    pub fn missing(&self, id: SequenceId, len: u32) -> Result<usize> {
        Ok((len as usize).saturating_sub(self.get(id)?.rows.len()))
    }

    /// Gives a sequence rows of its own for the positions from its last to `len`. Returns the first of them; `None` where there are too
    /// few rows, and then nothing has changed.
    pub fn extend(&mut self, id: SequenceId, len: u32) -> Result<Option<u32>> {
        let missing = self.missing(id, len)?;
        let first = self.get(id)?.rows.len() as u32;
        if missing > self.free_rows {
            return Ok(None);
        }
        let mut left = missing as u32;
        let mut taken = Vec::with_capacity(missing);
        // Behind the last row where that is free, so that a sequence lies in few spans; else in the first span that is large enough.
        let behind = self.get(id)?.rows.last().map(|row| row + 1);
        while left > 0 {
            let next = behind.filter(|row| taken.is_empty() && self.free.contains_key(row));
            let fits = || self.free.iter().find(|(_, len)| **len >= left);
            let largest = || self.free.iter().max_by_key(|(_, len)| **len);
            let found = next.or_else(|| fits().or_else(largest).map(|(start, _)| *start));
            let Some(start) = found else {
                break;
            };
            let length = self.free.remove(&start).unwrap_or(0);
            let used = length.min(left);
            if length > used {
                self.free.insert(start + used, length - used);
            }
            taken.extend(start..start + used);
            left -= used;
        }
        self.free_rows -= taken.len();
        for row in &taken {
            self.users[*row as usize] = 1;
        }
        self.sequences[id.slot as usize].rows.extend(taken);
        Ok(Some(first))
    }

    fn release(&mut self, rows: &[u32]) {
        for row in rows {
            let users = &mut self.users[*row as usize];
            *users -= 1;
            if *users == 0 {
                self.give_back(*row, 1);
            }
        }
    }

    /// Joins a span with its neighbours.
    fn give_back(&mut self, start: u32, len: u32) {
        self.free_rows += len as usize;
        let (mut start, mut len) = (start, len);
        if let Some(behind) = self.free.remove(&(start + len)) {
            len += behind;
        }
        let before = self.free.range(..start).next_back();
        if let Some((first, before_len)) = before.map(|(first, len)| (*first, *len))
            && first + before_len == start
        {
            start = first;
            len += before_len;
        }
        self.free.insert(start, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shared_by_forks_and_come_back() {
        let mut rows = Rows::new(11);
        assert_eq!(rows.free_rows(), 10);
        let a = rows.create();
        assert_eq!(rows.extend(a, 4).unwrap(), Some(0));
        assert_eq!(rows.of(a).unwrap(), [1, 2, 3, 4]);
        rows.note(a, 4, true).unwrap();
        assert_eq!(rows.chosen(a).unwrap(), Some(4));
        let b = rows.fork(a, 3).unwrap();
        assert_eq!(rows.of(b).unwrap(), [1, 2, 3]);
        assert_eq!(rows.computed(b).unwrap(), 3);
        assert_eq!(rows.free_rows(), 6);
        // What a fork writes is its own.
        rows.extend(b, 5).unwrap();
        assert_eq!(rows.of(b).unwrap(), [1, 2, 3, 5, 6]);
        // Too many: nothing changes.
        assert_eq!(rows.extend(a, 20).unwrap(), None);
        assert_eq!(rows.of(a).unwrap().len(), 4);
        rows.free(a);
        assert!(rows.of(a).is_err());
        assert_eq!(rows.free_rows(), 5);
        // A slot is used again, an id is not.
        let c = rows.create();
        assert_eq!(c.slot, a.slot);
        assert!(rows.of(a).is_err() && rows.of(c).unwrap().is_empty());
        rows.extend(c, 5).unwrap();
        assert_eq!(rows.free_rows(), 0);
        rows.truncate(b, 1).unwrap();
        rows.truncate(c, 0).unwrap();
        assert_eq!(rows.free_rows(), 9);
        rows.free(b);
        assert_eq!(rows.free, BTreeMap::from([(1, 10)]));
        rows.grow(21);
        assert_eq!(rows.free, BTreeMap::from([(1, 20)]));
    }

    #[test]
    fn whatever_else_happens_ends_a_run_of_chosen_ids() {
        let mut rows = Rows::new(9);
        let a = rows.create();
        rows.extend(a, 3).unwrap();
        rows.note(a, 2, true).unwrap();
        rows.note(a, 3, false).unwrap();
        assert_eq!(rows.chosen(a).unwrap(), None);
        rows.note(a, 3, true).unwrap();
        rows.truncate(a, 2).unwrap();
        assert_eq!(rows.chosen(a).unwrap(), None);
        rows.forget_all();
        assert_eq!((rows.computed(a).unwrap(), rows.free_rows()), (0, 8));
    }
}
