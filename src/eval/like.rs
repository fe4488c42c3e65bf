//! Which lm-evaluation-harness is followed.

use crate::error::{Error, Result};

/// A version of lm-evaluation-harness. The two draw the same examples and differ in five things, which are the methods here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Like {
    /// Commit `dc90fec` (2024-03-15), which Apple's card names.
    #[default]
    Apple,
    /// Release 0.4.13.
    V0_4_13,
}

impl Like {
    /// All of them, with the names that [`Like::named`] knows.
    pub const ALL: &[(&str, Self)] = &[("apple", Self::Apple), ("0.4.13", Self::V0_4_13)];

    /// The version of a name.
    ///
    /// # Errors
    /// [`Error::OptionValue`].
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, like)| *like)
            .ok_or_else(|| Error::OptionValue {
                key: "like".into(),
                value: name.into(),
                expected: "it can be `apple` or `0.4.13`".into(),
            })
    }

    /// The name that [`Like::named`] knows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apple => "apple",
            Self::V0_4_13 => "0.4.13",
        }
    }

    /// What separates MMLU's description from what follows. The older one lets a template engine drop the last newline.
    pub(super) fn after_description(self) -> &'static str {
        match self {
            Self::Apple => "\n",
            Self::V0_4_13 => "\n\n",
        }
    }

    /// Whether a question of RACE that ends in a blank loses its words in the prompt, which was a mistake.
    pub(super) fn loses_race_questions(self) -> bool {
        self == Self::Apple
    }

    /// Whether an answer of TruthfulQA is true by its own label. The older one takes all before the first false answer.
    pub(super) fn truth_by_label(self) -> bool {
        self == Self::V0_4_13
    }

    /// Whether an empty context is the begin-of-text token, and not the end-of-text token before it.
    pub(super) fn empty_context_is_bos(self) -> bool {
        self == Self::V0_4_13
    }

    /// Whether MMLU's standard error is pooled over all subjects at once, and not over categories that were pooled over theirs.
    pub(super) fn pools_subjects_at_once(self) -> bool {
        self == Self::V0_4_13
    }
}
