//! The token inspector: text tinted by how probable each token was, and what else could have stood there.

use egui::text::{LayoutJob, TextFormat};
use egui::{Color32, TextStyle};

use super::action::Action;
use super::conversation::Conversation;
use super::state::State;
use super::theme;
use super::tokens::{At, Stretch, starts};
use crate::text::Role;

/// A probability as a tint: none for what was certain, strongest for what had one chance in a thousand or less.
fn tint(logprob: f32, dark: bool) -> Color32 {
    let doubt = (-logprob / std::f32::consts::LN_10 / 3.0).clamp(0.0, 1.0);
    // Orange, which can be told from the background with any colour vision.
    let strength = if dark { 140.0 } else { 190.0 };
    Color32::from_rgba_unmultiplied(230, 159, 0, (doubt * strength) as u8)
}

/// Lays out stretches of messages; what the model wrote is tinted when `probabilities` are wanted, and coloured when `authors` are.
pub fn job(
    ui: &egui::Ui,
    conversation: &Conversation,
    stretches: &[Stretch],
    probabilities: bool,
    authors: bool,
    selected: Option<At>,
) -> LayoutJob {
    let font = TextStyle::Body.resolve(ui.style());
    let mut job = LayoutJob::default();
    for (index, range) in stretches {
        let message = conversation.message(*index);
        let is_model = message.role == Role::Assistant;
        // Blue on orange would be hard to read.
        let color = match authors && is_model && !probabilities {
            true => theme::accent(ui),
            false => ui.visuals().text_color(),
        };
        let plain = TextFormat::simple(font.clone(), color);
        let mut at = range.start;
        if probabilities && is_model {
            let tokens = starts(conversation, *index)
                .zip(&message.tokens)
                .enumerate();
            for (token, (start, event)) in tokens {
                let end = (start + event.token.text.len()).min(range.end);
                let start = start.max(at);
                if start >= end {
                    continue;
                }
                job.append(&message.text[at..start], 0.0, plain.clone());
                let mut format = plain.clone();
                format.background = tint(event.token.logprob, ui.visuals().dark_mode);
                let this = At {
                    message: *index,
                    token,
                };
                if selected == Some(this) {
                    format.underline = egui::Stroke::new(2.0, theme::warning(ui));
                }
                job.append(&message.text[start..end], 0.0, format);
                at = end;
            }
        }
        job.append(&message.text[at..range.end], 0.0, plain);
    }
    job
}

/// What is known about a token, and what could have stood in its place. Shown below the chat while a token is selected.
pub fn show(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let Some(at) = state.inspected else { return };
    let conversation = state.conversation();
    if at.message >= conversation.total() {
        return;
    }
    let tokens = &conversation.message(at.message).tokens;
    let Some(event) = tokens.get(at.token) else {
        return;
    };
    let percent = |logprob: f32| 100.0 * logprob.exp();
    egui::Frame::group(ui.style()).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal_wrapped(|ui| {
            ui.strong(format!("Token {} of {}", at.token + 1, tokens.len()));
            ui.monospace(format!("{:?}", event.piece));
            ui.label(format!(
                "id {}, probability {:.1} %, {:.2} ms",
                event.token.id,
                percent(event.token.logprob),
                1e3 * event.token.time.as_secs_f64()
            ));
            let mut step = |ui: &mut egui::Ui, label: &str, to: Option<usize>| {
                let button = egui::Button::new(label).small();
                let is_clicked = ui.add_enabled(to.is_some(), button).clicked();
                if let Some(token) = to.filter(|_| is_clicked) {
                    actions.push(Action::Inspect(At { token, ..at }));
                }
            };
            step(ui, "Previous token", at.token.checked_sub(1));
            let next = at.token + 1;
            step(ui, "Next token", (next < tokens.len()).then_some(next));
            if ui.small_button("Close inspector").clicked() {
                actions.push(Action::CloseInspector);
            }
        });
        ui.horizontal_wrapped(|ui| {
            ui.label("Instead:");
            for other in &event.alternatives {
                let label = format!("{:?} {:.1} %", other.piece, percent(other.logprob));
                let is_it = other.id == event.token.id;
                let text = egui::RichText::new(label).monospace();
                let response = ui
                    .add(egui::Button::selectable(is_it, text))
                    .on_hover_text("Go on from here with this token, as another branch");
                if response.clicked() && !is_it {
                    actions.push(Action::BranchAt {
                        message: at.message,
                        token: at.token,
                        alternative: other.clone(),
                    });
                }
            }
        });
    });
}
