//! The window: a chat that streams, and what every layer costs while it does.
//!
//! Nothing here waits for the device. [`App`] holds all state; it takes the engine's events in, draws, and sends commands out.
//!
//! Architecture invariant: only this module names egui.

mod action;
mod advice;
mod answers;
mod app;
mod arrangement;
mod banner;
mod blocks;
mod calendar;
mod catalog;
mod chat;
mod composer;
mod conversation;
mod dialog;
mod drawing;
mod editor;
mod find;
mod flow;
mod history;
mod icons;
mod import;
mod inspector;
mod long_text;
mod markdown;
mod message;
mod models;
mod notice;
mod options;
mod overlays;
mod pace;
mod page;
mod pictures;
mod prose;
mod running;
mod sampling;
mod scrolling;
mod settings;
mod sidebar;
mod state;
mod store;
mod template;
mod theme;
mod timings;
mod title;
mod tokens;
mod top;
mod transcript;
mod trash;
mod views;
mod welcome;
mod widgets;
mod written;
mod zoom;

#[cfg(test)]
#[path = "../../tests/fuzz/imports.rs"]
mod fuzz;

use std::io::IsTerminal;
use std::path::PathBuf;

pub use action::{Action, Export, Picture, PictureTo};
pub use app::{App, Ask, Fetch};
pub use conversation::{Conversation, Mode, Stats};
pub use options::Options;
pub use sampling::SamplingSettings;
pub use settings::{Setting, Settings};
pub use store::Store;

use self::pace::Pace;
use crate::engine::{Engine, HubLoader};
use crate::error::{Error, Result};

/// Where conversations and settings are kept unless another folder is named.
pub fn data_folder() -> Option<PathBuf> {
    let folders = directories::ProjectDirs::from("", "", "openelm")?;
    Some(folders.data_dir().to_owned())
}

/// Width and height at the first start, in points.
const SIZE: [f32; 2] = [1280.0, 800.0];

/// Opens the window and returns when it is closed.
///
/// # Errors
/// [`Error::NoDisplay`], or [`Error::Window`] where there is nothing to draw with; [`Error::NoDataFolder`] or
/// [`Error::DataFolderInUse`].
pub fn run(options: Options) -> Result<()> {
    let unset = |name| std::env::var_os(name).is_none_or(|value| value.is_empty());
    if cfg!(target_os = "linux") && unset("DISPLAY") && unset("WAYLAND_DISPLAY") {
        return Err(Error::NoDisplay);
    }
    let folder = options
        .data
        .clone()
        .or_else(data_folder)
        .ok_or(Error::NoDataFolder)?;
    // Until the window is closed.
    let _lock = match store::lock(&folder) {
        Ok(lock) => lock,
        Err(error) => {
            // Who began it by a click would see nothing happen.
            if !std::io::stderr().is_terminal() {
                let text = format!(
                    "This one was not opened: {error}. Go on in that window, which may lie behind others or on another desktop; or close it, \
                     and open this one again."
                );
                notice::show("OpenELM is open already", text);
            }
            return Err(error);
        }
    };
    let store = Store::open(&folder).map_err(Error::Window)?;
    let settings: Settings = store.peek();
    let [width, height] = settings.size.unwrap_or(SIZE);
    let mut native = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("OpenELM")
            .with_app_id("openelm")
            // Whatever the file says, it is a window.
            .with_inner_size([width.clamp(320.0, 8192.0), height.clamp(240.0, 8192.0)])
            .with_maximized(settings.is_maximized)
            .with_min_inner_size([320.0, 240.0])
            .with_icon(theme::icon()),
        ..Default::default()
    };
    native.wgpu_options.wgpu_setup = drawing::setup();
    let create = move |context: &eframe::CreationContext<'_>| {
        let egui = context.egui_ctx.clone();
        let state = context.wgpu_render_state.as_ref();
        // Where a program draws on the processor, every frame is taken from the model.
        let is_slow = state.is_none_or(|state| {
            state.adapter.get_info().device_type == eframe::wgpu::DeviceType::Cpu
        });
        let pace = if is_slow {
            Pace::slow()
        } else {
            Pace::default()
        };
        if is_slow && let Some(painter) = state.and_then(drawing::SoftwarePainter::new) {
            egui.add_plugin(painter);
        }
        let wake = pace.clone();
        let loader = HubLoader::new(options.hub.clone());
        let engine = Engine::start_with(move || wake.repaint(&egui), loader)?;
        let mut app = App::new(&context.egui_ctx, engine, store);
        app.set_pace(pace);
        app.begin(&options);
        Ok(Box::new(app) as Box<dyn eframe::App>)
    };
    eframe::run_native("openelm", native, Box::new(create)).map_err(|error| {
        Error::Window(format!(
            "cannot open a window: {error}; is there a display?"
        ))
    })
}
