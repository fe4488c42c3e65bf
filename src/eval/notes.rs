//! Why results may not be comparable with the card's.

use std::collections::BTreeSet;

use super::encode::Encoder;
use super::like::Like;
use super::mmlu;
use super::selection::Selection;
use super::spec::{Examples, Form, SPECS, Spec};
use super::task::Task;

/// Positions of the models that the card is about, all of which were used.
const CARD_CONTEXT: usize = 2048;

/// What a person should know about these tasks before comparing their results with others': other numbers of items or of rows to take
/// examples from than the published data have, a limit, unknown subjects. A sentence each.
pub fn notes(tasks: &[Task]) -> Vec<String> {
    let mut notes = Vec::new();
    for spec in SPECS {
        let of_spec = || tasks.iter().filter(|task| task.spec.name == spec.name);
        // What several tables ask is the same data with other examples.
        let numbers: BTreeSet<usize> = of_spec().map(Task::num_fewshot).collect();
        for number in numbers {
            let asked_so: Vec<&Task> = of_spec()
                .filter(|task| task.num_fewshot == number)
                .collect();
            for note in of_tasks(spec, number, &asked_so) {
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
    }
    notes
}

/// What else sets tables apart from the card's: another lm-evaluation-harness, another context; and how many prompts were cut, in tables or not.
pub fn notes_of_options(selection: &Selection, encoder: &Encoder, cut: usize) -> Vec<String> {
    let mut notes = Vec::new();
    let has_tables = !selection.tables.is_empty();
    if has_tables && encoder.like != Like::Apple {
        notes.push(format!(
            "asked as lm-evaluation-harness {} asks, and not as the model card's: not comparable with the model card",
            encoder.like.name()
        ));
    }
    let context = encoder.context_size;
    if has_tables && context != CARD_CONTEXT {
        notes.push(format!(
            "the context has {context} tokens, that of the model card {CARD_CONTEXT}: what is longer than the shorter one is not comparable"
        ));
    }
    if cut > 0 {
        let total: usize = selection.tasks.iter().map(Task::len).sum();
        notes.push(format!(
            "{cut} of {total} prompts were cut at their beginning, because the context has {context} tokens"
        ));
    }
    notes
}

/// Notes about a task with one number of examples; of MMLU about all subjects that are asked with it.
fn of_tasks(spec: &Spec, num_fewshot: usize, tasks: &[&Task]) -> Vec<String> {
    let mut notes = Vec::new();
    // How many items some of the subjects should have is not known here.
    let is_whole = spec.form != Form::Mmlu || tasks.iter().any(|task| task.is_of_whole);
    let name = match tasks {
        [task] if !is_whole => task.name(),
        _ => spec.name,
    };
    let sum = |count: fn(&Task) -> usize| tasks.iter().map(|task| count(task)).sum::<usize>();
    let (asked, in_data, pool) = (
        sum(Task::len),
        sum(|task| task.items_in_data),
        sum(|task| task.pool.len()),
    );
    if asked < in_data {
        notes.push(format!(
            "{name}: {asked} of {in_data} items, because of the limit"
        ));
    }
    if is_whole && in_data != spec.items {
        notes.push(format!(
            "{name}: the data have {in_data} items, the published ones {}: not comparable with the model card",
            spec.items
        ));
    }
    let has_pool = num_fewshot > 0 && spec.examples != Examples::DrawnFromItems;
    if is_whole && has_pool && pool != spec.pool {
        notes.push(format!(
            "{name}: examples come from {pool} rows, of the published data from {}: not comparable with the model card",
            spec.pool
        ));
    }
    for task in tasks {
        let subject = task.name().strip_prefix(mmlu::PREFIX);
        if let Some(subject) = subject.filter(|subject| !mmlu::is_subject(subject)) {
            notes.push(format!(
                "{}: MMLU has no subject {subject}, so it is in no group",
                task.name()
            ));
        }
    }
    notes
}
