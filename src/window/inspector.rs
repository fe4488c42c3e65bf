//! The token inspector: text tinted by how probable each token was, and what else could have stood there.

use std::ops::Range;

use egui::text::{LayoutJob, TextFormat};
use egui::{Color32, TextStyle};

use super::app::Action;
use super::conversation::Conversation;
use super::theme;
use crate::text::Role;

/// A token of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    pub message: usize,
    pub token: usize,
}

/// A stretch of a message's text, in bytes.
pub type Span = (usize, Range<usize>);

/// Bytes at which the tokens of a message begin.
fn starts(conversation: &Conversation, message: usize) -> impl Iterator<Item = usize> {
    let message = conversation.message(message);
    let generated: usize = message.tokens.iter().map(|t| t.token.text.len()).sum();
    // What was there before, when a message was continued, has no tokens.
    let mut at = message.text.len().saturating_sub(generated);
    message.tokens.iter().map(move |token| {
        let start = at;
        at += token.token.text.len();
        start
    })
}

/// The token at a byte of a message.
pub fn token_at(conversation: &Conversation, message: usize, byte: usize) -> Option<At> {
    let before = starts(conversation, message).take_while(|start| *start <= byte);
    let mut last = None;
    for (token, start) in before.enumerate() {
        let length = conversation.message(message).tokens[token].token.text.len();
        if length > 0 && byte < start + length {
            last = Some(At { message, token });
        }
    }
    last
}

/// A probability as a tint: none for what was certain, strongest for what had one chance in a thousand or less.
fn tint(logprob: f32, dark: bool) -> Color32 {
    let doubt = (-logprob / std::f32::consts::LN_10 / 3.0).clamp(0.0, 1.0);
    // Orange, which can be told from the background with any colour vision.
    let strength = if dark { 140.0 } else { 190.0 };
    Color32::from_rgba_unmultiplied(230, 159, 0, (doubt * strength) as u8)
}

/// Lays out spans of messages; what the model wrote is tinted when `probabilities` are wanted, and coloured when `authors` are.
pub fn job(
    ui: &egui::Ui,
    conversation: &Conversation,
    spans: &[Span],
    probabilities: bool,
    authors: bool,
    selected: Option<At>,
) -> LayoutJob {
    let font = TextStyle::Body.resolve(ui.style());
    let mut job = LayoutJob::default();
    for (index, range) in spans {
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
pub fn show(
    ui: &mut egui::Ui,
    conversation: &Conversation,
    selected: &mut Option<At>,
    actions: &mut Vec<Action>,
) {
    let Some(at) = *selected else { return };
    if at.message >= conversation.total() {
        *selected = None;
        return;
    }
    let tokens = &conversation.message(at.message).tokens;
    let Some(event) = tokens.get(at.token) else {
        *selected = None;
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
            let step = |ui: &mut egui::Ui, label: &str, possible: bool| {
                ui.add_enabled(possible, egui::Button::new(label).small())
                    .clicked()
            };
            if step(ui, "Previous token", at.token > 0) {
                *selected = Some(At {
                    token: at.token - 1,
                    ..at
                });
            }
            if step(ui, "Next token", at.token + 1 < tokens.len()) {
                *selected = Some(At {
                    token: at.token + 1,
                    ..at
                });
            }
            if ui.small_button("Close inspector").clicked() {
                *selected = None;
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

/// The text of a message before one of its tokens.
pub fn text_before(conversation: &Conversation, message: usize, token: usize) -> String {
    let start = starts(conversation, message).nth(token).unwrap_or(0);
    conversation.message(message).text[..start].to_owned()
}
