//! Several texts from one prompt, which is computed once.

use std::time::Instant;

use super::driver::Lane;
use super::generator::{Generator, is_set};
use super::model::check_options;
use super::options::{Finish, GenerateOptions, Timing, Token};
use super::session::{Session, begin};
use crate::error::Result;
use crate::model::Sequence;

/// Texts that are written at the same time; more of them wait.
const AT_ONCE: usize = 16;

/// One of several texts.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Text {
    pub ids: Vec<u32>,
    /// Empty without a tokenizer.
    pub text: String,
    /// For each id its natural log-probability, as [`Token::logprob`].
    pub logprobs: Vec<f32>,
    pub finish: Option<Finish>,
    pub timing: Timing,
    /// Of its random numbers: alone, with this seed, it comes out the same.
    pub seed: u64,
}

/// A text on its way.
struct Branch {
    sequence: Sequence,
    generator: Generator,
    text: Text,
}

impl Session {
    /// `count` texts that continue `ids`, which are computed once and whose keys and values the texts share; their tokens share steps. The
    /// seed of each is one more than that of the text before, the first has that of `options`. Calls `on_token` with the number of the text,
    /// from 0, and its next token; where that returns false, all end.
    ///
    /// # Errors
    /// As [`Session::generate`] and its iterator.
    pub fn generate_several(
        &mut self,
        ids: &[u32],
        options: &GenerateOptions,
        count: usize,
        mut on_token: impl FnMut(usize, &Token) -> bool,
    ) -> Result<Vec<Text>> {
        let model = self.model().clone();
        check_options(options, model.config(), model.generation_config())?;
        self.check_ids(ids)?;
        let mut options = options.clone();
        let begun = Instant::now();
        let mut computed = 0;
        if let Some((_, before)) = ids.split_last()
            && !before.is_empty()
        {
            let is_late = || options.max_time.is_some_and(|most| begun.elapsed() > most);
            let go_on = |_, _| !is_late() && !is_set(&options.cancel);
            computed = self.prefill(before, go_on)?;
        }
        let prefill = begun.elapsed();
        options.max_time = options.max_time.map(|most| most.saturating_sub(prefill));
        self.forget_steps();
        let mut texts = Vec::new();
        let mut is_wanted = true;
        for first in (0..count).step_by(AT_ONCE) {
            let mut branches = Vec::new();
            let seed = options.sampling.seed;
            for index in first..count.min(first + AT_ONCE) {
                let mut options = options.clone();
                options.sampling.seed = seed.wrapping_add(index as u64);
                let mut sequence = self.sequence().fork(usize::MAX)?;
                branches.push(Branch {
                    generator: begin(&model, &mut sequence, ids, &options)?,
                    sequence,
                    text: Text {
                        ids: Vec::new(),
                        text: String::new(),
                        logprobs: Vec::new(),
                        finish: None,
                        timing: Timing::default(),
                        seed: options.sampling.seed,
                    },
                });
            }
            while branches
                .iter()
                .any(|branch| branch.generator.finish().is_none())
            {
                self.step(&mut branches)?;
                for (index, branch) in (first..).zip(&mut branches) {
                    is_wanted &= branch.take_tokens(|token| on_token(index, token))?;
                }
                if !is_wanted || is_set(&options.cancel) {
                    branches
                        .iter_mut()
                        .for_each(|branch| branch.generator.end(Finish::Cancelled));
                }
            }
            self.forget_steps();
            texts.extend(branches.into_iter().map(Branch::into_text));
        }
        if let Some(first) = texts.first_mut() {
            first.timing.prefill_tokens += computed;
            first.timing.prefill += prefill;
            first.timing.first_token += prefill;
        }
        Ok(texts)
    }

    /// Computes a step of all branches.
    fn step(&mut self, branches: &mut [Branch]) -> Result<()> {
        let lanes = (0..).zip(branches.iter_mut());
        let mut lanes: Vec<Lane<'_>> = lanes
            .map(|(key, branch)| Lane {
                key,
                sequence: &mut branch.sequence,
                generator: &mut branch.generator,
            })
            .collect();
        let failed = self.tick(&mut lanes)?.pop();
        failed.map_or(Ok(()), |(_, error)| Err(error))
    }
}

impl Branch {
    /// Takes what has come; returns whether more is wanted.
    fn take_tokens(&mut self, mut on_token: impl FnMut(&Token) -> bool) -> Result<bool> {
        let mut is_wanted = true;
        while let Some(token) = self.generator.token()? {
            self.text.text += &token.text;
            self.text.logprobs.push(token.logprob);
            is_wanted &= on_token(&token);
        }
        Ok(is_wanted)
    }

    fn into_text(self) -> Text {
        Text {
            ids: self.generator.generated().to_vec(),
            finish: self.generator.finish(),
            timing: self.generator.timing(),
            ..self.text
        }
    }
}
