//! Models: loaded, lost, dropped on the window, not to be had.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use egui_kittest::kittest::Queryable;
use openelm::engine::{Command, Event, Load, Stage};
use openelm::window::{Action, Options, SamplingSettings, Setting};
use openelm::{Dtype, Error, Finish, HubError};

use crate::scene::{Scene, info, loaded, scene_of, stage, wait};

fn no_folder(model: &str) -> Error {
    Error::ModelNotFound {
        model: model.into(),
        is_file: false,
    }
}

/// What belongs to a load or a request that another has replaced changes nothing.
#[test]
fn late_events_of_others_are_ignored() {
    let mut stage = stage("demo");
    stage.write("Once");
    let request = stage.request();
    stage.open_models();
    stage.reach("shape:450M");
    stage.tell(loaded("OpenELM-late"));
    assert!(!stage.has("Model: OpenELM-late"), "that was load 0");
    stage.tell(Event::LoadFailed {
        load: 0,
        error: Error::Cancelled,
        kept: None,
    });
    assert!(!stage.has("Loading was cancelled"));
    // Tokens that were on their way are still text.
    stage.say(request.id, &[" upon"]);
    assert!(stage.has("Once upon"));
    stage.finish(request.id, Finish::Cancelled);
    stage.say(request.id, &[" never"]);
    assert!(!stage.has("never"));
    stage.click("Cancel loading");
    stage.tell(Event::LoadFailed {
        load: 1,
        error: Error::Cancelled,
        kept: None,
    });
    assert!(stage.has("Loading was cancelled"));
}

#[test]
fn failures_are_banners_and_lose_nothing() {
    let mut stage = stage("demo");
    stage.write("Once");
    let request = stage.request();
    stage.say(request.id, &[" upon"]);
    stage
        .events
        .send(Event::Failed {
            request: request.id,
            error: Error::DeviceLost("driver reset".into()),
        })
        .unwrap();
    stage.tell(Event::DeviceLost {
        load: 0,
        error: Error::DeviceLost("driver reset".into()),
    });
    assert!(stage.has("The GPU device was lost") && stage.has("driver reset"));
    assert!(stage.has("Once upon"), "what was written is kept");
    assert!(
        stage.has("Loading demo")
            || stage.has("The model is loading")
            || stage.has("Cancel loading")
    );
    stage.tell(loaded("demo"));
    assert!(stage.has("Recovered") && !stage.has("The GPU device was lost"));

    stage.write(" a time");
    let request = stage.request();
    assert_eq!(request.prompt, "Once upon a time");
    stage.tell(Event::Failed {
        request: request.id,
        error: Error::PromptTooLong {
            tokens: 9000,
            context_size: 512,
            max_context_size: 2048,
        },
    });
    // What was wrong, and what the window has for it.
    assert!(stage.has("9000 tokens, the context 512"));
    assert!(stage.has("A context of up to 2048 positions can be set"));
    stage.tell(Event::LoadFailed {
        load: 0,
        error: no_folder("x"),
        kept: None,
    });
    assert!(stage.has("The model could not be loaded") && stage.has("no folder `x`"));
    // Its button leads on.
    let fixes = stage.window.get_all_by_label("Choose a model");
    fixes.last().unwrap().click();
    stage.window.run();
    assert!(stage.has("Random weights of a true shape"));
    stage.open_models();
    stage.reach("shape:450M");
    let loads = stage
        .commands
        .try_iter()
        .filter_map(|command| match command {
            Command::Load(load) => Some(load.model),
            _ => None,
        });
    assert_eq!(loads.last().unwrap(), "shape:450M");
    stage.tell(Event::Loading {
        load: 1,
        stage: Stage::Download,
        done: 100_000_000,
        total: 543_000_000,
    });
    assert!(
        stage.has("Downloading shape:450M: 100 of 543 MB"),
        "{:#?}",
        stage.window.root()
    );
}

/// A folder as the system hands it over when it is dropped on a window.
#[derive(Debug)]
struct Dropped(std::path::PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("a folder".into())
    }
}

