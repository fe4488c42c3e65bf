//! The three tables of the model card: what is asked in which column.

use super::metric::Metric;

/// A table of the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    ZeroShot,
    Llm360,
    OpenLlm,
}

/// A column: one run of one task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Column {
    /// As the card heads it.
    pub title: &'static str,
    /// For `Task::open`; `mmlu` is 57 tasks and one number, that of its group.
    pub task: &'static str,
    pub num_fewshot: usize,
    /// What the card prints, times 100.
    pub metric: Metric,
}

const fn column(
    title: &'static str,
    task: &'static str,
    num_fewshot: usize,
    metric: Metric,
) -> Column {
    Column {
        title,
        task,
        num_fewshot,
        metric,
    }
}

const ZERO_SHOT: &[Column] = &[
    column("ARC-c", "arc_challenge", 0, Metric::AccNorm),
    column("ARC-e", "arc_easy", 0, Metric::AccNorm),
    column("BoolQ", "boolq", 0, Metric::Acc),
    column("HellaSwag", "hellaswag", 0, Metric::AccNorm),
    column("PIQA", "piqa", 0, Metric::AccNorm),
    column("SciQ", "sciq", 0, Metric::Acc),
    column("WinoGrande", "winogrande", 0, Metric::Acc),
];

const LLM360: &[Column] = &[
    column("ARC-c", "arc_challenge", 25, Metric::AccNorm),
    column("HellaSwag", "hellaswag", 10, Metric::AccNorm),
    column("MMLU", "mmlu", 5, Metric::Acc),
    column("TruthfulQA", "truthfulqa_mc2", 0, Metric::Acc),
    column("WinoGrande", "winogrande", 5, Metric::Acc),
];

const OPEN_LLM: &[Column] = &[
    column("ARC-c", "arc_challenge", 25, Metric::AccNorm),
    column(
        "CrowS-Pairs",
        "crows_pairs_english",
        25,
        Metric::PctStereotype,
    ),
    column("HellaSwag", "hellaswag", 10, Metric::AccNorm),
    column("MMLU", "mmlu", 5, Metric::Acc),
    column("PIQA", "piqa", 0, Metric::AccNorm),
    column("RACE", "race", 0, Metric::Acc),
    column("TruthfulQA", "truthfulqa_mc2", 0, Metric::Acc),
    column("WinoGrande", "winogrande", 5, Metric::Acc),
];

impl Table {
    pub const ALL: &[Self] = &[Self::ZeroShot, Self::Llm360, Self::OpenLlm];

    /// The table of a name, as [`Table::name`] gives it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|table| table.name() == name)
    }

    /// `zero-shot`, `llm360`, `openllm`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeroShot => "zero-shot",
            Self::Llm360 => "llm360",
            Self::OpenLlm => "openllm",
        }
    }

    /// As the card heads it.
    pub fn title(self) -> &'static str {
        match self {
            Self::ZeroShot => "Zero-Shot",
            Self::Llm360 => "LLM360",
            Self::OpenLlm => "OpenLLM Leaderboard",
        }
    }

    /// In the card's order. The average behind them is the plain mean of unrounded values, of CrowS-Pairs too, where less is better.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::ZeroShot => ZERO_SHOT,
            Self::Llm360 => LLM360,
            Self::OpenLlm => OPEN_LLM,
        }
    }
}
