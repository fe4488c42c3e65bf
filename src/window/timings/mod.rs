//! Timings, live: what every step, layer and kernel costs, and how far that is from what the device can do.
//!
//! Every view looks at the same selection: steps chosen in one filter all others, and so do a layer and a kernel.

mod compare;
mod flame;
mod heat;
mod kernels;
mod layers;
mod memory;
mod run;
mod strip;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use egui::{ComboBox, RichText, ScrollArea};

use self::run::{Mean, Run, Sums};
use super::app::{Action, Export};
use super::settings::Settings;
use super::{name, theme};
use crate::engine::{ModelInfo, TokenEvent};
use crate::trace::{Peaks, Phase, Step, TraceMode};

/// Runs to compare with.
const EARLIER: usize = 3;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Tab {
    #[default]
    Heat,
    Flame,
    Layers,
    Kernels,
    Memory,
    Compare,
}

const TABS: [(Tab, &str); 6] = [
    (Tab::Heat, "Heat map"),
    (Tab::Layers, "Layers"),
    (Tab::Flame, "Flame"),
    (Tab::Kernels, "Kernels"),
    (Tab::Memory, "Memory"),
    (Tab::Compare, "Compare"),
];

/// What the views show of all that was timed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Selection {
    /// First and last step, counted from the begin of the run.
    pub steps: Option<(usize, usize)>,
    /// `Some(None)`: what lies outside the layers.
    pub layer: Option<Option<u32>>,
    pub kernel: Option<&'static str>,
}

/// The panel and all it knows.
pub struct Timings {
    run: Run,
    earlier: Vec<Run>,
    compared: usize,
    /// While it is set nothing is timed.
    pause: Arc<AtomicBool>,
    tab: Tab,
    phase: Phase,
    selection: Selection,
    /// The model that is loaded.
    info: Option<Box<ModelInfo>>,
    /// What adapters can do, by name.
    peaks: HashMap<String, Peaks>,
    /// Whether what comes now belongs to the run that is shown.
    is_recording: bool,
    /// The name of a run of which nothing was timed yet, because it is paused.
    pending: Option<String>,
    frame: Mean,
    sums: Sums,
    flame: flame::View,
    heat: heat::View,
    kernels: kernels::Sorting,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            run: Run::default(),
            earlier: Vec::new(),
            compared: 0,
            pause: Arc::default(),
            tab: Tab::default(),
            phase: Phase::Decode,
            selection: Selection::default(),
            info: None,
            peaks: HashMap::new(),
            is_recording: false,
            pending: None,
            frame: Mean::default(),
            sums: Sums::default(),
            flame: flame::View::default(),
            heat: heat::View::default(),
            kernels: kernels::Sorting::default(),
        }
    }
}

impl Timings {
    // ---- what happens

    pub fn model_loaded(&mut self, info: &ModelInfo) {
        self.info = Some(Box::new(info.clone()));
    }

    /// Whether it is not known yet what the adapter can do.
    pub fn needs_peaks(&self) -> bool {
        let info = self.info.as_ref();
        info.is_some_and(|info| !self.peaks.contains_key(&info.adapter.name))
    }

    pub fn set_peaks(&mut self, peaks: Peaks) {
        if let Some(info) = &self.info {
            self.peaks.insert(info.adapter.name.clone(), peaks);
        }
    }

    /// Of the run that is shown.
    fn run_peaks(&self) -> Option<Peaks> {
        let info = self.run.info.as_ref()?;
        self.peaks.get(&info.adapter.name).copied()
    }

