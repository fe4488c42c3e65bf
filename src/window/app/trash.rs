//! The trash as it lies on disk: looked at, restored from, and emptied piece by piece.

use std::time::Duration;

use super::App;
use super::changes::{Change, Removed};
use crate::window::action::Overlay;
use crate::window::conversation::turn;
use crate::window::store::Thrown;

/// How soon to look again whether what was deleted has got to the disk.
const SOON: Duration = Duration::from_millis(100);

impl App {
    /// Shows the trash as it is now.
    pub(super) fn open_trash(&mut self) {
        self.state.overlays.insert(Overlay::Trash);
        self.state.trash = None;
        self.is_trash_old = true;
    }

    /// Reads the trash again if it has changed and is in sight. Returns how soon to call it again, if that has to wait.
    pub(super) fn look_into_trash(&mut self) -> Option<Duration> {
        if !self.is_trash_old || !self.state.is_shown(Overlay::Trash) {
            return None;
        }
        if self.saving.is_busy() {
            return Some(SOON);
        }
        self.is_trash_old = false;
        self.reading.trash();
        None
    }

    /// Takes in what lies in the trash.
    pub(super) fn trash_was_read(&mut self, thrown: Vec<Thrown>) {
        if !self.is_trash_old {
            self.state.trash = Some(thrown);
        }
    }

    /// Puts a conversation of the trash back into the list.
    pub(super) fn restore_thrown(&mut self, id: &str) {
        let removed = match self.take_removed(id) {
            Some(removed) => removed,
            None => {
                let thrown = self.state.trash.iter().flatten();
                let mut of_it = thrown.filter(|thrown| thrown.id == id);
                let Some(entry) = of_it.next().and_then(|thrown| thrown.entry.clone()) else {
                    return;
                };
                Removed {
                    entry,
                    conversation: None,
                    edit: None,
                    draft: None,
                    was_shown: false,
                }
            }
        };
        let ids = self.restore(vec![Removed {
            was_shown: false,
            ..removed
        }]);
        self.list_changes();
        self.changes.undo.push((turn(), Change::Remove(ids)));
        self.changes.redo.clear();
        self.forget_thrown(id);
    }

    /// Deletes a conversation of the trash, after which it cannot be had back.
    pub(super) fn delete_for_good(&mut self, id: &str) {
        self.take_removed(id);
        let thrown = self.state.trash.iter().flatten();
        let of_it = thrown.filter(|thrown| thrown.id == id);
        for thrown in of_it {
            self.saving.delete_for_good(thrown.path.clone());
        }
        self.forget_thrown(id);
    }

    fn forget_thrown(&mut self, id: &str) {
        if let Some(thrown) = &mut self.state.trash {
            thrown.retain(|thrown| thrown.id != id);
        }
        self.is_trash_old = true;
    }

    /// What is known of a conversation that was deleted since the window opened; it is in no change after that.
    fn take_removed(&mut self, id: &str) -> Option<Removed> {
        for changes in [&mut self.changes.undo, &mut self.changes.redo] {
            for place in 0..changes.len() {
                let Change::Add(all) = &mut changes[place].1 else {
                    continue;
                };
                if let Some(at) = all.iter().position(|removed| removed.entry.id == id) {
                    let removed = all.remove(at);
                    if all.is_empty() {
                        changes.remove(place);
                    }
                    return Some(removed);
                }
            }
        }
        None
    }
}
