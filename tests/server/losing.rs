//! A device that is lost: who was asking is told so, and the model is loaded again, but not for ever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use openelm::{Checkpoint, Error, Gpu, LoadOptions, Model};
use serde_json::json;

use super::client::{Answer, get, post};
use super::scene::{PATIENCE, Scene};

/// The device of the model that was loaded last.
#[derive(Clone, Default)]
struct Devices(Arc<Mutex<Option<Gpu>>>);

impl Devices {
    fn load(&self) -> openelm::Result<Model> {
        self.load_as(None)
    }

    /// As if on an adapter of that name.
    fn load_as(&self, adapter: Option<&str>) -> openelm::Result<Model> {
        let mut gpu = Gpu::open(None)?;
        if let Some(name) = adapter {
            gpu.adapter.name = name.into();
        }
        *self.0.lock().unwrap() = Some(gpu.clone());
        Model::from_parts(Checkpoint::open("demo")?, gpu, &LoadOptions::default())
    }

    fn lose(&self) {
        self.0.lock().unwrap().as_ref().unwrap().device.destroy();
    }
}

fn complete(scene: &Scene) -> Answer {
    let body = json!({"prompt": "Once upon a time", "max_tokens": 6, "temperature": 0});
    scene.complete(&body)
}

#[test]
fn the_model_is_loaded_again() {
    let devices = Devices::default();
    let (again, loads) = (devices.clone(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&loads);
    let scene = Scene::reloading(devices.load().unwrap(), move |broken| {
        assert_eq!(broken, None);
        count.fetch_add(1, Ordering::Relaxed);
        again.load()
    });
    let text = |answer: &Answer| answer.json()["choices"][0]["text"].clone();
    let before = complete(&scene);
    assert_eq!(before.status, 200, "{before:?}");

    // While texts are written: a stream that has begun can only end with an error.
    let mut stream = scene.client();
    let body = json!({"prompt": "A king", "max_tokens": 500, "ignore_eos": true, "stream": true});
    stream.send(post("/v1/completions", &body.to_string()));
    stream.until("data: ").unwrap();
    devices.lose();
    assert!(stream.until("\"error\"").is_some());

    scene.await_health(r#"{"status":"ok"}"#);
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    let after = complete(&scene);
    assert_eq!(after.status, 200, "{after:?}");
    assert_eq!(text(&before), text(&after));

    // And once more, since texts were written in between. This time nobody was asking.
    devices.lose();
    let refused = complete(&scene);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("1"));
    scene.await_health(r#"{"status":"ok"}"#);
    assert_eq!(text(&before), text(&complete(&scene)));
    assert_eq!(loads.load(Ordering::Relaxed), 2);
}

#[test]
fn what_cannot_be_loaded_again_is_said() {
    let devices = Devices::default();
    let scene = Scene::reloading(devices.load().unwrap(), |_| {
        Err(Error::Misuse("the file has gone".into()))
    });
    assert_eq!(complete(&scene).status, 200);
    devices.lose();
    assert_eq!(complete(&scene).status, 503);
    scene.await_health(r#"{"status":"lost"}"#);
    let refused = complete(&scene);
    assert_eq!(refused.status, 500, "{refused:?}");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert!(refused.error().contains("started again"), "{refused:?}");
    // What needs no device is still answered.
    assert_eq!(scene.ask(get("/v1/models")).status, 200);
}

/// Lost again before a token came: then another adapter is asked for, and what was asked for by then is told to ask again.
#[test]
fn another_adapter_takes_over() {
    let devices = Devices::default();
    let (again, wishes) = (devices.clone(), Arc::<Mutex<Vec<_>>>::default());
    let seen = Arc::clone(&wishes);
    let scene = Scene::reloading(devices.load_as(Some("first")).unwrap(), move |broken| {
        seen.lock().unwrap().push(broken.map(str::to_owned));
        let is_first = broken.is_none();
        let model = again.load_as(Some(if is_first { "first" } else { "second" }));
        if is_first {
            again.lose();
        }
        model
    });
    devices.lose();
    // Who asks first finds the device lost, a later one that it is so again.
    let begin = Instant::now();
    let answer = loop {
        let answer = complete(&scene);
        if answer.status != 503 {
            break answer;
        }
        assert!(begin.elapsed() < PATIENCE, "no answer");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(answer.status, 200, "{answer:?}");
    let wishes = wishes.lock().unwrap();
    assert_eq!(wishes.len(), 2);
    let broken = wishes[1].as_deref();
    assert!(wishes[0].is_none() && broken.is_some_and(|name| name.starts_with("first (")));
}

#[test]
fn a_device_that_is_lost_at_once_is_given_up() {
    let devices = Devices::default();
    let again = devices.clone();
    let scene = Scene::reloading(devices.load().unwrap(), move |_| {
        let model = again.load();
        again.lose();
        model
    });
    devices.lose();
    // Only who asks finds out that a device has gone.
    scene.await_health_while(r#"{"status":"lost"}"#, || {
        assert!(complete(&scene).status >= 500);
    });
}
