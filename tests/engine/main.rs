//! The worker behind the window: everything it is told ends in an event, and nothing it does can hang its owner.

mod requests;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use openelm::engine::{
    Chat, Command, Engine, Event, Load, Loader, ModelInfo, Report, Request, Resolved, Stage,
    TokenEvent,
};
use openelm::text::{ChatTemplate, Role, Template, Turn};
use openelm::trace::{Step, TraceMode, TracePlan};
use openelm::{
    Checkpoint, Error, Finish, GenerateOptions, Gpu, LoadOptions, Model, ModelFiles, Progress,
};

/// A loader that puts a model on a device in its own way.
struct With<F>(F);

impl<F> Loader for With<F>
where
    F: FnMut(&Load, Report<'_>) -> openelm::Result<Model> + Send,
{
    fn load(&mut self, _: ModelFiles, load: &Load, report: Report<'_>) -> openelm::Result<Model> {
        (self.0)(load, report)
    }
}

const LONG: Duration = Duration::from_secs(300);

fn load(model: &str) -> Command {
    Command::Load(Box::new(Load {
        model: model.into(),
        ..Load::default()
    }))
}

fn request(id: u64, prompt: &str, tokens: usize) -> Request {
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(tokens);
    options.ignore_eos = true;
    options.top_logprobs = 3;
    options.cancel = Some(Arc::new(AtomicBool::new(false)));
    Request {
        id,
        prompt: prompt.into(),
        given: Vec::new(),
        options,
        trace: TracePlan {
            mode: TraceMode::Kernels,
            ..TracePlan::default()
        },
    }
}

/// A load with a flag that ends it, set or not.
fn cancellable(id: u64, model: &str, is_cancelled: bool) -> Command {
    let mut load = Load {
        id,
        model: model.into(),
        ..Load::default()
    };
    load.options.cancel = Some(Arc::new(AtomicBool::new(is_cancelled)));
    Command::Load(Box::new(load))
}

/// Waits for the event that `pick` wants.
fn until<T>(engine: &Engine, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    loop {
        let event = engine.wait(LONG).expect("an event");
        if let Some(found) = pick(event) {
            return found;
        }
    }
}

fn loaded(engine: &Engine) -> Box<ModelInfo> {
    until(engine, |event| match event {
        Event::Loaded { info, .. } => Some(info),
        Event::LoadFailed { error, .. } => panic!("{error}"),
        _ => None,
    })
}

struct Outcome {
    tokens: Vec<TokenEvent>,
    steps: Vec<Step>,
    end: Result<(Finish, usize), Error>,
}

fn outcome(engine: &Engine, id: u64) -> Outcome {
    let (mut tokens, mut steps) = (Vec::new(), Vec::new());
    let end = until(engine, |event| match event {
        Event::Token { request, token } => {
            assert_eq!(request, id);
            tokens.push(*token);
            None
        }
        Event::Step { requests, step } => {
            assert_eq!(requests, [id]);
            steps.push(*step);
            None
        }
        Event::Finished {
            finish, positions, ..
        } => Some(Ok((finish, positions))),
        Event::Failed { error, .. } => Some(Err(error)),
        _ => None,
    });
    Outcome { tokens, steps, end }
}

#[test]
fn a_prompt_becomes_tokens_steps_and_an_end() {
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    let mut engine = Engine::start(move || {
        count.fetch_add(1, Ordering::Relaxed);
    })
    .unwrap();
    engine.send(load("demo"));
    let info = loaded(&engine);
    assert!(info.memory.weights > 1 << 20 && info.memory.kv_cache > 0 && info.has_tokenizer);

    engine.send(Command::Count {
        id: 3,
        text: "Once upon a time".into(),
    });
    let count = until(&engine, |event| match event {
        Event::Counted { id: 3, count } => Some(count),
        _ => None,
    });
    engine.send(Command::Generate(Box::new(request(
        7,
        "Once upon a time",
        20,
    ))));
    let Outcome { tokens, steps, end } = outcome(&engine, 7);
    assert_eq!(end.unwrap(), (Finish::Length, count + 20));
    let text: String = tokens.iter().map(|event| &*event.token.text).collect();
    assert!(text.starts_with(" there"), "{text}");
    assert_eq!(tokens[0].piece, " there");
    assert_eq!(tokens[0].alternatives.len(), 3);
    assert_eq!(tokens[0].alternatives[0].logprob, tokens[0].token.logprob);
    // After every sixteenth token the device may run ahead without the trace, to know what the trace costs.
    let untraced = tokens.iter().filter(|event| !event.traced).count();
    assert!((1..=4).contains(&untraced), "{untraced}");
    // Those are known as a whole.
    assert_eq!(steps.len(), 20);
    let detailed = steps.iter().filter(|step| step.mode.is_detailed());
    assert_eq!(detailed.count(), 20 - untraced);
    assert!(woken.load(Ordering::Relaxed) > tokens.len());

    engine.send(Command::Measure);
    let peaks = until(&engine, |event| match event {
        Event::Measured { peaks, .. } => Some(peaks),
        _ => None,
    });
    assert!(peaks.bytes_per_s > 1e6 && peaks.flops_per_s > 1e6);
}

#[test]
fn cancelling_ends_a_request_early() {
    let request = request(1, "Once upon a time", 450);
    let cancel = request.options.cancel.clone().unwrap();
    // The worker itself, after its fiftieth event: so it is known how many tokens there were.
    let (woken, flag) = (AtomicUsize::new(0), Arc::clone(&cancel));
    let mut engine = Engine::start(move || {
        if woken.fetch_add(1, Ordering::Relaxed) == 50 {
            flag.store(true, Ordering::Relaxed);
        }
    })
    .unwrap();
    engine.send(load("demo"));
    engine.send(Command::Generate(Box::new(request)));
    let (mut events, mut after) = (0, 0);
    let finish = until(&engine, |event| {
        events += 1;
        match event {
            Event::Token { .. } => {
                after += usize::from(events > 51);
                None
            }
            Event::Finished { finish, .. } => Some(finish),
            _ => None,
        }
    });
    assert_eq!(finish, Finish::Cancelled);
    // Of the step that had just been timed, and of the one after, which ends it.
    assert!(events > 51 && after <= 2, "{after} tokens came after it");
}

/// Keeps the worker where it is until it is told to end, so that what it does then does not depend on who is faster.
fn until_cancelled(cancel: &AtomicBool) {
    let begin = Instant::now();
    while !cancel.load(Ordering::Relaxed) && begin.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A conversation is shortened where it is too long, and what it says is no end of text.
#[test]
fn a_conversation_goes_on_at_the_end_of_the_context() {
    let mut engine = Engine::start(|| {}).unwrap();
    engine.send(load("demo"));
    let context_size = loaded(&engine).context_size;
    let template: ChatTemplate = Template::instruct().into();
    let mut ask = |id, count| {
        let turns = [Role::User, Role::Assistant].into_iter().cycle();
        let turns = turns.map(|role| Turn::new(role, "The king</s> and the fox."));
        let mut request = request(id, "", 3);
        request.prompt.chat = Some(Chat {
            template: template.clone(),
            turns: turns.take(count).collect(),
        });
        engine.send(Command::Generate(Box::new(request)));
        let mut left_out = 0;
        let positions = until(&engine, |event| match event {
            Event::LeftOut { request, turns } => {
                assert_eq!(request, id);
                left_out = turns;
                None
            }
            Event::Finished { positions, .. } => Some(positions),
            Event::Failed { error, .. } => panic!("{error}"),
            _ => None,
        });
        (left_out, positions)
    };
    let (left_out, short) = ask(1, 1);
    assert_eq!(left_out, 0);
    // The words that spell an end of text are more than that one token.
    assert!(short > 25, "{short}");
    let (left_out, long) = ask(2, 101);
    assert!(left_out > 0 && left_out % 2 == 0);
    assert!(long <= context_size && long > context_size / 2, "{long}");
}

#[test]
fn dropping_the_engine_does_not_wait_for_what_goes_on() {
    let request = request(1, "Once", 200);
    let cancel = request.options.cancel.clone().unwrap();
    let (is_dropped, after) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (dropped, count) = (Arc::clone(&is_dropped), Arc::clone(&after));
    let mut engine = Engine::start(move || {
        if dropped.load(Ordering::Relaxed) {
            until_cancelled(&cancel);
            count.fetch_add(1, Ordering::Relaxed);
        }
    })
    .unwrap();
    engine.send(load("demo"));
    engine.send(Command::Generate(Box::new(request)));
    until(&engine, |event| {
        matches!(event, Event::Token { .. }).then_some(())
    });
    is_dropped.store(true, Ordering::Relaxed);
    drop(engine);
    // The event that was being told, a last step and its token, and the end.
    let after = after.load(Ordering::Relaxed);
    assert!((1..=5).contains(&after), "{after} events came after it");
}

#[test]
fn dropping_the_engine_ends_a_load() {
    let outcomes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let outcome = Arc::clone(&outcomes);
    let mut engine = Engine::start_with(
        || {},
        With(move |load: &Load, progress: Report<'_>| {
            let model = Model::load_with_progress(&load.model, &load.options, |done| {
                progress(Stage::Upload, done);
                until_cancelled(load.options.cancel.as_deref().unwrap());
            });
            let end = model.as_ref().map(|_| ()).map_err(ToString::to_string);
            outcome.lock().unwrap().push(end);
            model
        }),
    )
    .unwrap();
    engine.send(cancellable(1, "demo", false));
    until(&engine, |event| {
        matches!(event, Event::Loading { .. }).then_some(())
    });
    drop(engine);
    let expected = Err(Error::Cancelled.to_string());
    assert_eq!(*outcomes.lock().unwrap(), [expected]);
}

/// A load that is cancelled in the middle ends with that, and with nothing else.
#[test]
fn cancelling_ends_a_load() {
    let flag = Arc::new(AtomicBool::new(false));
    let cancel = Arc::clone(&flag);
    // The worker itself, after its first event.
    let mut engine = Engine::start(move || cancel.store(true, Ordering::Relaxed)).unwrap();
    let mut first = Load {
        id: 1,
        model: "shape:270M".into(),
        ..Load::default()
    };
    first.options.cancel = Some(flag);
    engine.send(Command::Load(Box::new(first)));
    engine.send(cancellable(2, "demo", false));
    let (mut begun, mut failed) = (0, false);
    until(&engine, |event| match event {
        Event::Loading { load: 1, .. } => {
            assert!(!failed);
            begun += 1;
            None
        }
        Event::LoadFailed { load: 1, error, .. } => {
            assert!(matches!(error, Error::Cancelled), "{error}");
            assert!(!failed);
            failed = true;
            None
        }
        Event::Loading { load: 2, .. } => {
            assert!(failed, "one load after the other");
            None
        }
        Event::Loaded { load: 2, .. } => Some(()),
        other => panic!("{other:?}"),
    });
    assert_eq!(begun, 1);
}

#[test]
fn mistakes_are_events_and_the_engine_goes_on() {
    let mut engine = Engine::start(|| {}).unwrap();
    engine.send(Command::Generate(Box::new(request(1, "Once", 1))));
    assert!(outcome(&engine, 1).end.is_err());
    engine.send(load("/no/such/folder"));
    let error = until(&engine, |event| match event {
        Event::LoadFailed { error, .. } => Some(error.to_string()),
        _ => None,
    });
    assert!(error.contains("/no/such/folder"));
    engine.send(load("demo"));
    loaded(&engine);
    engine.send(Command::Generate(Box::new(request(
        2,
        &"word ".repeat(5000),
        1,
    ))));
    let error = outcome(&engine, 2).end.unwrap_err();
    assert!(matches!(error, Error::PromptTooLong { .. }), "{error}");
    engine.send(Command::Generate(Box::new(request(3, "Once", 1))));
    assert_eq!(outcome(&engine, 3).end.unwrap().0, Finish::Length);
}

/// An engine, and the devices that it opens.
fn with_devices() -> (Engine, Arc<Mutex<Vec<Gpu>>>) {
    let gpus = Arc::new(Mutex::new(Vec::new()));
    let opened = Arc::clone(&gpus);
    let engine = Engine::start_with(
        || {},
        With(move |load: &Load, _: Report<'_>| {
            let gpu = Gpu::open(None)?;
            opened.lock().unwrap().push(gpu.clone());
            Model::from_parts(Checkpoint::open(&load.model)?, gpu, &LoadOptions::default())
        }),
    );
    (engine.unwrap(), gpus)
}