#[test]
fn a_dropped_folder_is_loaded() {
    let mut stage = stage("demo");
    let folder = stage.folder.path().to_owned();
    let file = folder.join("config.json");
    std::fs::write(&file, "{}").unwrap();
    for path in [folder.clone(), file] {
        let dropped = std::sync::Arc::new(Dropped(path));
        stage.window.input_mut().dropped_files.push(dropped);
        stage.window.run();
        let loads = stage
            .commands
            .try_iter()
            .filter_map(|command| match command {
                Command::Load(load) => Some(load.model),
                _ => None,
            });
        let loaded = loads.last().expect("a load");
        assert_eq!(std::path::Path::new(&loaded), folder);
    }
}

/// The model that is there stays until there is something to put in its place.
#[test]
fn a_model_that_cannot_be_opened_leaves_the_one_before() {
    let mut stage = stage("demo");
    stage.open_models();
    stage.reach("shape:450M");
    stage.tell(Event::LoadFailed {
        load: 1,
        error: no_folder("y"),
        kept: Some((0, Box::new(info("demo")))),
    });
    assert!(stage.has("no folder `y`") && stage.has("`demo` is still here"));
    assert!(stage.has("Model: demo · bf16"));
    stage.write("Once");
    let request = stage.request();
    stage.say(request.id, &[" upon"]);
    assert!(stage.has("Once upon"));
    // One that was loaded behind the window's back is shown as well.
    stage.click("Stop");
    stage.finish(request.id, Finish::Cancelled);
    stage.open_models();
    stage.reach("shape:450M");
    stage.open_models();
    stage.reach("shape:3B");
    stage.tell(Event::LoadFailed {
        load: 2,
        error: no_folder("z"),
        kept: Some((1, Box::new(info("shape:450M")))),
    });
    assert!(stage.has("Model: shape:450M · bf16"));
    // If its device is lost, that is news again.
    stage.tell(Event::DeviceLost {
        load: 1,
        error: Error::DeviceLost("gone".into()),
    });
    assert!(stage.has("The GPU device was lost"));
}

/// Who comes back after the model's folder has gone still has something to write with.
#[test]
fn a_model_that_is_gone_at_the_start_gives_way_to_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("settings.json"), r#"{"model":"/gone"}"#).unwrap();
    let mut stage = scene_of([1280.0, 800.0], folder);
    stage
        .window
        .state_mut()
        .begin(&openelm::window::Options::default());
    let asked = |stage: &Scene<'_>| {
        let loads = stage
            .commands
            .try_iter()
            .filter_map(|command| match command {
                Command::Load(load) => Some((load.id, load.model)),
                _ => None,
            });
        loads.last().expect("a load")
    };
    let (load, model) = asked(&stage);
    assert_eq!(model, "/gone");
    stage.tell(Event::LoadFailed {
        load,
        error: no_folder("/gone"),
        kept: None,
    });
    assert!(stage.has("no folder `/gone`") && stage.has("The demo takes its place"));
    let (load, model) = asked(&stage);
    assert_eq!(model, "demo");
    // Should that fail as well, that is the end of it.
    stage.tell(Event::LoadFailed {
        load,
        error: Error::Gpu("broken".into()),
        kept: None,
    });
    assert!(stage.has("No model is loaded now"));
}

