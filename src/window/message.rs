//! What stands above and below the text of a message.

use egui::{Sense, TextStyle, WidgetInfo, vec2};

use super::action::Action;
use super::conversation::{Conversation, Mode, Stats};
use super::icons::Icon;
use super::state::State;
use super::theme::{self, CONTROL, GRID};
use super::tokens::At;
use super::widgets::icon_button;
use crate::text::Role;

/// Answers that "3 more" asks for.
const SEVERAL: usize = 3;

/// Between a button's edge and its icon.
const EDGE: f32 = 1.5 * GRID;

/// Who a message is by.
pub fn header(ui: &mut egui::Ui, conversation: &Conversation, at: usize) {
    let who = match conversation.message(at).role {
        Role::User => "You",
        Role::Assistant => "Assistant",
        Role::System => "System",
    };
    ui.label(theme::strong(who).small().color(theme::palette(ui).weak));
}

/// What can be done with a message, and what it took to write. Buttons are there for the keyboard and for screen readers always; to
/// the eye they are for the last message, and where `is_shown`. Returns whether the keyboard is on one of them.
pub fn footer(
    ui: &mut egui::Ui,
    state: &State,
    at: usize,
    is_shown: bool,
    actions: &mut Vec<Action>,
) -> bool {
    let conversation = state.conversation();
    let is_last = conversation.last() == Some(at);
    let mut has_focus = false;
    ui.horizontal_wrapped(|ui| {
        ui.set_min_height(CONTROL);
        ui.spacing_mut().item_spacing.x = 0.0;
        // An icon stands below the text, not the button's edge.
        ui.add_space(-EDGE);
        let branching = match conversation.mode {
            Mode::Chat => Some(at),
            // There is one row of buttons for the whole text.
            Mode::Completion => {
                let mut branching = conversation.path().iter().rev().copied();
                branching.find(|at| conversation.siblings(*at).len() > 1)
            }
        };
        if let Some(at) = branching {
            has_focus |= branches(ui, conversation, at, actions);
        }
        if state.is_writing(at) {
            // Nothing that moves: every frame that is drawn without need is taken from the model.
            ui.add_space(EDGE);
            ui.label(theme::aside("writing…"));
            return;
        }
        let opacity = ui.opacity();
        if !is_last && !is_shown {
            ui.set_opacity(0.0);
        }
        has_focus |= buttons(ui, state, at, actions);
        if let Some(stats) = &conversation.message(at).stats {
            ui.add_space(GRID);
            figures(ui, stats);
        }
        ui.set_opacity(opacity);
    });
    has_focus
}

fn buttons(ui: &mut egui::Ui, state: &State, at: usize, actions: &mut Vec<Action>) -> bool {
    let conversation = state.conversation();
    let message = conversation.message(at);
    let is_last = conversation.last() == Some(at);
    let (can_send, can_change) = (state.can_generate(), !state.is_writing_here());
    let mut has_focus = false;
    let mut button = |icon: Icon, name: &str, key: &str, can: bool, action: Action| {
        let button = |ui: &mut egui::Ui| icon_button(ui, icon, name, key);
        let response = ui.add_enabled(can, button);
        has_focus |= response.has_focus();
        if response.clicked() {
            actions.push(action);
        }
    };
    let key = |key: &'static str| if is_last { key } else { "" };
    if message.role == Role::Assistant {
        let again = Action::Regenerate(at);
        button(
            Icon::Regenerate,
            "Regenerate",
            key("Ctrl+R"),
            can_send,
            again,
        );
        // Without chance they would all be the same.
        if state.settings.sampling.has_chance() {
            let several = Action::RegenerateSeveral(at, SEVERAL);
            button(Icon::Branch, "3 more", "", can_send, several);
        }
        if is_last {
            button(Icon::Play, "Continue", "", can_send, Action::Continue(at));
        }
    }
    button(Icon::Edit, "Edit", "", can_change, Action::Edit(at));
    let copy_key = match message.role {
        Role::Assistant => key("Ctrl+Shift+C"),
        _ => "",
    };
    button(Icon::Copy, "Copy", copy_key, true, Action::Copy(at));
    button(Icon::Delete, "Delete", "", can_change, Action::Delete(at));
    if state.settings.probabilities && !message.tokens.is_empty() {
        // For those who cannot click on a token.
        let first = At {
            message: at,
            token: 0,
        };
        button(Icon::Tint, "Inspect", "", true, Action::Inspect(first));
    }
    has_focus
}