#[test]
fn a_lost_device_is_opened_again_once() {
    let (mut engine, gpus) = with_devices();
    engine.send(load("demo"));
    loaded(&engine);
    let destroy_last = || gpus.lock().unwrap().last().unwrap().device.destroy();

    destroy_last();
    engine.send(Command::Generate(Box::new(request(1, "Once", 4))));
    let error = outcome(&engine, 1).end.unwrap_err();
    assert!(matches!(error.root(), Error::DeviceLost(_)), "{error}");
    let mut announced = false;
    until(&engine, |event| match event {
        Event::DeviceLost { .. } => {
            announced = true;
            None
        }
        Event::Loaded { .. } => Some(()),
        _ => None,
    });
    assert!(announced);

    // Lost again before anything worked: it will not be tried for ever.
    destroy_last();
    engine.send(Command::Generate(Box::new(request(2, "Once", 4))));
    until(&engine, |event| {
        matches!(event, Event::LoadFailed { .. }).then_some(())
    });
    engine.send(load("demo"));
    loaded(&engine);
    engine.send(Command::Generate(Box::new(request(3, "Once", 4))));
    assert_eq!(outcome(&engine, 3).end.unwrap().0, Finish::Length);
    assert_eq!(gpus.lock().unwrap().len(), 3);
}

