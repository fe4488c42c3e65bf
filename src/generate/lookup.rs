//! Prompt lookup: text that repeats itself is its own draft.

/// Proposes the tokens that followed the first place where the text's end occurred before, as Hugging Face's
/// `PromptLookupCandidateGenerator` does (transformers 4.44).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptLookup {
    /// The most tokens to propose.
    pub tokens: usize,
    /// The longest end of the text to look for.
    pub max_ngram: usize,
}

impl Default for PromptLookup {
    /// Ten tokens behind the last two, as the script on Apple's model cards is called with.
    fn default() -> Self {
        Self {
            tokens: 10,
            max_ngram: 2,
        }
    }
}

impl PromptLookup {
    /// What may follow `ids`: the longest n-gram at their end decides, its leftmost occurrence with something behind it first. It ends
    /// before the first of `eos`. Empty where the end of the text is new.
    pub fn propose<'a>(self, ids: &'a [u32], eos: &[u32]) -> &'a [u32] {
        let longest = self.max_ngram.min(ids.len().saturating_sub(1));
        let matches = |n: &usize| {
            let end = &ids[ids.len() - n..];
            // The end itself is the last window, and has nothing behind it.
            let mut windows = ids[..ids.len() - 1].windows(*n);
            windows.position(|window| window == end)
        };
        let found = (1..=longest).rev().find_map(|n| Some(matches(&n)? + n));
        let Some(start) = found else {
            return &[];
        };
        let proposed = &ids[start..ids.len().min(start.saturating_add(self.tokens))];
        let end = proposed.iter().position(|id| eos.contains(id));
        &proposed[..end.unwrap_or(proposed.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn propose(tokens: usize, max_ngram: usize, ids: &[u32], eos: &[u32]) -> Vec<u32> {
        PromptLookup { tokens, max_ngram }
            .propose(ids, eos)
            .to_vec()
    }

    #[test]
    fn the_longest_end_decides_and_its_first_occurrence_counts() {
        let ids = [1, 2, 3, 4, 9, 3, 5, 2, 3, 6, 2, 3];
        assert_eq!(propose(3, 2, &ids, &[]), [4, 9, 3]);
        assert_eq!(propose(usize::MAX, 2, &ids, &[]), ids[3..]);
        assert_eq!(propose(3, 1, &ids, &[]), [4, 9, 3]);
        assert_eq!(propose(3, 3, &ids, &[]), [4, 9, 3]);
        assert_eq!(
            propose(3, 3, &[7, 2, 3, 8, 6, 2, 3, 6, 2, 3], &[]),
            [6, 2, 3]
        );
        // An occurrence may reach into the end, and what follows it ends with the text.
        assert_eq!(propose(9, 2, &[5, 5, 5, 5], &[]), [5, 5]);
    }

    #[test]
    fn nothing_is_proposed_where_nothing_repeats_or_the_text_would_end() {
        assert!(propose(3, 2, &[1, 2, 3], &[]).is_empty());
        assert!(propose(3, 2, &[1], &[]).is_empty());
        assert!(propose(3, 2, &[], &[]).is_empty());
        assert!(propose(0, 2, &[1, 1], &[]).is_empty());
        assert_eq!(propose(3, 2, &[4, 5, 6, 4], &[6]), [5]);
        assert!(propose(3, 2, &[4, 5, 6, 4], &[5]).is_empty());
    }
}
