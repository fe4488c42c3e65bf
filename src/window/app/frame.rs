//! A frame: what has happened, what is pressed, drawing, and what was asked for while drawing.

use egui::{Key, Modifiers};

use super::App;
use super::drops::dropped;
use super::pictures::{self, Outcome};
use crate::text::Role;
use crate::window::action::{Action, BannerId, Export, Overlay, Picture, PictureTo};
use crate::window::composer;
use crate::window::settings::{Setting, ZOOM};
use crate::window::state::{Banner, State};
use crate::window::theme;
use crate::window::timings::Tab;

/// Below this width there is room for one thing at a time.
const NARROW: f32 = 760.0;

impl eframe::App for App {
    fn logic(&mut self, context: &egui::Context, _: &mut eframe::Frame) {
        self.take_events();
        if let Some(wait) = self.count() {
            context.request_repaint_after(wait);
        }
        if self.search() {
            self.pace.repaint(context);
        }
        if let Some(wait) = self.saving.save(&self.state) {
            context.request_repaint_after(wait);
        }
        if let Some(wait) = self.look_into_trash() {
            context.request_repaint_after(wait);
        }
        if context.input(|input| input.viewport().close_requested()) && !self.may_close() {
            context.send_viewport_cmd(egui::ViewportCommand::CancelClose);
        }
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        theme::cleared(visuals)
    }

    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        self.pace.update(ui.ctx());
        if let Some(seconds) = frame.info().cpu_usage {
            self.state.timings.frame.add_recent(f64::from(seconds));
        }
        self.state.is_narrow = ui.available_width() < NARROW;
        let mut actions = Vec::new();
        // Menus and lists close themselves.
        let has_popup = egui::Popup::is_any_open(ui.ctx());
        shortcuts(ui, &self.state, &mut actions);
        actions.extend(dropped(ui));
        self.views.show(ui, &self.state, &self.pace, &mut actions);
        self.note_sizes(ui);
        // After everything else that Escape could mean.
        if !has_popup && ui.input(|input| input.key_pressed(Key::Escape)) {
            actions.push(Action::Escape);
        }
        if !actions.is_empty() {
            // What was drawn is as it was before them.
            ui.ctx().request_repaint();
        }
        // Before what was asked for in this frame: a menu that it was chosen from is still there.
        let window = ui.ctx().content_rect();
        let place = |of| self.views.place(of, window);
        if let Some(outcome) = self.pictures.ask(ui.ctx(), place) {
            self.take_picture(outcome);
            ui.ctx().request_repaint();
        }
        for action in actions {
            self.act(action);
        }
    }

    fn on_exit(&mut self) {
        self.stop();
        self.pulls.stop();
        self.saving.finish(&mut self.state);
    }
}

impl App {
    /// Notes how large the window and its panels are, for the next start.
    fn note_sizes(&mut self, ui: &egui::Ui) {
        let (is_maximized, is_special) = ui.input(|input| {
            let viewport = input.viewport();
            let is = |what: Option<bool>| what == Some(true);
            let is_special = is(viewport.fullscreen) || is(viewport.minimized);
            (is(viewport.maximized), is_special)
        });
        if is_special {
            return;
        }
        let settings = &mut self.state.settings;
        for (panel, width) in &self.views.panels {
            if settings.panels.get(panel) != Some(width) {
                settings.panels.insert(panel.clone(), *width);
            }
        }
        settings.is_maximized = is_maximized;
        if !is_maximized {
            // As the system counts, which knows nothing of what is made larger here.
            let size = ui.ctx().viewport_rect().size() * ui.ctx().zoom_factor();
            settings.size = Some([size.x.round(), size.y.round()]);
        }
    }

    /// Writes or copies a picture.
    pub(super) fn take_picture(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Taken {
                to: PictureTo::Clipboard,
                image,
                ..
            } => {
                let [width, height] = image.size;
                self.egui.copy_image(image);
                let text = format!("A picture of {width} x {height} pixels.");
                self.state.tell(Banner::note(BannerId::PictureCopied, text));
            }
            Outcome::Taken { of, image, .. } => {
                let name = pictures::file_name(of).to_owned();
                self.dialogs.save(name, move || pictures::png(&image));
            }
            Outcome::Failed(why) => self.state.tell(Banner::problem(BannerId::NoPicture, why)),
        }
    }
}