/// While a request is paused nothing is timed, not even its prompt.
#[test]
fn a_paused_request_is_not_timed() {
    let mut engine = Engine::start(|| {}).unwrap();
    engine.send(load("demo"));
    let paused = request(1, "Once upon a time", 4);
    paused.trace.pause.store(true, Ordering::Relaxed);
    engine.send(Command::Generate(Box::new(paused)));
    let outcome = outcome(&engine, 1);
    assert!(outcome.end.is_ok() && outcome.tokens.len() == 4);
    assert!(outcome.steps.is_empty());
}

/// A model whose files are no good does not cost the one that is there.
#[test]
fn a_model_stays_until_there_is_another() {
    let mut engine = Engine::start(|| {}).unwrap();
    engine.send(load("demo"));
    loaded(&engine);
    engine.send(Command::Load(Box::new(Load {
        id: 5,
        model: "/no/such/folder".into(),
        ..Load::default()
    })));
    let kept = until(&engine, |event| match event {
        Event::LoadFailed { load: 5, kept, .. } => Some(kept.map(|(load, info)| (load, info.name))),
        _ => None,
    });
    assert_eq!(kept, Some((0, "demo".to_owned())));
    engine.send(Command::Generate(Box::new(request(2, "Once", 1))));
    assert_eq!(outcome(&engine, 2).end.unwrap().0, Finish::Length);
}