/// What is kept "for this model" is for the one that runs, not for the one it stands in for.
#[test]
fn sampling_is_kept_for_the_model_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    std::fs::write(&file, r#"{"model":"/gone"}"#).unwrap();
    let mut stage = scene_of([1280.0, 800.0], folder);
    stage.window.state_mut().begin(&Options::default());
    let gone = last_load(&stage).id;
    stage.tell(Event::LoadFailed {
        load: gone,
        error: no_folder("/gone"),
        kept: None,
    });
    let Event::Loaded { info, .. } = loaded("demo") else {
        unreachable!("that is what it is");
    };
    let load = last_load(&stage).id;
    stage.tell(Event::Loaded { load, info });
    let mut sampling = SamplingSettings::default();
    (sampling.own, sampling.temperature) = (true, 0.4);
    let set = Action::Set(Setting::SamplingParams(sampling));
    stage.window.state_mut().act(set);
    stage.click("Settings");
    stage.reach("Keep for this model");
    let folder = stage.close();
    let kept: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("settings.json")).unwrap())
            .unwrap();
    assert!(kept["model_sampling"]["demo"].is_object(), "{kept}");
    assert!(kept["model_sampling"]["/gone"].is_null());
    assert_eq!(
        kept["model"], "/gone",
        "what was chosen is still remembered"
    );
}

/// Fetching that does what the test says: how far it has come, or how it ended.
pub fn fetching(stage: &mut Scene<'_>) -> Sender<Result<(u64, u64), Option<Error>>> {
    let (tell, told) = channel::<Result<(u64, u64), Option<Error>>>();
    let told = Mutex::new(told);
    let fetch = move |load: &Load, report: &mut dyn FnMut(u64, u64)| {
        let cancel = load.options.cancel.as_ref().unwrap();
        let told = told.lock().unwrap();
        loop {
            match told.recv_timeout(Duration::from_millis(5)) {
                Ok(Ok((done, total))) => report(done, total),
                Ok(Err(error)) => {
                    let copy = load.tokenizer_repo.clone();
                    return error.map_or(Ok(copy.map(|copy| format!("With {copy}."))), Err);
                }
                Err(_) if cancel.load(Ordering::Relaxed) => return Err(Error::Cancelled),
                Err(RecvTimeoutError::Timeout) => {}
                // The test is over.
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Cancelled),
            }
        }
    };
    stage.window.state_mut().set_fetch(Arc::new(fetch));
    tell
}

/// Fetching leaves what is loaded, and what goes on, alone.
#[test]
fn real_weights_are_one_click_away() {
    let mut stage = stage("demo");
    let tell = fetching(&mut stage);
    stage.click("Get Apple's OpenELM weights…");
    assert!(stage.has("huggingface.co/meta-llama/Llama-2-7b-hf"));
    stage.reach("OpenELM-270M-Instruct");
    assert!(stage.has("apple/OpenELM-270M-Instruct: asking the hub"));
    tell.send(Ok((100_000_000, 543_000_000))).unwrap();
    wait(&mut stage, "apple/OpenELM-270M-Instruct: 100 MB of 543 MB");
    stage.click("Close the page of models");
    stage.write("Once");
    let request = stage.request();
    stage.say(request.id, &[" upon"]);
    assert!(stage.has("Once upon"));
    stage.finish(request.id, Finish::Eos);
    tell.send(Err(None)).unwrap();
    wait(&mut stage, "`apple/OpenELM-270M-Instruct` is here now");
    stage.click("Load it");
    assert_eq!(last_load(&stage).model, "apple/OpenELM-270M-Instruct");
    assert!(!stage.has("is here now"));
}

/// The tokenizer of Llama 2 is behind a gate, copies of it are not.
#[test]
fn a_copy_of_the_tokenizer_can_be_chosen() {
    let mut stage = stage("demo");
    let tell = fetching(&mut stage);
    let copy = openelm::hub::TOKENIZER_COPIES[0];
    let setting = Setting::TokenizerRepo(Some(copy.to_owned()));
    stage.window.state_mut().act(Action::Set(setting));
    stage.open_models();
    assert!(stage.has("a copy by others, which needs no token"));
    stage.reach("OpenELM-270M-Instruct");
    tell.send(Err(None)).unwrap();
    wait(&mut stage, &format!("is here now. With {copy}."));
    stage.click("Close the page of models");
    stage.click("Load it");
    let load = last_load(&stage);
    assert_eq!(load.tokenizer_repo.as_deref(), Some(copy));
}

