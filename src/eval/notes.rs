//! Why results may not be comparable with the card's.

use std::collections::BTreeSet;

use super::mmlu;
use super::spec::{Examples, Form, SPECS, Spec};
use super::task::Task;

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