/// A loader that fetches a model first tells how far it has come.
#[test]
fn a_loader_of_its_own_reports_its_download() {
    struct Downloads;
    impl Loader for Downloads {
        fn resolve(&mut self, load: &Load, report: Report<'_>) -> openelm::Result<Resolved> {
            for done in [1, 2] {
                report(Stage::Download, Progress { done, total: 2 });
            }
            Ok(load.model.replace("hub/", "").into())
        }
    }
    let mut engine = Engine::start_with(|| {}, Downloads).unwrap();
    engine.send(load("hub/demo"));
    let mut stages = Vec::new();
    until(&engine, |event| match event {
        Event::Loading { stage, .. } => {
            stages.push(stage);
            None
        }
        Event::Loaded { .. } => Some(()),
        _ => None,
    });
    assert_eq!(
        stages[..3],
        [Stage::Download, Stage::Download, Stage::Upload]
    );
}

/// Tokens that are given come back as tokens, and what follows is what would have followed.
#[test]
fn given_tokens_are_continued() {
    let mut engine = Engine::start(|| {}).unwrap();
    engine.send(load("demo"));
    engine.send(Command::Generate(Box::new(request(
        1,
        "Once upon a time",
        8,
    ))));
    let free = outcome(&engine, 1);
    let mut second = request(2, "Once upon a time", 5);
    let ids = free.tokens.iter().map(|event| event.token.id);
    second.given = ids.take(3).collect();
    engine.send(Command::Generate(Box::new(second)));
    let forced = outcome(&engine, 2);
    let text = |outcome: &Outcome| -> String {
        let texts = outcome.tokens.iter().map(|event| &*event.token.text);
        texts.collect()
    };
    assert_eq!(text(&free), text(&forced));
    assert_eq!(forced.tokens.len(), 8);
}

/// A load that was cancelled while it waited for its turn is not begun.
#[test]
fn events_say_which_load_they_are_of() {
    let mut engine = Engine::start(|| {}).unwrap();
    for (id, model, is_cancelled) in [
        (1, "demo", false),
        (2, "shape:1_1B", true),
        (3, "demo", false),
    ] {
        engine.send(cancellable(id, model, is_cancelled));
    }
    let mut ends = Vec::new();
    until(&engine, |event| {
        match event {
            Event::Loaded { load, .. } => ends.push((load, true)),
            Event::LoadFailed { load, error, .. } => {
                assert!(matches!(error, Error::Cancelled), "{error}");
                ends.push((load, false));
            }
            _ => {}
        }
        (ends.len() == 3).then_some(())
    });
    assert_eq!(ends, [(1, true), (2, false), (3, true)]);
}