    /// The flag that keeps what is shown, and has nothing timed.
    pub fn pause(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.pause)
    }

    fn is_paused(&self) -> bool {
        self.pause.load(Ordering::Relaxed)
    }

    /// A new run begins. If it is not timed, what was timed before stays in sight.
    pub fn begin(&mut self, label: &str, mode: TraceMode) {
        self.is_recording = false;
        let label = (mode != TraceMode::Off).then(|| label.to_owned());
        match label {
            Some(label) if !self.is_paused() => self.record(&label),
            label => self.pending = label,
        }
    }

    fn record(&mut self, label: &str) {
        self.pending = None;
        self.is_recording = true;
        let model = self.info.as_ref().map_or(String::new(), |info| {
            format!("{} {}", info.name, info.dtype)
        });
        let label = format!("{model}: {label}");
        let run = Run::new(self.run.number + 1, label, self.info.clone());
        let before = std::mem::replace(&mut self.run, run);
        if !before.steps.is_empty() {
            self.earlier.insert(0, before);
            self.earlier.truncate(EARLIER);
        }
        self.selection.steps = None;
    }

    pub fn step(&mut self, step: Step) {
        if self.is_paused() {
            return;
        }
        if let Some(label) = self.pending.take() {
            self.record(&label);
        }
        if self.is_recording {
            self.run.push(step);
        }
    }

    pub fn token(&mut self, token: &TokenEvent) {
        if !self.is_recording {
            return;
        }
        // Tokens that were given took no time, and that of the first other is the prompt's.
        if token.token.time.is_zero() {
            return;
        }
        let is_first = self.run.tokens == 0;
        self.run.tokens += 1;
        if !is_first && !self.is_paused() {
            let mean = match token.traced {
                true => &mut self.run.traced,
                false => &mut self.run.untraced,
            };
            mean.add(token.token.time.as_secs_f64());
        }
    }

    /// What the last frame took, where that is known.
    pub fn frame(&mut self, seconds: Option<f32>) {
        if let Some(seconds) = seconds {
            self.frame.add_recent(f64::from(seconds));
        }
    }

    /// All steps of the run as another program reads them.
    pub fn export(&self, format: Export) -> String {
        let steps: Vec<Step> = self.run.steps.iter().cloned().collect();
        let metadata = match &self.run.info {
            Some(info) => serde_json::json!({
                "model": info.name,
                "dtype": info.dtype.name(),
                "adapter": info.adapter,
                "peaks": self.run_peaks(),
            }),
            None => serde_json::Value::Null,
        };
        match format {
            Export::TraceCsv => crate::trace::csv(&steps, &metadata),
            Export::TraceJson => crate::trace::json(&steps, &metadata),
            _ => crate::trace::chrome(&steps, &metadata),
        }
    }

    // ---- drawing

    /// Shows a view, counted from 0.
    pub fn select_tab(&mut self, tab: usize) {
        if let Some((tab, _)) = TABS.get(tab) {
            self.tab = *tab;
        }
    }

    pub fn show(&mut self, ui: &mut egui::Ui, settings: &mut Settings, actions: &mut Vec<Action>) {
        ui.add_space(2.0);
        self.controls(ui, settings, actions);
        self.sums.update(&self.run, self.phase, &self.selection);
        self.summary(ui);
        strip::show(ui, &self.run, self.phase, &mut self.selection);
        self.chips(ui);
        ui.horizontal_wrapped(|ui| {
            for (tab, name) in TABS {
                ui.selectable_value(&mut self.tab, tab, name);
            }
        });
        ui.separator();
        if self.run.steps.is_empty() && !matches!(self.tab, Tab::Memory | Tab::Compare) {
            ui.weak("Nothing has been timed yet: have the model write something.");
            return;
        }
        let peaks = self.run_peaks();
        let config = self.run.info.as_ref().map(|info| &info.config);
        ScrollArea::vertical()
            .id_salt(("view", self.tab as u8))
            .auto_shrink(false)
            .show(ui, |ui| match self.tab {
                Tab::Heat => self
                    .heat
                    .show(ui, &self.run, self.phase, &mut self.selection),
                Tab::Flame => self
                    .flame
                    .show(ui, &self.run, self.phase, &mut self.selection),
                Tab::Layers => {
                    layers::show(ui, &self.sums, config, peaks, &mut self.selection);
                }
                Tab::Kernels => {
                    self.kernels
                        .show(ui, &self.sums, peaks, &mut self.selection);
                }
                Tab::Memory => {
                    memory::show(ui, self.info.as_deref());
                }
                Tab::Compare => {
                    compare::show(ui, &self.run, &self.earlier, &mut self.compared, self.phase);
                }
            });
    }

    fn controls(&mut self, ui: &mut egui::Ui, settings: &mut Settings, actions: &mut Vec<Action>) {
        let mode = &mut settings.trace;
        ui.horizontal_wrapped(|ui| {
            let shown = match mode {
                TraceMode::Off => "off",
                TraceMode::Steps => "steps",
                TraceMode::Layers => "layers",
                TraceMode::Kernels => "kernels",
            };
            let choice = ComboBox::from_id_salt("trace mode")
                .width(64.0)
                .selected_text(shown)
                .show_ui(ui, |ui| {
                    ui.selectable_value(mode, TraceMode::Kernels, "kernels");
                    ui.selectable_value(mode, TraceMode::Layers, "layers");
                    ui.selectable_value(mode, TraceMode::Steps, "steps");
                    ui.selectable_value(mode, TraceMode::Off, "off");
                });
            name(ui, &choice.response, "Trace mode");
            choice
                .response
                .on_hover_text("How finely the next run is timed");
            ui.toggle_value(&mut settings.trace_all, "Every step")
                .on_hover_text("Time all steps in detail but one in sixteen, whatever it costs; otherwise so many that the model gets 4 % slower at most, and the others as a whole");
            ui.separator();
            let before = self.phase;
            ui.selectable_value(&mut self.phase, Phase::Decode, "Decode");
            ui.selectable_value(&mut self.phase, Phase::Prefill, "Prefill");
            if self.phase != before {
                // Steps are of one phase or the other.
                self.selection.steps = None;
            }
            let mut is_paused = self.is_paused();
            ui.toggle_value(&mut is_paused, "Pause")
                .on_hover_text("Keep what is shown; what comes now is not timed");
            self.pause.store(is_paused, Ordering::Relaxed);
            ui.menu_button("Export trace", |ui| {
                for (label, export) in [
                    ("Chrome trace (Perfetto)…", Export::TraceChrome),
                    ("CSV…", Export::TraceCsv),
                    ("JSON…", Export::TraceJson),
                ] {
                    if ui.button(label).clicked() {
                        actions.push(Action::Save(export));
                    }
                }
            });
        });
    }

    /// What a token costs, what of it is known, and what knowing it costs.
    fn summary(&self, ui: &mut egui::Ui) {
        if let Some(info) = self.run.info.as_ref().or(self.info.as_ref()) {
            let mut text = format!("{} · {}", info.adapter.name, info.adapter.driver);
            if let Some(peaks) = self.peaks.get(&info.adapter.name) {
                text += &format!(
                    " · at best {:.1} GB/s read, {:.0} GFLOP/s",
                    peaks.bytes_per_s / 1e9,
                    peaks.flops_per_s / 1e9
                );
            }
            ui.add(egui::Label::new(RichText::new(text).small().weak()).truncate());
        }
        let sums = &self.sums;
        let Sums { all, timed, .. } = sums;
        if all.steps == 0 {
            return;
        }
        let mut text = format!(
            "{}, {}: {:.2} ms a token",
            count(all.steps as u64, "step"),
            count(all.tokens, "token"),
            1e3 * all.per_token(),
        );
        if timed.steps > 0 {
            let wall = 1e3 * timed.per_token();
            let device = 1e3 * sums.device_s / timed.tokens.max(1) as f64;
            let gap = (wall - device).max(0.0);
            text += &match timed.steps == all.steps {
                true => ", ".to_owned(),
                false => format!(". {} timed in detail: {wall:.2} ms a token, ", timed.steps),
            };
            text += &format!(
                "{device:.2} ms in kernels, {gap:.2} ms ({:.0} %) between and around them",
                100.0 * gap / wall.max(1e-9)
            );
        } else {
            text += " (approximate)";
        }
        ui.label(text);
        if sums.has_no_clock {
            ui.colored_label(
                theme::warning(ui),
                "This adapter has no timestamps, or none that make sense: only whole steps are timed, by the host's clock. Approximate.",
            );
        }
        let mut costs = Vec::new();
        let (traced, untraced) = (&self.run.traced, &self.run.untraced);
        if let (Some(with), Some(without)) = (traced.mean(), untraced.mean()) {
            let cost = with - without;
            let share = traced.count() / (traced.count() + untraced.count());
            let percent = 100.0 * cost / without.max(1e-9);
            let cost = match percent {
                1.0.. => format!("{:.2} ms ({percent:+.0} %)", 1e3 * cost),
                _ => "too little to be seen".to_owned(),
            };
            costs.push(format!(
                "timing a token in detail costs {cost}, and {:.0} % of them are timed",
                100.0 * share
            ));
        }
        if let Some(frame) = self.frame.mean() {
            costs.push(format!("a frame of this window {:.1} ms", 1e3 * frame));
        }
        if !costs.is_empty() {
            ui.label(RichText::new(costs.join(" · ")).small().weak());
        }
        if self.run.dropped > 0 {
            let text = format!("the first {} steps were let go", self.run.dropped);
            ui.label(RichText::new(text).small().weak());
        }
    }

    /// What is selected, each with a button that ends it.
    fn chips(&mut self, ui: &mut egui::Ui) {
        let selection = &mut self.selection;
        if *selection == Selection::default() {
            return;
        }
        ui.horizontal_wrapped(|ui| {
            ui.label("Only");
            if let Some((first, last)) = selection.steps {
                let label = match first == last {
                    true => format!("step {first} ×"),
                    false => format!("steps {first} to {last} ×"),
                };
                if ui.small_button(label).clicked() {
                    selection.steps = None;
                }
            }
            if let Some(layer) = selection.layer
                && ui
                    .small_button(format!("{} ×", layer_name(layer)))
                    .clicked()
            {
                selection.layer = None;
            }
            if let Some(kernel) = selection.kernel
                && ui.small_button(format!("{kernel} ×")).clicked()
            {
                selection.kernel = None;
            }
            if ui.small_button("Show all").clicked() {
                *selection = Selection::default();
            }
        });
    }
}

