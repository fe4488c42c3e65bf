//! What the list of conversations shows, row by row: put together anew only when something has changed.

use super::super::calendar::{Calendar, Period};
use super::super::find::Needle;
use super::super::history::{Entry, History};

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    Heading(String),
    /// Place of a conversation in the history.
    Entry(usize),
}

/// What is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub text: String,
    pub tag: Option<String>,
}

impl Filter {
    fn admits(&self, entry: &Entry, words: &[Needle]) -> bool {
        let has_tag = |tag: &String| entry.tags.contains(tag);
        self.tag.as_ref().is_none_or(has_tag) && words.iter().all(|word| is_in(entry, word))
    }
}

/// Whether a title or a tag has a word in it, however it is written.
fn is_in(entry: &Entry, word: &Needle) -> bool {
    word.is_in(&entry.title) || entry.tags.iter().any(|tag| word.is_in(tag))
}

/// The rows, and what they were made of.
#[derive(Debug, Default)]
pub struct Rows {
    made_of: Option<(u64, i64, Filter)>,
    rows: Vec<Row>,
    tags: Vec<String>,
}

impl Rows {
    pub fn all(&self) -> &[Row] {
        &self.rows
    }

    /// All tags that there are.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Makes them anew if the history, the day or the filter is another one.
    pub fn update(&mut self, history: &History, calendar: &Calendar, filter: &Filter) {
        let made_of = (history.revision(), calendar.day(), filter.clone());
        if self.made_of.as_ref() == Some(&made_of) {
            return;
        }
        self.made_of = Some(made_of);
        self.tags = history.tags();
        self.rows.clear();
        let words: Vec<Needle> = filter
            .text
            .split_whitespace()
            .map(|word| Needle::new(word.trim_start_matches('#')))
            .collect();
        let entries = history.entries().iter().enumerate();
        let admitted = entries.filter(|(_, entry)| filter.admits(entry, &words));
        let (pinned, others): (Vec<_>, Vec<_>) = admitted.partition(|(_, entry)| entry.pinned);
        if !pinned.is_empty() {
            self.rows.push(Row::Heading("Pinned".into()));
            self.rows
                .extend(pinned.iter().map(|(at, _)| Row::Entry(*at)));
        }
        let mut last: Option<Period> = None;
        for (at, entry) in others {
            let period = calendar.period(entry.changed);
            if last != Some(period) {
                last = Some(period);
                self.rows.push(Row::Heading(period.to_string()));
            }
            self.rows.push(Row::Entry(at));
        }
    }

    /// The next row with a conversation, from one on; -1 looks up.
    pub fn next_entry(&self, from: usize, step: isize) -> Option<usize> {
        let mut at = from.checked_add_signed(step)?;
        loop {
            match self.rows.get(at)? {
                Row::Entry(_) => return Some(at),
                Row::Heading(_) => at = at.checked_add_signed(step)?,
            }
        }
    }

    /// The first row with a conversation, or the last.
    pub fn end(&self, is_last: bool) -> Option<usize> {
        let is_entry = |row: &Row| matches!(row, Row::Entry(_));
        match is_last {
            true => self.rows.iter().rposition(is_entry),
            false => self.rows.iter().position(is_entry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::conversation::{Conversation, Mode};
    use super::*;

    fn history(of: &[(&str, i64, bool, &str)]) -> History {
        let entries = of.iter().map(|(title, days, pinned, tag)| {
            let mut conversation = Conversation::new((*title).into(), Mode::Chat, String::new());
            conversation.title = (*title).into();
            conversation.changed -= days * 86_400_000;
            conversation.pinned = *pinned;
            conversation.tags = vec![(*tag).into()];
            Entry::of(&conversation, None)
        });
        let mut history = History::default();
        history.extend(entries.collect());
        history
    }

    fn shown(rows: &Rows, history: &History) -> Vec<String> {
        let shown = rows.all().iter().map(|row| match row {
            Row::Heading(text) => format!("# {text}"),
            Row::Entry(at) => history.entries()[*at].title.clone(),
        });
        shown.collect()
    }

    #[test]
    fn conversations_are_grouped_and_filtered() {
        let history = history(&[
            ("Foxes", 0, false, "animals"),
            ("Old owls", 3, false, "animals"),
            ("Kings", 2000, true, "tales"),
        ]);
        let calendar = Calendar::here();
        let mut rows = Rows::default();
        let mut filter = Filter::default();
        rows.update(&history, &calendar, &filter);
        let all = [
            "# Pinned",
            "Kings",
            "# Today",
            "Foxes",
            "# Previous 7 days",
            "Old owls",
        ];
        assert_eq!(shown(&rows, &history), all);
        assert_eq!(rows.tags(), ["animals", "tales"]);
        assert_eq!(rows.next_entry(1, 1), Some(3));
        assert_eq!(rows.next_entry(3, -1), Some(1));
        assert_eq!(rows.next_entry(1, -1), None);
        assert_eq!((rows.end(false), rows.end(true)), (Some(1), Some(5)));

        filter.text = "OWL old".into();
        rows.update(&history, &calendar, &filter);
        assert_eq!(shown(&rows, &history), ["# Previous 7 days", "Old owls"]);
        filter.text = "#tale".into();
        rows.update(&history, &calendar, &filter);
        assert_eq!(shown(&rows, &history), ["# Pinned", "Kings"]);
        filter.text.clear();
        filter.tag = Some("animals".into());
        rows.update(&history, &calendar, &filter);
        let animals = ["# Today", "Foxes", "# Previous 7 days", "Old owls"];
        assert_eq!(shown(&rows, &history), animals);
    }
}