/// Several requests at once: each gets the tokens that it gets alone, and one that is cancelled leaves the others as they are.
#[test]
fn requests_run_side_by_side() {
    let mut engine = Engine::start(|| {}).unwrap();
    engine.send(load("demo"));
    loaded(&engine);
    let prompts = [
        "Once upon a time",
        "There was a king",
        "The cat",
        "A poor man",
    ];
    let of = |id: u64| {
        let mut request = request(id, prompts[id as usize % 4], 24);
        request.options.sampling.temperature = [0.0, 0.9][id as usize % 2];
        request.options.sampling.seed = id % 4;
        request.trace.mode = TraceMode::Off;
        request
    };
    let ids = |outcome: Outcome| -> Vec<u32> {
        outcome.end.unwrap();
        outcome.tokens.iter().map(|event| event.token.id).collect()
    };
    let alone: Vec<Vec<u32>> = (0..4)
        .map(|id| {
            engine.send(Command::Generate(Box::new(of(id))));
            ids(outcome(&engine, id))
        })
        .collect();
    let mut cancelled = of(9);
    cancelled.options.max_tokens = Some(400);
    let cancel = cancelled.options.cancel.clone().unwrap();
    engine.send(Command::Generate(Box::new(cancelled)));
    for id in 4..8 {
        engine.send(Command::Generate(Box::new(of(id))));
    }
    let mut texts = vec![Vec::new(); 8];
    let (mut finished, mut order) = (0, Vec::new());
    while finished < 5 {
        match engine.wait(LONG).unwrap() {
            Event::Token { request: 9, .. } => cancel.store(true, Ordering::Relaxed),
            Event::Token { request, token } => {
                texts[request as usize].push(token.token.id);
                order.push(request);
            }
            Event::Finished {
                request, finish, ..
            } => {
                let expected = match request {
                    9 => Finish::Cancelled,
                    _ => Finish::Length,
                };
                assert_eq!(finish, expected);
                finished += 1;
            }
            Event::Failed { request, error } => panic!("{request}: {error}"),
            _ => {}
        }
    }
    assert_eq!(texts[4..], alone);
    // They take turns; nobody waits for the end of another.
    let first_of_last = order.iter().position(|id| *id == 7).unwrap();
    let last_of_first = order.iter().rposition(|id| *id == 4).unwrap();
    assert!(first_of_last < last_of_first, "{order:?}");
}

/// Several answers to one prompt: it is computed once, then they share steps, and each is what it would be alone.
#[test]
fn answers_to_one_prompt_share_it() {
    let mut engine = Engine::start(|| {}).unwrap();
    engine.send(load("demo"));
    loaded(&engine);
    let of = |id: u64| {
        let mut request = request(id, "Once upon a time there was a", 24);
        request.options.sampling.temperature = 1.0;
        request.options.sampling.seed = id % 10;
        request.trace.mode = TraceMode::Steps;
        request
    };
    for id in 0..4 {
        engine.send(Command::Generate(Box::new(of(id))));
    }
    let (mut texts, mut computed) = (vec![Vec::new(); 4], vec![0; 4]);
    let mut prompts = [0; 4];
    let (mut finished, mut most) = (0, 0);
    while finished < 4 {
        match engine.wait(LONG).unwrap() {
            Event::Prompt {
                request,
                kept,
                total,
                ..
            } => prompts[request as usize] = kept + total,
            Event::Token { request, token } => texts[request as usize].push(token.token.id),
            Event::Step { requests, step } => {
                let decoded = step.tokens as usize;
                most = most.max(decoded.min(requests.len()));
            }
            Event::Finished {
                request, timing, ..
            } => {
                computed[request as usize] = timing.prefill_tokens;
                finished += 1;
            }
            Event::Failed { request, error } => panic!("{request}: {error}"),
            _ => {}
        }
    }
    assert!(computed[0] > 4, "{computed:?}");
    assert_eq!(computed[1..], [1, 1, 1]);
    assert_eq!(prompts, [computed[0]; 4]);
    assert_eq!(most, 4, "steps are shared");
    assert!(texts[1..].iter().all(|text| *text != texts[0]));
    for id in 0..4 {
        engine.send(Command::Generate(Box::new(of(10 + id))));
        let alone = outcome(&engine, 10 + id);
        let ids: Vec<u32> = alone.tokens.iter().map(|event| event.token.id).collect();
        assert_eq!(texts[id as usize], ids);
    }
}
