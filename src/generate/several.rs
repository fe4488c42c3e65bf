//! Several texts from one prompt, which is computed once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use web_time::Instant;

use super::generator::is_set;
use super::options::{GenerateOptions, Token};
use super::pool::{PoolEvent, Text, TextPool};
use super::session::Session;
use crate::error::Result;

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
        on_token: impl FnMut(usize, &Token) -> bool,
    ) -> Result<Vec<Text>> {
        let model = self.model().clone();
        model.check_request(ids, options)?;
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
        let prompt = self.sequence().fork(usize::MAX)?;
        let driver = std::mem::take(self.driver());
        let mut pool = model.text_pool();
        pool.resume(driver, prompt)?;
        let written = write(&mut pool, ids, &options, count, on_token);
        *self.driver() = pool.into_driver();
        let mut texts = written?;
        if let Some(first) = texts.first_mut() {
            first.timing.prefill_tokens += computed;
            first.timing.prefill += prefill;
            first.timing.first_token += prefill;
        }
        Ok(texts)
    }
}

/// Writes `count` texts in a pool that is empty.
fn write(
    pool: &mut TextPool<usize>,
    ids: &[u32],
    options: &GenerateOptions,
    count: usize,
    mut on_token: impl FnMut(usize, &Token) -> bool,
) -> Result<Vec<Text>> {
    let begun = Instant::now();
    let end = Arc::new(AtomicBool::new(false));
    let mut texts = Vec::new();
    let mut indices = 0..count;
    loop {
        while !pool.is_full()
            && let Some(index) = indices.next()
        {
            let mut options = options.clone();
            options.sampling.seed = options.sampling.seed.wrapping_add(index as u64);
            options.cancel = Some(Arc::clone(&end));
            // All have the same time, those too that others made wait.
            options.max_time = options
                .max_time
                .map(|most| most.saturating_sub(begun.elapsed()));
            pool.push(index, ids.to_vec(), options);
        }
        if pool.is_empty() {
            break;
        }
        let mut is_wanted = true;
        let ended = pool.step(|index, event| {
            if let PoolEvent::Token(token) = event {
                is_wanted &= on_token(*index, &token);
            }
        })?;
        if !is_wanted || is_set(&options.cancel) {
            end.store(true, Ordering::Relaxed);
        }
        for (index, text) in ended {
            texts.push((index, text?));
        }
    }
    texts.sort_by_key(|(index, _)| *index);
    Ok(texts.into_iter().map(|(_, text)| text).collect())
}
