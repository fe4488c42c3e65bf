//! What was said must never become a special token, whatever it spells. A template is a program, and what it makes of a text cannot be
//! followed from outside. So characters that special tokens begin or end with are replaced in what was said, before the template sees it, by
//! stand-ins: characters of private use that nothing else contains. Where a stand-in comes out, something was said.

use std::collections::HashSet;

use super::prompt::ChatPrompt;
use super::turn::Turn;
use crate::error::{Error, Result};

/// How much of what was said is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Hide {
    /// Every character that a special token begins or ends with: then none is made of what was said, however a template cuts it up.
    All,
    /// Only those where what was said spells a special token, or a part of one at its beginning or end. A template that looks for
    /// `<think>`, say, still finds it.
    Spelled,
}

/// Characters of special tokens, each with its stand-in.
pub struct StandIns<'a> {
    specials: &'a [String],
    pairs: Vec<(char, char)>,
}

impl<'a> StandIns<'a> {
    /// Stand-ins that occur in none of `texts`.
    ///
    /// # Errors
    /// [`Error::Text`] if the texts leave none.
    pub fn new<'t>(specials: &'a [String], texts: impl Iterator<Item = &'t str>) -> Result<Self> {
        let is_private =
            |c: &char| matches!(c, '\u{F0000}'..='\u{FFFFD}' | '\u{100000}'..='\u{10FFFD}');
        let taken: HashSet<char> = texts.flat_map(str::chars).filter(is_private).collect();
        let mut characters: Vec<char> = specials
            .iter()
            .flat_map(|special| special.chars())
            .collect();
        characters.sort_unstable();
        characters.dedup();
        let free = ('\u{F0000}'..='\u{10FFFD}').filter(|c| is_private(c) && !taken.contains(c));
        let pairs: Vec<(char, char)> = characters.iter().copied().zip(free).collect();
        match pairs.len() == characters.len() {
            true => Ok(Self { specials, pairs }),
            false => Err(Error::Text(
                "the conversation uses up all characters of private use; some are needed to mark what was said".into(),
            )),
        }
    }

    /// The turns with stand-ins in them.
    pub fn hide(&self, turns: &[Turn], how: Hide) -> Vec<Turn> {
        let hidden = turns
            .iter()
            .map(|turn| Turn::new(turn.role, self.hidden(&turn.text, how)));
        hidden.collect()
    }

    fn hidden(&self, text: &str, how: Hide) -> String {
        let places = self.places(text, how);
        let stand_in = |(at, c): (usize, char)| {
            let mut pairs = self.pairs.iter().filter(|_| places.contains(&at));
            let pair = pairs.find(|(character, _)| *character == c);
            pair.map_or(c, |(_, stand_in)| *stand_in)
        };
        text.char_indices().map(stand_in).collect()
    }

    /// Where characters of a text are to be replaced.
    fn places(&self, text: &str, how: Hide) -> HashSet<usize> {
        let characters = text.char_indices();
        let trimmed = text.trim();
        let mut specials = self.specials.iter();
        if !trimmed.is_empty() && specials.any(|special| special.contains(trimmed)) {
            // The template may have what is missing on both sides.
            return characters.map(|(at, _)| at).collect();
        }
        let is_edge = |c: char| {
            let mut specials = self.specials.iter();
            specials.any(|special| special.starts_with(c) || special.ends_with(c))
        };
        match how {
            Hide::All => characters
                .filter(|(_, c)| is_edge(*c))
                .map(|(at, _)| at)
                .collect(),
            Hide::Spelled => {
                let begun = characters
                    .map(|(at, _)| at)
                    .filter(|at| self.begins(&text[*at..]));
                begun.chain(self.ended(text)).collect()
            }
        }
    }

    /// Whether a text begins with a special token, or is the beginning of one.
    fn begins(&self, text: &str) -> bool {
        self.specials.iter().any(|special| {
            let common = common(text, special);
            common == special.len() || (common > 0 && text[common..].trim_start().is_empty())
        })
    }

    /// Where special tokens end whose beginning is missing before the text.
    fn ended(&self, text: &str) -> impl Iterator<Item = usize> {
        let start = text.trim_start();
        let offset = text.len() - start.len();
        self.specials.iter().flat_map(move |special| {
            let tails = special.char_indices().skip(1).map(|(at, _)| &special[at..]);
            let tails = tails.filter(|tail| start.starts_with(*tail));
            tails.map(move |tail| {
                let last = tail.chars().next_back().map_or(0, char::len_utf8);
                offset + tail.len() - last
            })
        })
    }

    /// A text with what stands behind its stand-ins.
    pub fn reveal(&self, text: &str) -> ChatPrompt {
        let mut prompt = ChatPrompt::default();
        for c in text.chars() {
            let pair = self.pairs.iter().find(|(_, stand_in)| *stand_in == c);
            if pair.is_some() {
                prompt.said.push(prompt.text.len());
            }
            prompt
                .text
                .push(pair.map_or(c, |(character, _)| *character));
        }
        prompt
    }
}

/// How many bytes two texts have in common at their beginning, in whole characters.
fn common(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(c, _)| c.len_utf8()).sum()
}
