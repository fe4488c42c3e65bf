//! Conversations, and settings.

mod files;
mod list;
mod row;
mod rows;
mod sampling;
mod settings;

use egui::{Align, Layout, ScrollArea};

use self::list::List;
use self::sampling::SamplingView;
use super::action::Action;
use super::state::State;
use super::template::TemplateEditor;
use super::theme::GRID;
use super::widgets::segments;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Tab {
    #[default]
    Conversations,
    Settings,
}

/// What only the sidebar needs: nothing else reads it.
#[derive(Default)]
pub struct Sidebar {
    tab: Tab,
    list: List,
    template: TemplateEditor,
    sampling: SamplingView,
}

impl Sidebar {
    pub fn show(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        ui.horizontal(|ui| {
            let tabs = [(Tab::Conversations, "History"), (Tab::Settings, "Settings")];
            self.tab = segments(ui, self.tab, &tabs).unwrap_or(self.tab);
            if self.tab == Tab::Conversations {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    files::menu(ui, actions);
                });
            }
        });
        ui.add_space(GRID);
        match self.tab {
            Tab::Conversations => self.list.show(ui, state, actions),
            Tab::Settings => {
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                    let (template, sampling) = (&mut self.template, &mut self.sampling);
                    settings::show(ui, state, template, sampling, actions);
                });
            }
        }
    }
}
