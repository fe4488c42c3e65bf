//! Results as a person reads them: a row for each task and metric, then the card's tables.

use std::fmt::Write;

use openelm::eval::{CardRow, Column, Mean, Metric, Report, Selection, Table, card_row};

/// What stands behind the metric that the card prints.
const MARK: &str = "*";

/// The model, as the person named it.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    pub name: &'a str,
    /// Whether adapters have made another one of it.
    pub is_changed: bool,
}

pub fn text(report: &Report, selection: &Selection, model: Named<'_>, notes: &[String]) -> String {
    let mut text = tasks(report, selection);
    let mut is_apples = false;
    for table in &selection.tables {
        let card = card_row(*table, model.name);
        is_apples |= card.is_some();
        text += "\n";
        text += &of_card(*table, report, selection, model, card);
    }
    let mut notes = notes.to_vec();
    if is_apples && !model.is_changed {
        notes.push(expectation(model.name).to_owned());
    }
    if !notes.is_empty() {
        text += "\n";
    }
    for note in notes {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "note: {note}");
    }
    text
}

/// How near the card's numbers the same model should come.
fn expectation(model: &str) -> &'static str {
    match model.contains("-Instruct") {
        true => {
            "Apple's Instruct models were evaluated in bfloat16, sums included, where some 3 % of all choices tie: expect the card's numbers to \
             about half a point"
        }
        false => {
            "Apple's base models were evaluated in f32: expect the card's numbers to about two items of each task with f32 weights, keys and \
             values, and to a few more with others"
        }
    }
}

/// The metric that the card prints of a task; MMLU's subjects have that of all.
fn of_task(task: &str) -> Option<Metric> {
    let name = if task.starts_with("mmlu") {
        "mmlu"
    } else {
        task
    };
    let mut columns = Table::ALL.iter().flat_map(|table| table.columns());
    columns
        .find(|column| column.task == name)
        .map(|column| column.metric)
}

fn tasks(report: &Report, selection: &Selection) -> String {
    let mut rows = vec![["task", "shots", "items", "metric", "value", "stderr"].map(str::to_owned)];
    for group in &report.groups {
        add(
            &mut rows,
            &group.group,
            (group.num_fewshot, group.mean.count),
            &[group.mean],
        );
    }
    for (task, of_task) in report.tasks.iter().zip(&selection.tasks) {
        add(
            &mut rows,
            of_task.name(),
            (task.num_fewshot, task.count),
            &task.means,
        );
    }
    let mut text = aligned(&rows, &[0, 3]);
    if rows.iter().any(|row| row[3].ends_with(MARK)) {
        text += "* what the model card prints\n";
    }
    text
}

/// A row for each metric; the first has the name.
fn add(
    rows: &mut Vec<[String; 6]>,
    name: &str,
    (num_fewshot, count): (usize, usize),
    means: &[Mean],
) {
    let card = of_task(name);
    for (index, mean) in means.iter().enumerate() {
        let is_first = index == 0;
        let once = |text: String| if is_first { text } else { String::new() };
        let mark = if card == Some(mean.metric) { MARK } else { "" };
        let shown = |value: f64| match mean.metric {
            // In nats.
            Metric::LikelihoodDiff => format!("{value:.3}"),
            _ => percent(value),
        };
        rows.push([
            once(name.to_owned()),
            once(num_fewshot.to_string()),
            once(count.to_string()),
            format!("{}{mark}", mean.metric.name()),
            shown(mean.value),
            mean.stderr.map_or_else(|| "N/A".to_owned(), shown),
        ]);
    }
}

/// A table as the card has it: the model's row, the card's, and how far apart they are.
fn of_card(
    table: Table,
    report: &Report,
    selection: &Selection,
    model: Named<'_>,
    card: Option<CardRow>,
) -> String {
    let columns = table.columns();
    let found: Vec<Option<f64>> = columns
        .iter()
        .map(|column: &Column| Some(report.of_column(selection, column)?.value))
        .collect();
    let average = found
        .iter()
        .copied()
        .sum::<Option<f64>>()
        .map(|sum| sum / found.len() as f64);
    let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), percent);
    let titles = columns.iter().map(|column| column.title.to_owned());
    let mut rows = vec![row(table.title(), titles, "Average".to_owned())];
    let name = match model.is_changed {
        true => format!("{} + LoRA", model.name),
        false => model.name.to_owned(),
    };
    rows.push(row(&name, found.iter().copied().map(shown), shown(average)));
    if let Some(card) = card {
        let printed = card.values.iter().map(|value| format!("{value:.2}"));
        rows.push(row("model card", printed, format!("{:.2}", card.average)));
        let apart = |found: Option<f64>, card: f64| {
            found.map_or_else(
                || "-".to_owned(),
                |found| format!("{:+.2}", 100.0 * found - card),
            )
        };
        let pairs = found.iter().zip(card.values);
        rows.push(row(
            "difference",
            pairs.map(|(found, card)| apart(*found, *card)),
            apart(average, card.average),
        ));
    }
    aligned(&rows, &[0])
}

fn row(name: &str, values: impl Iterator<Item = String>, average: String) -> Vec<String> {
    let mut row = vec![name.to_owned()];
    row.extend(values);
    row.push(average);
    row
}

fn percent(value: f64) -> String {
    format!("{:.2}", 100.0 * value)
}

/// Columns as wide as their widest text, two spaces apart; those of `left` begin at the left.
fn aligned(rows: &[impl AsRef<[String]>], left: &[usize]) -> String {
    let width = |column: usize| {
        let texts = rows.iter().filter_map(|row| row.as_ref().get(column));
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let mut all = String::new();
    for row in rows {
        let cells = row.as_ref().iter().enumerate().map(|(column, text)| {
            let width = width(column);
            match left.contains(&column) {
                true => format!("{text:<width$}"),
                false => format!("{text:>width$}"),
            }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        all += line.trim_end();
        all += "\n";
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["a", "1"], ["long", "10.5"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows, &[0]), "a        1\nlong  10.5\n");
    }

    #[test]
    fn what_the_card_prints_is_known_of_every_task() {
        assert_eq!(of_task("arc_easy"), Some(Metric::AccNorm));
        assert_eq!(of_task("mmlu_anatomy"), Some(Metric::Acc));
        assert_eq!(of_task("crows_pairs_english"), Some(Metric::PctStereotype));
        assert_eq!(of_task("other"), None);
    }
}
