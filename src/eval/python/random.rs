//! Python's `random.Random`, as far as `sample` needs it.

use rand_mt::Mt;

/// A generator of Python's random numbers.
pub struct Random(Mt);

impl Random {
    /// `random.Random(seed)`.
    pub fn new(seed: u32) -> Self {
        Self(Mt::new_with_key([seed]))
    }

    /// `sample(range(population), count)`: different numbers below `population`, in the order drawn. `None` if there are not so many.
    pub fn sample(&mut self, population: u32, count: usize) -> Option<Vec<u32>> {
        if count > population as usize {
            return None;
        }
        if population as usize <= pool_limit(count) {
            return Some(self.sample_from_pool(population, count));
        }
        let mut drawn = Vec::with_capacity(count);
        while drawn.len() < count {
            let number = self.below(population);
            if !drawn.contains(&number) {
                drawn.push(number);
            }
        }
        Some(drawn)
    }

    /// Takes from a list of all numbers, and moves its last to each gap.
    fn sample_from_pool(&mut self, population: u32, count: usize) -> Vec<u32> {
        let mut pool: Vec<u32> = (0..population).collect();
        let mut drawn = Vec::with_capacity(count);
        for size in (1..=population).rev().take(count) {
            drawn.push(pool.swap_remove(self.below(size) as usize));
        }
        drawn
    }

    /// A number from 0 to `bound` - 1, all equally likely; `bound` is at least 1.
    fn below(&mut self, bound: u32) -> u32 {
        let spare_bits = bound.leading_zeros();
        loop {
            let number = self.0.next_u32() >> spare_bits;
            if number < bound {
                return number;
            }
        }
    }
}

/// The largest population that a sample is taken of by way of a list: where a list takes less memory than a set of what is taken.
fn pool_limit(count: usize) -> usize {
    let mut set = 1;
    while set < count.saturating_mul(3) {
        set = set.saturating_mul(4);
    }
    21 + if count > 5 { set } else { 0 }
}
