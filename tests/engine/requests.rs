//! What requests rely on that run side by side, or one after the other: whose rows they share, what they are told and in which order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use openelm::engine::{Chat, Command, Engine, Event, Load, Request};
use openelm::text::{ChatTemplate, Role, Template, Turn};
use openelm::trace::TraceMode;
use openelm::{Error, Finish};

use super::{load, loaded, request, until, with_devices};

/// All that is told of so many requests, by request, until each has ended.
fn told(engine: &Engine, count: usize) -> BTreeMap<u64, Vec<Event>> {
    let mut told: BTreeMap<u64, Vec<Event>> = BTreeMap::new();
    let mut ended = 0;
    until(engine, |event| {
        let id = match &event {
            Event::Finished { request, .. } | Event::Failed { request, .. } => {
                ended += 1;
                *request
            }
            Event::LeftOut { request, .. }
            | Event::Prompt { request, .. }
            | Event::Token { request, .. } => *request,
            _ => return None,
        };
        told.entry(id).or_default().push(event);
        (ended == count).then_some(())
    });
    told
}

/// How many ids of a prompt were there already, how many had to be computed, and the ids that were chosen.
fn work(events: &[Event]) -> (usize, usize, Vec<u32>) {
    let (mut cached, mut computed, mut ids) = (0, 0, Vec::new());
    for event in events {
        match event {
            Event::Prompt { kept, .. } => cached = *kept,
            Event::Token { token, .. } if !token.is_given => ids.push(token.token.id),
            Event::Finished { timing, .. } => computed = timing.prefill_tokens,
            Event::Failed { error, .. } => panic!("{error}"),
            _ => {}
        }
    }
    (cached, computed, ids)
}

fn untraced(id: u64, prompt: &str, tokens: usize) -> Request {
    let mut request = request(id, prompt, tokens);
    request.trace.mode = TraceMode::Off;
    request
}

/// A conversation goes on where its last answer ended, whatever was asked for in between.
#[test]
fn what_continues_an_answer_computes_only_what_is_new() {
    let mut engine = Engine::start(|| {}).unwrap();
    engine.send(load("demo"));
    let mut answered = |request: Request| {
        let id = request.id;
        engine.send(Command::Generate(Box::new(request)));
        work(&told(&engine, 1)[&id])
    };
    let prompt = "There was once a king who had three sons";
    let (cached, prompt_len, answer) = answered(untraced(1, prompt, 12));
    assert_eq!((cached, answer.len()), (0, 12));
    answered(untraced(2, "A cat and a mouse", 12));
    let mut follow_up = untraced(3, prompt, 5);
    follow_up.given = answer.clone();
    let (cached, computed, _) = answered(follow_up);
    // What followed the last token of the answer was not computed for it.
    assert_eq!((cached, computed), (prompt_len + 11, 1));
    let (_, computed, again) = answered(untraced(4, prompt, 12));
    assert_eq!((computed, again), (1, answer));
}

/// Two conversations of more than half a context each, in turns.
#[test]
fn whoever_comes_back_to_a_long_conversation_goes_on_there() {
    let mut engine = Engine::start(|| {}).unwrap();
    engine.send(load("demo"));
    let long = ["The king saw the fox. ", "A cat met a mouse. "].map(|text| text.repeat(45));
    for (id, prompt) in (1..).zip([&long[0], &long[1], &long[0], &long[1]]) {
        engine.send(Command::Generate(Box::new(untraced(id, prompt, 2))));
        let (cached, computed, _) = work(&told(&engine, 1)[&id]);
        assert!(cached + computed > 256, "{cached} and {computed}");
        assert_eq!(computed == 1, id > 2, "{id}: {computed} ids were computed");
    }
}

/// Where a prompt is computed in several steps, it ends after the one in which it is cancelled, without a token.
#[test]
fn a_request_is_cancelled_before_its_first_token() {
    let (woken, target) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let request = untraced(1, &"The king and the fox. ".repeat(50), 20);
    let cancel = request.options.cancel.clone().unwrap();
    let awaited = Arc::clone(&target);
    let mut engine = Engine::start(move || {
        if woken.fetch_add(1, Ordering::Relaxed) + 1 == awaited.load(Ordering::Relaxed) {
            cancel.store(true, Ordering::Relaxed);
        }
    })
    .unwrap();
    engine.send(load("demo"));
    let mut before = 0;
    until(&engine, |event| {
        before += 1;
        matches!(event, Event::Loaded { .. }).then_some(())
    });
    target.store(before + 1, Ordering::Relaxed);
    engine.send(Command::Generate(Box::new(request)));
    let events = &told(&engine, 1)[&1];
    let [Event::Prompt { done, total, .. }, rest @ ..] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(done < total);
    assert!(matches!(
        rest.last(),
        Some(Event::Finished {
            finish: Finish::Cancelled,
            ..
        })
    ));
    assert!(
        !rest
            .iter()
            .any(|event| matches!(event, Event::Token { .. }))
    );
}

