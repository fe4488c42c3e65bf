//! What stands above and below the text of a message.

use egui::RichText;

use super::action::Action;
use super::conversation::{Conversation, Mode, Stats};
use super::state::State;
use super::theme;
use super::tokens::At;
use super::widgets::name;
use crate::text::Role;

/// Answers that "3 more" asks for.
const SEVERAL: usize = 3;

/// Who a message is by.
pub fn header(
    ui: &mut egui::Ui,
    conversation: &Conversation,
    at: usize,
    actions: &mut Vec<Action>,
) {
    ui.horizontal(|ui| {
        let (who, color) = match conversation.message(at).role {
            Role::User => ("You", ui.visuals().text_color()),
            Role::Assistant => ("Assistant", theme::accent(ui)),
            Role::System => ("System", ui.visuals().weak_text_color()),
        };
        ui.label(RichText::new(who).strong().color(color));
        branches(ui, conversation, at, actions);
    });
}

/// What can be done with a message, and what it took to write.
pub fn footer(ui: &mut egui::Ui, state: &State, at: usize, actions: &mut Vec<Action>) {
    let conversation = state.conversation();
    let message = conversation.message(at);
    let is_last = conversation.last() == Some(at);
    let can_send = state.can_generate();
    let writing = state.writing();
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        if writing == Some(at) {
            // Nothing that moves: every frame that is drawn without need is taken from the model.
            ui.weak("writing…");
            return;
        }
        let mut button = |ui: &mut egui::Ui, label: &str, can: bool, action: Action| {
            let button = egui::Button::new(RichText::new(label).small()).frame(false);
            if ui.add_enabled(can, button).clicked() {
                actions.push(action);
            }
        };
        let is_text = conversation.mode == Mode::Completion;
        if message.role == Role::Assistant {
            button(ui, "Regenerate", can_send, Action::Regenerate(at));
            // Without chance they would all be the same.
            if state.settings.sampling.temperature > 0.0 {
                let several = Action::RegenerateSeveral(at, SEVERAL);
                button(ui, "3 more", can_send, several);
            }
            if is_last {
                button(ui, "Continue", can_send, Action::Continue(at));
            }
        }
        button(ui, "Edit", writing.is_none(), Action::Edit(at));
        button(ui, "Copy", true, Action::Copy(at));
        button(ui, "Delete", writing.is_none(), Action::Delete(at));
        if is_text {
            let branching = conversation.path().iter().rev();
            let last = branching
                .copied()
                .find(|at| conversation.siblings(*at).len() > 1);
            if let Some(at) = last {
                branches(ui, conversation, at, actions);
            }
        }
        if state.settings.probabilities && !message.tokens.is_empty() {
            // For those who cannot click on a token.
            let button = egui::Button::new(RichText::new("Inspect").small()).frame(false);
            if ui.add(button).clicked() {
                actions.push(Action::Inspect(At {
                    message: at,
                    token: 0,
                }));
            }
        }
        if let Some(stats) = &message.stats {
            ui.label(RichText::new(describe(stats)).small().weak());
        }
    });
}

/// `< 1/3 >` where a message has alternatives.
fn branches(ui: &mut egui::Ui, conversation: &Conversation, at: usize, actions: &mut Vec<Action>) {
    let siblings = conversation.siblings(at);
    let Some(here) = siblings.iter().position(|sibling| *sibling == at) else {
        return;
    };
    if siblings.len() < 2 {
        return;
    }
    let step = |ui: &mut egui::Ui, label: &str, hint: &str, to: Option<&usize>| {
        let button = egui::Button::new(label).small();
        let response = ui.add_enabled(to.is_some(), button);
        name(ui, &response, hint);
        response.clicked().then_some(to).flatten().copied()
    };
    let before = here.checked_sub(1).and_then(|i| siblings.get(i));
    let to = step(ui, "<", "Previous branch", before);
    ui.label(format!("{}/{}", here + 1, siblings.len()));
    let to = to.or(step(ui, ">", "Next branch", siblings.get(here + 1)));
    if let Some(to) = to {
        actions.push(Action::Choose(to));
    }
}

/// Speed and end of a message in a line.
pub fn describe(stats: &Stats) -> String {
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
    parts.push(
        match stats.finish.as_str() {
            "eos" => "the model ended it",
            "stop" => "stop text met",
            "length" => "length reached",
            "context" => "context full",
            "cancelled" => "stopped",
            other => other,
        }
        .to_owned(),
    );
    parts.join(" · ")
}
