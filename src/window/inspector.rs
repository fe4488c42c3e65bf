//! The token inspector: text tinted by how probable each token was, and what else could have stood there.

use egui::text::LayoutJob;
use egui::{Color32, Rect};

use super::action::Action;
use super::conversation::Conversation;
use super::find::{Marks, mark};
use super::icons::Icon;
use super::prose::{self, Set};
use super::state::State;
use super::theme;
use super::tokens::{At, Stretch, starts, token_at};
use super::widgets::{card, icon_button};
use crate::text::Role;

/// A probability as a tint: none for what was certain, strongest for what had one chance in a thousand or less.
fn tint(logprob: f32, dark: bool) -> Color32 {
    let doubt = (-logprob / std::f32::consts::LN_10 / 3.0).clamp(0.0, 1.0);
    // Orange, which can be told from the background with any colour vision.
    let strength = if dark { 140.0 } else { 190.0 };
    Color32::from_rgba_unmultiplied(230, 159, 0, (doubt * strength) as u8)
}

/// Text in which every token can be clicked where probabilities are shown. Returns where the match is that is looked at.
pub fn text<'a>(
    ui: &mut egui::Ui,
    state: &State,
    stretches: &[Stretch],
    marks: &impl Fn(usize) -> Marks<'a>,
    actions: &mut Vec<Action>,
) -> Option<Rect> {
    let conversation = state.conversation();
    let probabilities = state.settings.probabilities;
    let mut job = job(ui, conversation, stretches, probabilities, state.inspected);
    let mut marked = Vec::new();
    let mut begin = 0;
    for (message, part) in stretches {
        for (range, is_active) in marks(*message).within(part.clone()) {
            let from = range.start.max(part.start) - part.start;
            let to = range.end.min(part.end) - part.start;
            marked.push((begin + from..begin + to, is_active));
        }
        begin += part.len();
    }
    mark(&mut job, &marked, theme::palette(ui));
    let set = match probabilities {
        false => prose::set(ui, job),
        true => clickable(ui, conversation, stretches, job, actions),
    };
    let active = marked.iter().find(|(_, is_active)| *is_active);
    active.map(|(range, _)| set.rect(range))
}

fn clickable(
    ui: &mut egui::Ui,
    conversation: &Conversation,
    stretches: &[Stretch],
    job: LayoutJob,
    actions: &mut Vec<Action>,
) -> Set {
    let label = egui::Label::new(job)
        .selectable(false)
        .sense(egui::Sense::click());
    let (position, galley, response) = label.layout_in_ui(ui);
    let color = ui.visuals().text_color();
    ui.painter().galley(position, galley.clone(), color);
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::accesskit::Role::Label, true, galley.text())
    });
    let clicked = response.clicked().then(|| response.interact_pointer_pos());
    if let Some(pointer) = clicked.flatten() {
        let index = galley.cursor_from_pos(pointer - position).index.0;
        let byte = galley.text().char_indices().nth(index);
        let mut left = byte.map_or(galley.text().len(), |(byte, _)| byte);
        for (message, range) in stretches {
            if left < range.len() {
                let token = token_at(conversation, *message, range.start + left);
                actions.push(token.map_or(Action::CloseInspector, Action::Inspect));
                break;
            }
            left -= range.len();
        }
    }
    Set {
        position,
        galley,
        response,
    }
}

/// Lays out stretches of messages: what the person wrote in a text has a background, and what the model wrote is tinted when
/// `probabilities` are wanted.
fn job(
    ui: &egui::Ui,
    conversation: &Conversation,
    stretches: &[Stretch],
    probabilities: bool,
    selected: Option<At>,
) -> LayoutJob {
    let mut job = LayoutJob::default();
    for (index, range) in stretches {
        let message = conversation.message(*index);
        let is_model = message.role == Role::Assistant;
        let mut plain = prose::format(ui);
        if !is_model {
            plain.background = theme::palette(ui).person();
        }
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
    card(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal_wrapped(|ui| {
            let which = format!("Token {} of {}", at.token + 1, tokens.len());
            ui.label(theme::strong(which));
            ui.monospace(format!("{:?}", event.piece));
            ui.label(theme::aside(format!(
                "id {}, probability {:.1} %, {:.2} ms",
                event.token.id,
                percent(event.token.logprob),
                1e3 * event.token.time.as_secs_f64()
            )));
            let mut step = |ui: &mut egui::Ui, icon: Icon, name: &str, to: Option<usize>| {
                let button = |ui: &mut egui::Ui| icon_button(ui, icon, name, "");
                let is_clicked = ui.add_enabled(to.is_some(), button).clicked();
                if let Some(token) = to.filter(|_| is_clicked) {
                    actions.push(Action::Inspect(At { token, ..at }));
                }
            };
            let before = at.token.checked_sub(1);
            step(ui, Icon::Back, "Previous token", before);
            let next = Some(at.token + 1).filter(|next| *next < tokens.len());
            step(ui, Icon::Forward, "Next token", next);
            if icon_button(ui, Icon::Close, "Close inspector", "").clicked() {
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
    ui.add_space(2.0 * theme::GRID);
}
