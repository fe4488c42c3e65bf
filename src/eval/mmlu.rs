//! Which of MMLU's subjects belong together.

use super::like::Like;
use super::metric::Mean;

/// All subjects together.
pub const GROUP: &str = "mmlu";

/// What the names of its tasks begin with.
pub(super) const PREFIX: &str = "mmlu_";

/// A category with its subjects, as MMLU's authors sorted them.
type Category = (&'static str, &'static [&'static str]);

const CATEGORIES: &[Category] = &[
    (
        "stem",
        &[
            "abstract_algebra",
            "anatomy",
            "astronomy",
            "college_biology",
            "college_chemistry",
            "college_computer_science",
            "college_mathematics",
            "college_physics",
            "computer_security",
            "conceptual_physics",
            "electrical_engineering",
            "elementary_mathematics",
            "high_school_biology",
            "high_school_chemistry",
            "high_school_computer_science",
            "high_school_mathematics",
            "high_school_physics",
            "high_school_statistics",
            "machine_learning",
        ],
    ),
    (
        "humanities",
        &[
            "formal_logic",
            "high_school_european_history",
            "high_school_us_history",
            "high_school_world_history",
            "international_law",
            "jurisprudence",
            "logical_fallacies",
            "moral_disputes",
            "moral_scenarios",
            "philosophy",
            "prehistory",
            "professional_law",
            "world_religions",
        ],
    ),
    (
        "social_sciences",
        &[
            "econometrics",
            "high_school_geography",
            "high_school_government_and_politics",
            "high_school_macroeconomics",
            "high_school_microeconomics",
            "high_school_psychology",
            "human_sexuality",
            "professional_psychology",
            "public_relations",
            "security_studies",
            "sociology",
            "us_foreign_policy",
        ],
    ),
    (
        "other",
        &[
            "business_ethics",
            "clinical_knowledge",
            "college_medicine",
            "global_facts",
            "human_aging",
            "management",
            "marketing",
            "medical_genetics",
            "miscellaneous",
            "nutrition",
            "professional_accounting",
            "professional_medicine",
            "virology",
        ],
    ),
];

/// Whether a task's name means several subjects: `mmlu`, or one of its categories.
pub(super) fn is_group(name: &str) -> bool {
    let mut categories = CATEGORIES.iter();
    let is_category = |name| categories.any(|(category, _)| *category == name);
    name == GROUP || name.strip_prefix(PREFIX).is_some_and(is_category)
}

/// Whether a task's name means a subject: by the subject itself, or by its category.
pub(super) fn means(name: &str, subject: &str) -> bool {
    let mut categories = CATEGORIES.iter();
    name == subject
        || categories.any(|(category, subjects)| *category == name && subjects.contains(&subject))
}

/// Whether MMLU has the subject.
pub(super) fn is_subject(subject: &str) -> bool {
    CATEGORIES
        .iter()
        .any(|(_, subjects)| subjects.contains(&subject))
}

/// Results of MMLU's tasks, by name, as groups: `mmlu_stem` and three more, and `mmlu` over these four. Groups without a subject are left
/// out, as are tasks that are none of MMLU's.
///
/// Standard errors are pooled in two steps, subjects to categories and these to one, or in one, as `like` does it, which is not the same.
pub fn mmlu_groups(results: &[(&str, Mean)], like: Like) -> Vec<(String, Mean)> {
    let (mut groups, mut of_subjects) = (Vec::new(), Vec::new());
    for (category, subjects) in CATEGORIES {
        let of_category = |name: &str| {
            let subject = name.strip_prefix(PREFIX);
            subject.is_some_and(|subject| subjects.contains(&subject))
        };
        let means: Vec<Mean> = results
            .iter()
            .filter(|(name, _)| of_category(name))
            .map(|(_, mean)| *mean)
            .collect();
        if let Some(mean) = Mean::pooled(&means) {
            groups.push((format!("{PREFIX}{category}"), mean));
        }
        of_subjects.extend(means);
    }
    let means = match like.pools_subjects_at_once() {
        true => of_subjects,
        false => groups.iter().map(|(_, mean)| *mean).collect(),
    };
    if let Some(mean) = Mean::pooled(&means) {
        groups.insert(0, (GROUP.into(), mean));
    }
    groups
}