/// A model is pulled by its name; that can be ended, and gone on with.
#[test]
fn pulling_is_cancelled_and_gone_on_with() {
    let mut stage = stage("demo");
    let tell = fetching(&mut stage);
    stage.open_models();
    let type_name = |stage: &mut Scene<'_>, text: &str| {
        let field = stage.window.get_by_label("Name on the hub");
        field.set_text_value_accesskit(text);
        stage.window.run();
        stage.reach("Pull");
    };
    type_name(&mut stage, "no name");
    assert!(stage.has("`no name` is no name on the hub"));
    type_name(&mut stage, "apple/OpenELM-3B@v1");
    assert!(stage.has("apple/OpenELM-3B@v1: asking the hub"));
    assert!(!stage.has("is no name on the hub"));
    stage.reach("Cancel the download of apple/OpenELM-3B@v1");
    wait(&mut stage, "The download was cancelled");
    stage.click("Close the page of models");
    stage.click("Resume");
    tell.send(Ok((1, 2))).unwrap();
    // Also after the network was lost.
    let error = HubError::Connection {
        url: "https://hub".into(),
        cause: "gone".into(),
    };
    tell.send(Err(Some(error.into()))).unwrap();
    wait(&mut stage, "The model could not be downloaded");
    stage.click("Try again");
    stage.open_models();
    assert!(stage.has("apple/OpenELM-3B@v1: asking the hub"));
}

/// Each model that is here is shown with its shape, what it needs, and what fits.
#[test]
fn the_page_shows_what_is_here() {
    let stage = stage("demo");
    let broken = stage.folder.path().join("broken");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("config.json"), "{").unwrap();
    let settings = format!(r#"{{"recent":["demo","{}","/gone"]}}"#, broken.display());
    std::fs::write(stage.folder.path().join("settings.json"), settings).unwrap();
    let mut stage = scene_of([1280.0, 800.0], stage.folder);
    stage.tell(loaded("demo"));
    stage.open_models();
    assert!(stage.has("2.8 million parameters") && stage.has("built in"));
    assert!(stage.has("query heads") && stage.has("KV heads") && stage.has("FFN"));
    // This adapter is no program on the processor, so nobody knows.
    assert!(stage.has("Memory for a model: unknown"));
    assert!(stage.has("Auto: bf16; q8, then q4 if that does not fit") || stage.has("Auto: "));
    assert!(stage.has("Cannot be loaded") && stage.has("broken"));
    assert!(!stage.has("/gone"));
    stage.click("Load again demo");
    assert_eq!(last_load(&stage).model, "demo");
}

/// Where no format is asked for, a model that does not fit is loaded in fewer bits.
#[test]
fn what_does_not_fit_is_loaded_in_fewer_bits() {
    let mut stage = stage("demo");
    let full = || Error::OutOfMemory {
        adapter: "Test GPU".into(),
        need: None,
    };
    let model = "/models/OpenELM-3B";
    stage.window.state_mut().act(Action::Load(model.into()));
    for dtype in [None, Some(Dtype::Q8), Some(Dtype::Q4)] {
        let load = last_load(&stage);
        assert_eq!(load.options.dtype, dtype);
        stage.tell(Event::LoadFailed {
            load: load.id,
            error: full(),
            kept: None,
        });
    }
    assert!(stage.has("The model could not be loaded"));
    assert!(
        stage.commands.try_iter().next().is_none(),
        "there is nothing smaller"
    );
    // Who asks for a format gets that or an error.
    let setting = Setting::Dtype(Some("f32".into()));
    stage.window.state_mut().act(Action::Set(setting));
    stage.window.state_mut().act(Action::Load(model.into()));
    let load = last_load(&stage);
    assert_eq!(load.options.dtype, Some(Dtype::F32));
    stage.tell(Event::LoadFailed {
        load: load.id,
        error: full(),
        kept: None,
    });
    assert!(stage.commands.try_iter().next().is_none());
}

