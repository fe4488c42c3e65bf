//! The tasks: facts about each, as lm-evaluation-harness and its data sets have them.

use super::like::Like;
use super::metric::Metric;
use super::mmlu;

/// How rows of a task become prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Arc,
    BoolQ,
    CrowsPairs,
    HellaSwag,
    Mmlu,
    Piqa,
    Race,
    SciQ,
    TruthfulQa,
    WinoGrande,
}

/// Where examples come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Examples {
    /// There are none, whatever is asked for.
    None,
    /// The first ones of a split.
    First,
    /// Drawn from another split, as many as asked for.
    Drawn,
    /// Drawn from another split, one more than asked for: in these tasks the split of the items has no name of its own, nor has that of the
    /// examples, and so they count as the same.
    DrawnWithSpare,
    /// Drawn from the items themselves.
    DrawnFromItems,
}

/// A task.
#[derive(Debug)]
pub struct Spec {
    pub name: &'static str,
    pub form: Form,
    pub metrics: &'static [Metric],
    /// As the two versions number it: Apple's, 0.4.13.
    versions: (f64, f64),
    pub examples: Examples,
    /// Between a question and its answer.
    pub delimiter: &'static str,
    /// Items of the published data, which the card's numbers are about.
    pub items: usize,
    /// Rows that examples are drawn from in the published data; 0 where no number is needed.
    pub pool: usize,
    /// Where the data set is published.
    pub repository: &'static str,
    /// What its folder may be called, in small letters.
    pub folders: &'static [&'static str],
    /// Folders of the configuration in it.
    pub configs: &'static [&'static str],
    /// Folders of others, whose files look alike and are no substitute.
    pub other_configs: &'static [&'static str],
    /// What the split of the items may be called.
    pub items_split: &'static [&'static str],
    /// What the split of the examples may be called.
    pub examples_split: &'static [&'static str],
}

const ACC: &[Metric] = &[Metric::Acc];
const BOTH: &[Metric] = &[Metric::Acc, Metric::AccNorm];
/// Those of CrowS-Pairs, without English.
const LANGUAGES: &[&str] = &[
    "arabic",
    "catalan",
    "chinese",
    "french",
    "german",
    "italian",
    "maltese",
    "simplified_chinese",
    "spanish",
];
const TEST: &[&str] = &["test"];
const TRAIN: &[&str] = &["train"];
const VALIDATION: &[&str] = &["validation", "valid", "val", "dev"];