/// `< 1/3 >` where a message has alternatives. Returns whether the keyboard is on it.
fn branches(
    ui: &mut egui::Ui,
    conversation: &Conversation,
    at: usize,
    actions: &mut Vec<Action>,
) -> bool {
    let siblings = conversation.siblings(at);
    let Some(here) = siblings.iter().position(|sibling| *sibling == at) else {
        return false;
    };
    if siblings.len() < 2 {
        return false;
    }
    let mut has_focus = false;
    let mut step = |ui: &mut egui::Ui, icon: Icon, name: &str, to: Option<&usize>| {
        let button = |ui: &mut egui::Ui| icon_button(ui, icon, name, "");
        let response = ui.add_enabled(to.is_some(), button);
        has_focus |= response.has_focus();
        if let Some(to) = to.filter(|_| response.clicked()) {
            actions.push(Action::Choose(*to));
        }
    };
    let before = here.checked_sub(1).and_then(|i| siblings.get(i));
    step(ui, Icon::Back, "Previous branch", before);
    ui.label(theme::aside(format!("{}/{}", here + 1, siblings.len())));
    step(ui, Icon::Forward, "Next branch", siblings.get(here + 1));
    has_focus
}

/// The speed, and more of it where the pointer is; all of it for screen readers.
pub fn figures(ui: &mut egui::Ui, stats: &Stats) {
    let all = describe(stats);
    let font = TextStyle::Small.resolve(ui.style());
    let color = theme::palette(ui).weak;
    let galley = ui.painter().layout_no_wrap(in_short(stats), font, color);
    let size = vec2(galley.size().x, CONTROL);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let role = egui::accesskit::Role::Label;
    response.widget_info(|| WidgetInfo::labeled(role, true, all.join(" · ")));
    let top = rect.center().y - galley.size().y / 2.0;
    let corner = egui::pos2(rect.left(), top);
    ui.painter().galley(corner, galley, color);
    response.on_hover_text(all.join("\n"));
}

/// The speed, and how it ended if that says something.
fn in_short(stats: &Stats) -> String {
    let rate = stats.decode_rate().map(|rate| format!("{rate:.0} tok/s"));
    let end = (stats.finish != "eos").then(|| ending(&stats.finish).to_owned());
    let parts: Vec<String> = rate.into_iter().chain(end).collect();
    parts.join(" · ")
}

fn ending(finish: &str) -> &str {
    match finish {
        "eos" => "the model ended it",
        "stop" => "stop text met",
        "length" => "length reached",
        "context" => "context full",
        "cancelled" => "stopped",
        other => other,
    }
}

/// What is known of how a message was written.
pub fn describe(stats: &Stats) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(rate) = stats.decode_rate() {
        parts.push(format!("{rate:.1} tok/s"));
    }
    match stats.prompt_rate() {
        // All of it was there from before but the token that is always computed.
        Some(_) if stats.prompt_tokens == 1 => parts.push("prompt known".to_owned()),
        Some(rate) => parts.push(format!("prompt {} at {rate:.0} tok/s", stats.prompt_tokens)),
        None => {}
    }
    if stats.first_token_s > 0.0 {
        parts.push(format!("first token {:.0} ms", 1e3 * stats.first_token_s));
    }
    parts.push(format!("{} tokens", stats.tokens));
    if stats.proposed > 0 {
        let Stats {
            proposed, accepted, ..
        } = stats;
        parts.push(format!("{accepted} of {proposed} proposed tokens accepted"));
        let speed_up = stats
            .speed_up
            .map(|times| format!("{times:.1} times as fast"));
        parts.extend(speed_up);
    }
    parts.push(ending(&stats.finish).to_owned());
    parts
}