/// The model of the last time is tried in fewer bits before the demo takes its place.
#[test]
fn what_did_not_fit_the_last_time_is_not_given_up_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("OpenELM-3B");
    std::fs::create_dir(&model).unwrap();
    let settings = serde_json::json!({ "model": model });
    std::fs::write(folder.path().join("settings.json"), settings.to_string()).unwrap();
    let mut stage = scene_of([1280.0, 800.0], folder);
    stage.window.state_mut().begin(&Options::default());
    for dtype in [None, Some(Dtype::Q8), Some(Dtype::Q4)] {
        let load = last_load(&stage);
        assert!(load.model.ends_with("OpenELM-3B"), "{}", load.model);
        assert_eq!(load.options.dtype, dtype);
        stage.tell(Event::LoadFailed {
            load: load.id,
            error: Error::OutOfMemory {
                adapter: "Test GPU".into(),
                need: None,
            },
            kept: None,
        });
    }
    assert_eq!(last_load(&stage).model, "demo");
    assert!(stage.has("The demo takes its place"));
}

/// Sampling has names, and can be a model's.
#[test]
fn sampling_is_chosen_by_name_and_kept_for_a_model() {
    let mut stage = stage("demo");
    let load = |stage: &mut Scene<'_>, load: u64, name: &str| {
        stage.window.state_mut().act(Action::Load(name.into()));
        let mut info = Box::new(info(name));
        info.sampling.processors.no_repeat_ngram_size = 3;
        stage.tell(Event::Loaded { load, info });
    };
    load(&mut stage, 1, "demo");
    stage.click("Settings");
    let temperature = |stage: &mut Scene<'_>| {
        stage.write("Once");
        let request = stage.request();
        stage.finish(request.id, Finish::Eos);
        // There is no control for it, so the model's file has its way.
        assert_eq!(request.options.sampling.processors.no_repeat_ngram_size, 3);
        request.options.sampling.temperature
    };
    stage.reach("Preset");
    stage.click("Precise");
    assert_eq!(temperature(&mut stage), 0.2);
    stage.reach("Keep for this model");
    load(&mut stage, 2, "other");
    let suggested = info("other").sampling.temperature;
    assert_eq!(temperature(&mut stage), suggested);
    load(&mut stage, 3, "demo");
    assert_eq!(temperature(&mut stage), 0.2);
    // One's own preset.
    let sampling = SamplingSettings {
        own: true,
        temperature: 0.33,
        ..SamplingSettings::default()
    };
    let setting = Setting::SamplingParams(sampling);
    stage.window.state_mut().act(Action::Set(setting));
    stage.window.run();
    // Naming it can be left, by a button and by Escape.
    for leaves in ["Save no preset", "Escape"] {
        stage.reach("Save as a preset");
        let field = stage.window.get_by_label("Name of the preset");
        field.focus();
        field.type_text("Unwanted");
        stage.window.run();
        match leaves {
            "Escape" => stage.press(egui::Modifiers::NONE, egui::Key::Escape),
            button => stage.click(button),
        }
        assert!(!stage.has("Name of the preset"), "{leaves}");
    }
    stage.reach("Save as a preset");
    let field = stage.window.get_by_label("Name of the preset");
    field.focus();
    field.type_text("Mine");
    stage.window.run();
    stage.reach("Save preset");
    stage.reach("Preset");
    assert!(!stage.has("Unwanted"));
    stage.click("Creative");
    assert_eq!(temperature(&mut stage), 1.0);
    stage.reach("Preset");
    stage.click("Mine");
    assert_eq!(temperature(&mut stage), 0.33);
    stage.reach("Delete this preset");
    assert!(!stage.has("Delete this preset"));
    stage.click("Undo");
    assert!(stage.has("Delete this preset"));
    assert_eq!(temperature(&mut stage), 0.33);
}

/// The latest load that the window has sent.
fn last_load(stage: &Scene<'_>) -> Box<openelm::engine::Load> {
    let loads = stage
        .commands
        .try_iter()
        .filter_map(|command| match command {
            Command::Load(load) => Some(load),
            _ => None,
        });
    loads.last().expect("a load")
}