const DIGITS: [Key; 6] = [
    Key::Num1,
    Key::Num2,
    Key::Num3,
    Key::Num4,
    Key::Num5,
    Key::Num6,
];

fn shortcuts(ui: &egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let pressed = |modifiers, key| ui.input_mut(|input| input.consume_key(modifiers, key));
    let command = Modifiers::COMMAND;
    let conversation = state.conversation();
    if pressed(command, Key::N) {
        actions.push(Action::New(conversation.mode));
    }
    if pressed(command, Key::T) {
        actions.push(Action::ToggleTimings);
    }
    if pressed(command, Key::B) {
        actions.push(Action::ToggleSidebar);
    }
    if pressed(command, Key::O) {
        actions.push(Action::ShowOverlay(Overlay::Models));
    }
    if pressed(command, Key::P) {
        let shows = !state.settings.probabilities;
        actions.push(Action::Set(Setting::Probabilities(shows)));
    }
    if pressed(command | Modifiers::SHIFT, Key::S) {
        actions.push(Action::TakePicture(Picture::Window, PictureTo::File));
    }
    if pressed(command, Key::S) {
        actions.push(Action::Save(Export::ConversationMarkdown));
    }
    if pressed(command, Key::R)
        && let Some(last) = conversation.last()
    {
        if conversation.message(last).role == Role::Assistant {
            actions.push(Action::Regenerate(last));
        } else if state.draft().trim().is_empty() && state.can_generate() {
            actions.push(Action::SendDraft);
        }
    }
    if pressed(command, Key::F) {
        actions.push(Action::OpenFind);
    }
    if state.find.is_some() {
        for (modifiers, is_back) in [(Modifiers::SHIFT, true), (Modifiers::NONE, false)] {
            if pressed(modifiers, Key::F3) {
                actions.push(Action::StepFind { is_back });
            }
        }
    }
    if let Some(last) = conversation.last() {
        if pressed(command | Modifiers::SHIFT, Key::C) {
            actions.push(Action::Copy(last));
        }
        if pressed(command | Modifiers::ALT, Key::C) {
            actions.push(Action::CopyPlain(last));
        }
    }
    zoom(ui, state.settings.zoom(), actions);
    for ((tab, _), digit) in Tab::ALL.into_iter().zip(DIGITS) {
        if pressed(command, digit) {
            actions.push(Action::ShowTab(tab));
        }
    }
    for (answer, digit) in state.offered().into_iter().zip(DIGITS) {
        if pressed(Modifiers::ALT, digit) {
            actions.push(Action::Choose(answer));
            // The key's letter is none of the draft's.
            ui.input_mut(|input| {
                let is_text = |event: &egui::Event| matches!(event, egui::Event::Text(_));
                input.events.retain(|event| !is_text(event));
            });
        }
    }
    if pressed(Modifiers::NONE, Key::F1) {
        actions.push(Action::ShowOverlay(Overlay::Shortcuts));
    }
    let is_asked = ui.input(|input| input.modifiers.command && input.key_pressed(Key::Z));
    let is_writing = || {
        // An empty box has nothing to take back.
        ui.ctx().text_edit_focused() && !composer::leaves_undo(ui.ctx(), state.draft())
    };
    if is_asked && !is_writing() {
        if pressed(command | Modifiers::SHIFT, Key::Z) {
            actions.push(Action::Redo);
        }
        if pressed(command, Key::Z) {
            actions.push(Action::Undo);
        }
    }
}

/// Keys that make everything larger or smaller.
fn zoom(ui: &egui::Ui, now: f32, actions: &mut Vec<Action>) {
    let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::COMMAND, key));
    // On many keyboards + is Shift and =.
    let steps =
        i32::from(pressed(Key::Plus) || pressed(Key::Equals)) - i32::from(pressed(Key::Minus));
    let zoom = match pressed(Key::Num0) {
        true => 1.0,
        false => ((now * 10.0).round() + steps as f32) / 10.0,
    };
    let zoom = zoom.clamp(ZOOM.0, ZOOM.1);
    if zoom != now {
        actions.push(Action::Set(Setting::Zoom(zoom)));
    }
}
