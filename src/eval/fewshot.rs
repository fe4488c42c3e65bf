//! Examples for each item: drawn by one generator that goes on from item to item, so an item's examples depend on its place.

use super::data::Identity;
use super::document::Example;
use super::python::Random;
use super::spec::Examples;

/// What lm-evaluation-harness seeds its generator with.
const SEED: u32 = 1234;

/// Examples of an item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawn {
    /// In the pool, as drawn.
    pub indices: Vec<u32>,
    /// Which of them are equal to the item itself, by their places in `indices`.
    own: Vec<usize>,
}

impl Drawn {
    /// Those that are shown: not the item itself, and at most `count`.
    pub fn kept(&self, count: usize) -> impl Iterator<Item = u32> {
        let others = self
            .indices
            .iter()
            .enumerate()
            .filter(|(place, _)| !self.own.contains(place));
        others.map(|(_, index)| *index).take(count)
    }
}

/// How many are drawn where `asked` are to be shown.
fn count(examples: Examples, asked: usize) -> usize {
    match examples {
        Examples::None => 0,
        _ if asked == 0 => 0,
        Examples::First | Examples::Drawn | Examples::DrawnFromItems => asked,
        Examples::DrawnWithSpare => asked + 1,
    }
}

/// Draws for all items, in their order. If the pool is too small: how many are needed.
pub fn draw(
    examples: Examples,
    asked: usize,
    pool: &[Example],
    items: &[Identity],
) -> Result<Vec<Drawn>, usize> {
    let count = count(examples, asked);
    let population = u32::try_from(pool.len()).unwrap_or(u32::MAX);
    let mut random = Random::new(SEED);
    let mut drawn = Vec::with_capacity(items.len());
    for identity in items {
        let indices = match examples {
            _ if count == 0 => Some(Vec::new()),
            Examples::First => (count <= pool.len()).then(|| (0..population).take(count).collect()),
            _ => random.sample(population, count),
        };
        let indices: Vec<u32> = indices.ok_or(count)?;
        let is_own = |index: &u32| {
            pool.get(*index as usize)
                .is_some_and(|example| example.identity == *identity)
        };
        let own = indices
            .iter()
            .enumerate()
            .filter(|(_, index)| is_own(index));
        drawn.push(Drawn {
            own: own.map(|(place, _)| place).collect(),
            indices,
        });
    }
    Ok(drawn)
}
