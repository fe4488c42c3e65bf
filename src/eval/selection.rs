//! What is to be asked: tables of the card and tasks, each of which is asked once however often it is named.

use super::table::Table;
use super::task::{Settings, Task};
use crate::error::Result;

/// A name with a number of examples, as a table or a person asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// As [`Task::open`] takes it.
    pub name: String,
    pub num_fewshot: Option<usize>,
    /// Its tasks, as indices of [`Selection::tasks`].
    pub tasks: Vec<usize>,
}

/// Everything that is to be asked.
#[derive(Debug, Default)]
pub struct Selection {
    pub tables: Vec<Table>,
    pub runs: Vec<Run>,
    pub tasks: Vec<Task>,
}

impl Selection {
    /// Opens what the names say: tables ([`Table::named`]), whose columns have numbers of examples of their own, and tasks, for which
    /// `settings` have it.
    ///
    /// # Errors
    /// As [`Task::open`].
    pub fn open(names: &[String], settings: &Settings) -> Result<Self> {
        let mut selection = Self::default();
        for name in names {
            match Table::named(name) {
                Some(table) if selection.tables.contains(&table) => {}
                Some(table) => {
                    selection.tables.push(table);
                    for column in table.columns() {
                        selection.add(column.task, Some(column.num_fewshot), settings)?;
                    }
                }
                None => selection.add(name, settings.num_fewshot, settings)?,
            }
        }
        Ok(selection)
    }

    fn add(&mut self, name: &str, num_fewshot: Option<usize>, settings: &Settings) -> Result<()> {
        if self.run(name, num_fewshot).is_some() {
            return Ok(());
        }
        let settings = Settings {
            num_fewshot,
            ..settings.clone()
        };
        let mut tasks = Vec::new();
        for task in Task::open(name, &settings)? {
            let same = |known: &Task| {
                (known.name(), known.num_fewshot()) == (task.name(), task.num_fewshot())
            };
            let known = self.tasks.iter().position(same);
            if let Some(known) = known.and_then(|index| self.tasks.get_mut(index)) {
                known.is_of_whole |= task.is_of_whole;
            }
            tasks.push(match known {
                Some(index) => index,
                None => {
                    self.tasks.push(task);
                    self.tasks.len() - 1
                }
            });
        }
        self.runs.push(Run {
            name: name.to_owned(),
            num_fewshot,
            tasks,
        });
        Ok(())
    }

    /// The run of a name.
    pub fn run(&self, name: &str, num_fewshot: Option<usize>) -> Option<&Run> {
        let asked = |run: &&Run| run.name == name && run.num_fewshot == num_fewshot;
        self.runs.iter().find(asked)
    }
}