/// A model that is loaded by its name is fetched first; that can be ended, and gone on with.
#[test]
fn a_model_of_the_hub_is_fetched_cancelled_and_gone_on_with() {
    let mut stage = stage("demo");
    stage.open_models();
    let field = stage.window.get_by_label("Path of a model");
    field.set_text_value_accesskit("apple/OpenELM-3B@v1");
    stage.window.run();
    stage.reach("Load");
    let load = last_load(&stage);
    assert_eq!(load.model, "apple/OpenELM-3B@v1");
    assert!(!load.local, "who asks for it gets it fetched");
    let progress = |load| Event::Loading {
        load,
        stage: Stage::Download,
        done: 1_000_000_000,
        total: 12_000_000_000,
    };
    stage.tell(progress(load.id));
    assert!(stage.has("Downloading apple/OpenELM-3B@v1: 1000 of 12000 MB"));
    stage.click("Cancel loading");
    let cancel = load.options.cancel.as_ref().unwrap();
    assert!(cancel.load(std::sync::atomic::Ordering::Relaxed));
    let kept = || Some((0, Box::new(info("demo"))));
    stage.tell(Event::LoadFailed {
        load: load.id,
        error: Error::Cancelled,
        kept: kept(),
    });
    assert!(stage.has("`demo` is still here"));
    stage.click("Resume");
    let load = last_load(&stage);
    assert_eq!(load.model, "apple/OpenELM-3B@v1");
    assert!(!stage.has("Loading was cancelled"));
    // Also after the network was lost.
    stage.tell(progress(load.id));
    let error = HubError::Connection {
        url: "https://hub".into(),
        cause: "gone".into(),
    };
    stage.tell(Event::LoadFailed {
        load: load.id,
        error: error.into(),
        kept: kept(),
    });
    assert!(stage.has("What has come so far is kept"));
    stage.click("Try again");
    assert_eq!(last_load(&stage).model, "apple/OpenELM-3B@v1");
}

/// The page of models shows what is being fetched, and ends it.
#[test]
fn the_page_of_models_shows_a_download() {
    let mut stage = stage("demo");
    let model = "apple/OpenELM-450M".to_owned();
    stage.window.state_mut().act(Action::Load(model));
    stage.window.run();
    let load = last_load(&stage);
    stage.tell(Event::Loading {
        load: load.id,
        stage: Stage::Download,
        done: 1,
        total: 2,
    });
    stage.open_models();
    stage.reach("Cancel the download");
    let cancel = load.options.cancel.as_ref().unwrap();
    assert!(cancel.load(std::sync::atomic::Ordering::Relaxed));
}

/// Opening the window fetches nothing; it offers to.
#[test]
fn a_start_fetches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let settings = r#"{"model":"apple/OpenELM-3B"}"#;
    std::fs::write(folder.path().join("settings.json"), settings).unwrap();
    let mut stage = scene_of([1280.0, 800.0], folder);
    stage
        .window
        .state_mut()
        .begin(&openelm::window::Options::default());
    let load = last_load(&stage);
    assert!(load.local);
    let error = HubError::Offline {
        repo: "apple/OpenELM-3B".into(),
        missing: "the model".into(),
        cache: "/cache".into(),
    };
    stage.tell(Event::LoadFailed {
        load: load.id,
        error: error.into(),
        kept: None,
    });
    stage.click("Download it");
    let load = last_load(&stage);
    assert_eq!(load.model, "apple/OpenELM-3B");
    assert!(!load.local);
}

#[test]
fn all_warnings_of_a_model_are_told() {
    let mut stage = scene_of([1280.0, 800.0], tempfile::tempdir().unwrap());
    let mut info = info("demo");
    info.warnings = vec!["no tokenizer".into(), "odd sampling".into()];
    let info = Box::new(info);
    stage.tell(Event::Loaded { load: 0, info });
    assert!(stage.has("no tokenizer") && stage.has("odd sampling"));
}
