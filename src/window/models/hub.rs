//! Models on the hub: fetched into its cache, beside whatever else goes on.

use egui::{Align, ComboBox, FontSelection, TextEdit, vec2};

use super::super::action::Action;
use super::super::catalog::{APPLES, Pull, size};
use super::super::icons::Icon;
use super::super::settings::Setting;
use super::super::state::{ModelState, State};
use super::super::theme::{self, GRID};
use super::super::widgets::{labelled_button, meter, name};
use crate::checkpoint::shapes;
use crate::hub::TOKENIZER_COPIES;

/// What a person must know who fetches them.
const LICENCES: [&str; 2] = [
    "Apple's weights are open, under the licence at huggingface.co/apple/OpenELM",
    "The tokenizer is Llama 2's: accept Meta's licence at huggingface.co/meta-llama/Llama-2-7b-hf, make a token at \
     huggingface.co/settings/tokens, and set HF_TOKEN to it. Or take a copy of it by others, or any tokenizer.json that you have, below",
];

/// Least width of a model's card, and its height.
const LEAST_CARD: f32 = 172.0;
const CARD: f32 = 11.0 * GRID;

/// Width of the bar of what is being fetched.
const BAR: f32 = 160.0;

/// `own` is a name in the making.
pub fn show(ui: &mut egui::Ui, state: &State, own: &mut String, actions: &mut Vec<Action>) {
    loading(ui, state, actions);
    for pull in &state.pulls {
        fetching(ui, pull, actions);
    }
    for (suffix, what, bytes) in [
        ("-Instruct", "To chat with", 2),
        ("", "To continue texts", 4),
    ] {
        ui.label(theme::aside(what));
        let gaps = 3.0 * ui.spacing().item_spacing.x;
        let width = ((ui.available_width() - gaps) / 4.0)
            .floor()
            .max(LEAST_CARD);
        ui.horizontal_wrapped(|ui| {
            for shape in APPLES {
                let label = format!("OpenELM-{shape}{suffix}");
                apple(ui, state, (&label, about(shape, bytes)), width, actions);
            }
        });
    }
    ui.horizontal(|ui| {
        let width = (ui.available_width() - 96.0).max(80.0);
        let edit = TextEdit::singleline(own)
            .hint_text("another by its name, ORG/NAME or ORG/NAME@REVISION")
            .desired_width(width);
        let response = ui.add(edit);
        name(ui, &response, "Name on the hub");
        let entered = response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
        let pulls = labelled_button(ui, Icon::Download, "Pull", "").clicked();
        if (pulls || entered) && !own.trim().is_empty() {
            actions.push(Action::Pull(own.trim().to_owned()));
        }
    });
    for what in LICENCES {
        linked(ui, what);
    }
    tokenizer(ui, state, actions);
}

/// Whose tokenizer comes with the models.
fn tokenizer(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    const OWN: &str = "Llama 2's own";
    let chosen = state.settings.tokenizer_repo.as_deref();
    ui.horizontal(|ui| {
        ui.label("Tokenizer");
        let list = ComboBox::from_id_salt("tokenizer of the hub")
            .width(240.0)
            .selected_text(chosen.unwrap_or(OWN))
            .show_ui(ui, |ui| {
                let copies = TOKENIZER_COPIES.into_iter().map(Some);
                for repo in std::iter::once(None).chain(copies) {
                    let label = repo.unwrap_or(OWN);
                    if ui.selectable_label(chosen == repo, label).clicked() {
                        let repo = repo.map(str::to_owned);
                        actions.push(Action::Set(Setting::TokenizerRepo(repo)));
                    }
                }
            });
        name(ui, &list.response, "Tokenizer that comes with models");
        if chosen.is_some() {
            ui.label(theme::aside("a copy by others, which needs no token"));
        }
    });
}

/// About how much is fetched: as the files on the hub are, so many bytes a parameter.
fn about(shape: &str, bytes: u64) -> u64 {
    shapes::config(shape).map_or(0, |config| config.parameters() * bytes)
}

fn apple(
    ui: &mut egui::Ui,
    state: &State,
    (label, bytes): (&str, u64),
    width: f32,
    actions: &mut Vec<Action>,
) {
    let hub_name = format!("apple/{label}");
    let is_here = state.catalog.get(&hub_name).is_some();
    let is_coming = state.pulls.iter().any(|pull| pull.name == hub_name);
    let (state_of_it, hint) = match (is_here, is_coming) {
        (true, _) => ("here".to_owned(), "It is on this machine, above"),
        (_, true) => ("downloading".to_owned(), "It is being downloaded"),
        _ => (
            format!("about {}", size(bytes)),
            "Pull: downloaded once, while you go on with what is loaded",
        ),
    };
    let mut job = egui::text::LayoutJob::default();
    let font = FontSelection::Default;
    let title = theme::strong(label.to_owned()).small();
    title.append_to(&mut job, ui.style(), font.clone(), Align::Center);
    let below = theme::aside(format!("\n{state_of_it}"));
    below.append_to(&mut job, ui.style(), font, Align::Center);
    let button = egui::Button::new(job).min_size(vec2(width, CARD));
    let response = ui.add_enabled(!is_here && !is_coming, button);
    name(ui, &response, label);
    if response.on_hover_text(hint).clicked() {
        actions.push(Action::Pull(hub_name));
    }
}

fn fetching(ui: &mut egui::Ui, pull: &Pull, actions: &mut Vec<Action>) {
    ui.horizontal_wrapped(|ui| {
        let figures = match (pull.is_ending, pull.total) {
            (true, _) => format!("{}: ending", pull.name),
            (_, 0) => format!("{}: asking the hub", pull.name),
            (_, total) => format!("{}: {} of {}", pull.name, size(pull.done), size(total)),
        };
        let share = pull.done as f32 / pull.total.max(1) as f32;
        meter(ui, share.min(0.999), BAR, &figures);
        let cancel = ui.add_enabled(!pull.is_ending, egui::Button::new("Cancel"));
        name(
            ui,
            &cancel,
            &format!("Cancel the download of {}", pull.name),
        );
        if cancel.clicked() {
            actions.push(Action::CancelPull(pull.name.clone()));
        }
    });
    ui.add_space(GRID);
}

/// A model that is loaded by its name may have to be fetched first.
fn loading(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    if let ModelState::Loading {
        name,
        is_download: true,
        done,
        total,
    } = &state.model
    {
        let share = *done as f32 / (*total).max(1) as f32;
        ui.horizontal_wrapped(|ui| {
            let figures = format!("{name}: {} of {}", size(*done), size(*total));
            meter(ui, share.min(0.999), BAR, &figures);
            if ui.button("Cancel the download").clicked() {
                actions.push(Action::CancelLoading);
            }
        });
    }
}

/// A text in which addresses can be clicked.
fn linked(ui: &mut egui::Ui, text: &str) {
    ui.scope(|ui| {
        // Lines as close as in any text.
        ui.spacing_mut().item_spacing = egui::Vec2::ZERO;
        ui.spacing_mut().interact_size.y = 0.0;
        // A word that goes into the next line goes whole: of a link in two lines the second would be another, without a name.
        ui.style_mut().wrap_mode = Some(egui::TextWrapMode::Extend);
        ui.horizontal_wrapped(|ui| {
            for word in text.split_inclusive(' ') {
                match word.trim_end_matches([' ', ',', ':']) {
                    address if address.starts_with("huggingface.co/") => {
                        let link = egui::RichText::new(word).small();
                        ui.hyperlink_to(link, format!("https://{address}"));
                    }
                    _ => {
                        ui.label(theme::aside(word));
                    }
                }
            }
        });
    });
}
