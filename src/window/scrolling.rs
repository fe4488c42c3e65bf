//! Scrolling without a pointer, which egui leaves to the program.

use egui::accesskit::{Action, ActionRequest, TreeId};
use egui::style::ScrollAnimation;
use egui::{Event, Id, Key, Modifiers, vec2};

/// What is still in sight after a page.
const OVERLAP: f32 = 0.1;

/// In how many frames egui moves the focus: backwards it does so in the next.
const FRAMES: u8 = 3;

/// Scrolls to what Tab has come to, where that is out of sight.
#[derive(Default)]
pub struct Follow {
    focused: Option<Id>,
    /// Frames in which the focus may still move.
    frames: u8,
}

impl Follow {
    /// To be called before anything is drawn.
    pub fn begin(&mut self, ui: &egui::Ui) {
        if ui.input(|input| input.key_pressed(Key::Tab)) {
            self.frames = FRAMES;
        }
        let focused = ui.memory(egui::Memory::focused);
        let before = std::mem::replace(&mut self.focused, focused);
        if self.frames == 0 {
            return;
        }
        self.frames -= 1;
        ui.ctx().request_repaint();
        let Some(focused) = focused.filter(|_| focused != before) else {
            return;
        };
        let drawn = ui.ctx().read_response(focused);
        let is_in_sight = |drawn: &egui::Response| drawn.interact_rect.contains_rect(drawn.rect);
        if drawn.is_some_and(|drawn| !is_in_sight(&drawn)) {
            let request = ActionRequest {
                action: Action::ScrollIntoView,
                target_tree: TreeId::ROOT,
                target_node: focused.accesskit_id(),
                data: None,
            };
            let event = Event::AccessKitActionRequest(request);
            ui.input_mut(|input| input.events.push(event));
        }
    }
}

/// Scrolls the area that `ui` is in by pages of so many points, where the keys for that are pressed.
pub fn by_page(ui: &egui::Ui, page: f32) {
    let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
    let pages = i8::from(pressed(Key::PageUp)) - i8::from(pressed(Key::PageDown));
    if pages != 0 {
        let delta = vec2(0.0, f32::from(pages) * page * (1.0 - OVERLAP));
        ui.scroll_with_delta_animation(delta, ScrollAnimation::none());
    }
}