pub static SPECS: &[Spec] = &[
    Spec {
        name: "arc_challenge",
        form: Form::Arc,
        metrics: BOTH,
        versions: (1.0, 1.0),
        examples: Examples::Drawn,
        delimiter: " ",
        items: 1172,
        pool: 1119,
        repository: "allenai/ai2_arc",
        folders: &["arc_challenge", "arc-challenge", "ai2_arc"],
        configs: &["arc-challenge", "arc_challenge"],
        other_configs: &[],
        items_split: TEST,
        examples_split: TRAIN,
    },
    Spec {
        name: "arc_easy",
        form: Form::Arc,
        metrics: BOTH,
        versions: (1.0, 1.0),
        examples: Examples::Drawn,
        delimiter: " ",
        items: 2376,
        pool: 2251,
        repository: "allenai/ai2_arc",
        folders: &["arc_easy", "arc-easy", "ai2_arc"],
        configs: &["arc-easy", "arc_easy"],
        other_configs: &[],
        items_split: TEST,
        examples_split: TRAIN,
    },
    Spec {
        name: "boolq",
        form: Form::BoolQ,
        metrics: ACC,
        versions: (2.0, 2.0),
        examples: Examples::DrawnWithSpare,
        delimiter: " ",
        items: 3270,
        pool: 9427,
        repository: "aps/super_glue",
        folders: &["boolq", "super_glue"],
        configs: &["boolq"],
        other_configs: &[],
        items_split: VALIDATION,
        examples_split: TRAIN,
    },
    Spec {
        name: "hellaswag",
        form: Form::HellaSwag,
        metrics: BOTH,
        versions: (1.0, 1.0),
        examples: Examples::DrawnWithSpare,
        delimiter: " ",
        items: 10042,
        pool: 39905,
        repository: "Rowan/hellaswag",
        folders: &["hellaswag"],
        configs: &[],
        other_configs: &[],
        items_split: VALIDATION,
        examples_split: TRAIN,
    },
    Spec {
        name: "piqa",
        form: Form::Piqa,
        metrics: BOTH,
        versions: (1.0, 1.0),
        examples: Examples::DrawnWithSpare,
        delimiter: " ",
        items: 1838,
        pool: 16113,
        repository: "baber/piqa",
        folders: &["piqa"],
        configs: &[],
        other_configs: &[],
        items_split: VALIDATION,
        examples_split: TRAIN,
    },
    Spec {
        name: "sciq",
        form: Form::SciQ,
        metrics: BOTH,
        versions: (1.0, 1.0),
        examples: Examples::Drawn,
        delimiter: " ",
        items: 1000,
        pool: 11679,
        repository: "allenai/sciq",
        folders: &["sciq"],
        configs: &[],
        other_configs: &[],
        items_split: TEST,
        examples_split: TRAIN,
    },
    Spec {
        name: "winogrande",
        form: Form::WinoGrande,
        metrics: ACC,
        versions: (1.0, 1.0),
        examples: Examples::DrawnWithSpare,
        delimiter: " ",
        items: 1267,
        pool: 40398,
        repository: "allenai/winogrande",
        folders: &["winogrande"],
        configs: &["winogrande_xl"],
        other_configs: &[],
        items_split: VALIDATION,
        examples_split: &["train_xl", "train"],
    },
    Spec {
        name: "mmlu",
        form: Form::Mmlu,
        metrics: ACC,
        versions: (0.0, 1.0),
        examples: Examples::First,
        delimiter: " ",
        items: 14042,
        pool: 285,
        repository: "cais/mmlu",
        folders: &["mmlu", "mmlu_no_train"],
        configs: &[],
        other_configs: &[],
        items_split: TEST,
        examples_split: &["dev"],
    },
    Spec {
        name: "truthfulqa_mc2",
        form: Form::TruthfulQa,
        metrics: ACC,
        versions: (2.0, 3.0),
        examples: Examples::None,
        delimiter: " ",
        items: 817,
        pool: 0,
        repository: "truthfulqa/truthful_qa",
        folders: &["truthfulqa_mc2", "truthfulqa", "truthful_qa"],
        configs: &["multiple_choice"],
        other_configs: &[],
        items_split: VALIDATION,
        examples_split: &[],
    },
    Spec {
        name: "crows_pairs_english",
        form: Form::CrowsPairs,
        metrics: &[Metric::PctStereotype, Metric::LikelihoodDiff],
        versions: (1.0, 1.0),
        examples: Examples::DrawnFromItems,
        delimiter: "",
        items: 1677,
        pool: 1677,
        repository: "jannalu/crows_pairs_multilingual",
        folders: &[
            "crows_pairs_english",
            "crows_pairs_multilingual",
            "crows_pairs",
        ],
        configs: &["english"],
        other_configs: LANGUAGES,
        items_split: TEST,
        examples_split: &[],
    },
    Spec {
        name: "race",
        form: Form::Race,
        metrics: ACC,
        versions: (2.0, 3.0),
        examples: Examples::DrawnFromItems,
        delimiter: " ",
        items: 1045,
        pool: 1045,
        repository: "EleutherAI/race",
        folders: &["race"],
        configs: &["high"],
        other_configs: &["middle"],
        items_split: TEST,
        examples_split: &[],
    },
];

impl Spec {
    /// The task of a name, with its subject if it is one of MMLU's.
    pub fn named(name: &str) -> Option<(&'static Self, Option<&str>)> {
        let (name, subject) = match name.strip_prefix(mmlu::PREFIX) {
            Some(subject) if !subject.is_empty() => ("mmlu", Some(subject)),
            _ => (name, None),
        };
        let spec = SPECS.iter().find(|spec| spec.name == name)?;
        Some((spec, subject))
    }

    pub fn version(&self, like: Like) -> f64 {
        match like {
            Like::Apple => self.versions.0,
            Like::V0_4_13 => self.versions.1,
        }
    }
}
