//! How the parts of the window are laid out.

use std::collections::BTreeMap;

use super::action::{Action, Picture};
use super::chat::ChatView;
use super::models::ModelsView;
use super::pace::Pace;
use super::scrolling::Follow;
use super::sidebar::Sidebar;
use super::state::{NarrowView, State};
use super::timings::TimingsView;
use super::trash::TrashView;
use super::zoom::ZoomHint;
use super::{banner, overlays, theme, top};

/// Widths of the window that a size of the panel of timings counts for.
const CLASS: f32 = 320.0;

/// Width that panels leave the chat.
const LEAST_CHAT: f32 = 330.0;

/// What the views keep for themselves from one frame to the next, such as measured heights. What counts elsewhere too is [`State`].
#[derive(Default)]
pub struct Views {
    pub chat: ChatView,
    sidebar: Sidebar,
    models: ModelsView,
    trash: TrashView,
    timings: TimingsView,
    zoom: ZoomHint,
    follow: Follow,
    /// How wide panels are, by name, to be kept for the next start.
    pub panels: BTreeMap<String, u16>,
    /// Where the conversation and the timings were last drawn.
    places: [Option<egui::Rect>; 2],
}

impl Views {
    /// Draws everything, and adds what was asked for to `actions`.
    pub fn show(
        &mut self,
        ui: &mut egui::Ui,
        state: &State,
        pace: &Pace,
        actions: &mut Vec<Action>,
    ) {
        self.follow.begin(ui);
        let bar = egui::Panel::top("top").resizable(false);
        bar.frame(theme::bar(ui)).show(ui, |ui| {
            top::show(ui, state, actions);
            banner::show(ui, &state.banners, actions);
        });
        self.places = [None; 2];
        ui.scope_builder(theme::on_page(ui), |ui| {
            if state.is_narrow {
                self.narrow(ui, state, pace, actions);
            } else {
                self.wide(ui, state, pace, actions);
            }
        });
        self.models.show(ui, state, actions);
        self.trash.show(ui, state, actions);
        overlays::show(ui, state, actions);
        self.zoom.show(ui, state.settings.zoom());
        top::drop_hint(ui);
    }

    fn narrow(&mut self, ui: &mut egui::Ui, state: &State, pace: &Pace, actions: &mut Vec<Action>) {
        let panel = egui::CentralPanel::default().frame(theme::page());
        match state.narrow {
            NarrowView::Chat => self.chat(ui, state, pace, actions),
            NarrowView::Sidebar => {
                panel.show(ui, |ui| self.sidebar.show(ui, state, actions));
            }
            NarrowView::Timings => {
                panel.show(ui, |ui| self.timings(ui, state, actions));
            }
        }
    }

    fn wide(&mut self, ui: &mut egui::Ui, state: &State, pace: &Pace, actions: &mut Vec<Action>) {
        let width = ui.available_width();
        let kept = &state.settings.panels;
        let kept = |panel: &str, or: f32| kept.get(panel).map_or(or, |width| f32::from(*width));
        if state.shows_sidebar() {
            let id = "sidebar";
            egui::Panel::left(id)
                .frame(theme::side(ui))
                .default_size(kept(id, 248.0))
                .size_range(184.0..=width * 0.35)
                .show(ui, |ui| self.sidebar.show(ui, state, actions));
            self.panels
                .insert(id.into(), (width - ui.available_width()).round() as u16);
        }
        if state.shows_timings() {
            // The chat keeps room to write in.
            let most = (ui.available_width() - LEAST_CHAT)
                .min(width * 0.65)
                .max(281.0);
            // A window that was small for a while gets its panel back: each width has its own.
            let id = format!("timings {}", (width / CLASS) as u32);
            let before = ui.available_width();
            egui::Panel::right(id.clone())
                .frame(theme::page())
                .default_size(kept(&id, (width * 0.46).clamp(320.0, 1100.0)))
                .size_range(280.0..=most)
                .show(ui, |ui| self.timings(ui, state, actions));
            self.panels
                .insert(id, (before - ui.available_width()).round() as u16);
        }
        self.chat(ui, state, pace, actions);
    }

    /// Where something was last drawn; `None` if it is not in sight.
    pub fn place(&self, of: Picture, window: egui::Rect) -> Option<egui::Rect> {
        match of {
            Picture::Window => Some(window),
            Picture::Conversation => self.places[0],
            Picture::Timings => self.places[1],
        }
    }

    fn chat(&mut self, ui: &mut egui::Ui, state: &State, pace: &Pace, actions: &mut Vec<Action>) {
        self.places[0] = Some(ui.available_rect_before_wrap());
        self.chat.show(ui, state, pace, actions);
    }

    fn timings(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        // With the margin of the panel around.
        self.places[1] = Some(ui.max_rect().expand(2.0 * theme::GRID));
        let (record, settings) = (&state.timings, &state.settings);
        self.timings.show(ui, record, settings, actions);
    }
}