#[test]
fn what_is_wrong_with_one_request_is_its_own_affair() {
    let mut engine = Engine::start(|| {}).unwrap();
    engine.send(load("demo"));
    engine.send(Command::Generate(Box::new(untraced(0, "The wolf", 10))));
    let alone = work(&told(&engine, 1)[&0]).2;
    let mut strange = untraced(2, "Once", 3);
    strange.options.sampling.top_p = 7.0;
    let mut unknown = untraced(3, "Once", 3);
    unknown.given = vec![4096];
    for request in [
        untraced(1, "The wolf", 10),
        strange,
        unknown,
        untraced(4, &"word ".repeat(5000), 1),
        untraced(5, "The wolf", 10),
    ] {
        engine.send(Command::Generate(Box::new(request)));
    }
    let told = told(&engine, 5);
    for id in [1, 5] {
        assert_eq!(work(&told[&id]).2, alone);
    }
    let error = |id: u64| match &told[&id][..] {
        [Event::Failed { error, .. }] => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(error(2), Error::OptionOutOfRange { .. }));
    assert!(matches!(error(3), Error::TokenOutOfRange { id: 4096, .. }));
    assert!(matches!(error(4), Error::PromptTooLong { .. }));
}

/// Whoever waits for anything hears of the loss, once; then the model is loaded again.
#[test]
fn a_device_is_lost_for_all_that_run() {
    let (mut engine, gpus) = with_devices();
    engine.send(load("demo"));
    for (id, prompt) in [(1, "The wolf"), (2, "A king")] {
        engine.send(Command::Generate(Box::new(untraced(id, prompt, 400))));
    }
    until(&engine, |event| {
        matches!(event, Event::Token { request: 2, .. }).then_some(())
    });
    gpus.lock().unwrap()[0].device.destroy();
    let mut failed = Vec::new();
    until(&engine, |event| match event {
        Event::Failed { request, error } => {
            assert!(matches!(error.root(), Error::DeviceLost(_)), "{error}");
            failed.push(request);
            None
        }
        Event::DeviceLost { .. } => Some(()),
        _ => None,
    });
    failed.sort();
    assert_eq!(failed, [1, 2]);
    loaded(&engine);
    engine.send(Command::Generate(Box::new(untraced(3, "Once", 4))));
    assert_eq!(work(&told(&engine, 1)[&3]).2.len(), 4);
}

/// Steps are shared, and timed as finely as the first of those that run wants.
#[test]
fn the_first_request_says_how_finely_steps_are_timed() {
    let mut engine = Engine::start(|| {}).unwrap();
    engine.send(load("demo"));
    let mut first = request(1, "The wolf", 6);
    first.trace.mode = TraceMode::Steps;
    engine.send(Command::Generate(Box::new(first)));
    engine.send(Command::Generate(Box::new(request(2, "A king", 20))));
    let (mut shared, mut detailed, mut finished) = (0, 0, 0);
    until(&engine, |event| match event {
        Event::Step { requests, step } => {
            shared += usize::from(requests == [1, 2]);
            detailed += usize::from(step.mode.is_detailed());
            assert!(!(requests.contains(&1) && step.mode.is_detailed()));
            None
        }
        Event::Token { token, .. } => {
            // Its step was told before it, and it says so.
            assert!(!token.traced || detailed > 0);
            None
        }
        Event::Finished { .. } => {
            finished += 1;
            (finished == 2).then_some(())
        }
        _ => None,
    });
    assert!(shared >= 4 && detailed >= 8, "{shared} {detailed}");
}

#[test]
fn events_come_in_order() {
    let mut engine = Engine::start(|| {}).unwrap();
    engine.send(load("demo"));
    let template: ChatTemplate = Template::instruct().into();
    let turns = [Role::User, Role::Assistant].into_iter().cycle();
    let turns = turns.map(|role| Turn::new(role, "The king and the fox."));
    let mut request = request(1, "", 2);
    request.prompt.chat = Some(Chat {
        template,
        turns: turns.take(101).collect(),
    });
    request.given = vec![300, 301];
    request.trace.mode = TraceMode::Steps;
    engine.send(Command::Generate(Box::new(request)));
    let mut order = Vec::new();
    until(&engine, |event| {
        order.push(match event {
            Event::LeftOut { .. } => "left out",
            Event::Token { token, .. } if token.is_given => "given",
            Event::Prompt { .. } => "prompt",
            Event::Step { .. } => "step",
            Event::Token { .. } => "token",
            Event::Finished { .. } => return Some(()),
            _ => return None,
        });
        None
    });
    assert_eq!(order[..3], ["left out", "given", "given"]);
    let first = order.iter().position(|name| *name == "token").unwrap();
    assert!(order[..first].contains(&"prompt") && !order[first..].contains(&"prompt"));
    // A prompt's steps count as one.
    order.retain(|name| *name != "prompt");
    assert_eq!(order[3..], ["step", "token", "step", "token"]);
}

/// With room for one context only, what is kept of earlier requests is given up, and requests that together need more wait for each other.
#[test]
fn where_memory_is_short_requests_make_room() {
    let mut engine = Engine::start(|| {}).unwrap();
    engine.send(load("demo"));
    let memory = loaded(&engine).memory;
    let mut short = Load {
        model: "demo".into(),
        ..Load::default()
    };
    short.options.memory_limit = Some(memory.weights + memory.kv_cache + memory.scratch);
    engine.send(Command::Load(Box::new(short)));
    loaded(&engine);
    let of = |id: u64| {
        let prompt = ["The king. ", "A cat. ", "The wolf. "][id as usize % 3].repeat(100);
        Command::Generate(Box::new(untraced(id, &prompt, 20)))
    };
    let alone: Vec<Vec<u32>> = (0..4)
        .map(|id| {
            engine.send(of(id));
            let (_, computed, ids) = work(&told(&engine, 1)[&id]);
            assert!(computed > 256, "{computed}");
            ids
        })
        .collect();
    assert_eq!(alone[0], alone[3]);
    (4..7).for_each(|id| engine.send(of(id)));
    for (id, events) in told(&engine, 3) {
        assert_eq!(work(&events).2, alone[id as usize % 3]);
    }
}