fn layer_name(layer: Option<u32>) -> String {
    match layer {
        Some(layer) => format!("layer {layer}"),
        None => "outside the layers".to_owned(),
    }
}

/// Space to draw on, with a name for screen readers.
fn canvas(
    ui: &mut egui::Ui,
    size: egui::Vec2,
    sense: egui::Sense,
    name: &str,
) -> (egui::Response, egui::Painter) {
    let (response, painter) = ui.allocate_painter(size, sense);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::Image, true, name));
    (response, painter)
}

/// So many of something.
fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// A rate in thousand millions a second; a dash for none.
fn giga(rate: Option<f64>) -> String {
    match rate.map(|rate| rate / 1e9) {
        None => "–".to_owned(),
        Some(rate) if rate > 0.0 && rate < 0.01 => "<0.01".to_owned(),
        Some(rate) if rate < 100.0 => format!("{rate:.2}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

/// A rate as a share of the best there is, where both are known.
fn share(rate: Option<f64>, best: Option<f64>) -> String {
    match rate.zip(best).map(|(rate, best)| 100.0 * rate / best) {
        None => String::new(),
        Some(percent) if percent > 0.0 && percent < 1.0 => "<1 %".to_owned(),
        Some(percent) => format!("{percent:.0} %"),
    }
}

/// A large number in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration with a unit that keeps it short.
fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

/// Bytes with a unit that keeps them short.
fn bytes(bytes: u64) -> String {
    match bytes as f64 {
        b if b < 1e3 => format!("{b:.0} B"),
        b if b < 1e6 => format!("{:.1} kB", b / 1e3),
        b if b < 1e9 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.2} GB", b / 1e9),
    }
}
