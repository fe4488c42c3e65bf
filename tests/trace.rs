//! Timings as data: every dispatch once, in order, nested in its layer and step; exports that other programs can read.

mod common;

use std::time::Duration;

use openelm::trace::{self, Bound, Peaks, Phase, Span, Step, Sum, TraceMode};
use openelm::{ComputePath, GenerateOptions, SampleOn};
use serde_json::{Value, json};

/// Steps of a short generation on the real device.
fn traced() -> (openelm::Model, Vec<Step>) {
    let model = common::load("demo", None, false);
    let mut session = model.session().unwrap();
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(4);
    options.ignore_eos = true;
    options.sample_on = Some(SampleOn::Device);
    let plain: Vec<u32> = session
        .generate(&[1, 1946, 761], &options)
        .unwrap()
        .map(|token| token.unwrap().id)
        .collect();
    session.rewind(0);
    session.set_trace(TraceMode::Kernels);
    let traced: Vec<u32> = session
        .generate(&[1, 1946, 761], &options)
        .unwrap()
        .map(|token| token.unwrap().id)
        .collect();
    assert_eq!(plain, traced, "tracing changes nothing");
    let steps = session.take_trace();
    assert!(session.take_trace().is_empty());
    drop(session);
    (model, steps)
}

#[test]
fn every_dispatch_is_there_once_and_in_order() {
    let (model, steps) = traced();
    let phases: Vec<(Phase, u32, u32)> = steps
        .iter()
        .map(|step| (step.phase, step.tokens, step.position))
        .collect();
    let decode = |position| (Phase::Decode, 1, position);
    assert_eq!(
        phases,
        [(Phase::Prefill, 3, 0), decode(3), decode(4), decode(5)]
    );
    let layers = model.config().layers.len();
    for step in &steps {
        let Some(spans) = &step.spans else {
            eprintln!("no timestamps here: not checked");
            return;
        };
        // Embedding, six a layer, final norm and head: the demo model's matrices are in one part each. Then the token is chosen.
        assert_eq!(spans.len(), 1 + 6 * layers + 2 + 2);
        for pair in spans.windows(2) {
            assert!(pair[0].start_ns + pair[0].duration_ns <= pair[1].start_ns);
        }
        // Norms are part of the products behind them.
        let order = [
            "qkv",
            "qk_norm_rope",
            "attention",
            "out",
            "proj_1",
            "proj_2",
        ];
        assert_eq!(in_layer_2(step), order);
        assert!(step.device_ns().unwrap() > 0);
        assert!(step.device_ns().unwrap() as f64 <= step.wall.as_secs_f64() * 1.05e9);
    }
    for pair in steps.windows(2) {
        assert!(pair[0].begin + pair[0].wall <= pair[1].begin);
    }
}

fn in_layer_2(step: &Step) -> Vec<&'static str> {
    let spans = step.spans.iter().flatten();
    let wanted = spans.filter(|span| span.layer == Some(2));
    wanted.map(|span| span.kernel).collect()
}

/// Tiles of a prompt do not fuse norms: there they are dispatches of their own.
#[test]
fn a_prompt_on_a_gpu_has_norms_of_its_own() {
    let model = common::load("demo", Some(ComputePath::Gpu), false);
    let mut session = model.session().unwrap();
    session.set_trace(TraceMode::Kernels);
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(1);
    let ids: Vec<u32> = (1..=32).collect();
    session.generate(&ids, &options).unwrap().for_each(drop);
    let steps = session.take_trace();
    if steps[0].spans.is_none() {
        return;
    }
    let order = [
        "attn_norm",
        "qkv",
        "qk_norm_rope",
        "attention",
        "out",
        "ffn_norm",
        "proj_1",
        "proj_2",
    ];
    assert_eq!(in_layer_2(&steps[0]), order);
}

/// The most operations that a step can have: prompt rows, whose token is chosen on the device where nothing may come twice.
#[test]
fn the_longest_step_is_timed_whole() {
    let model = common::load("demo", None, false);
    let mut session = model.session().unwrap();
    session.set_trace(TraceMode::Kernels);
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(3);
    options.sample_on = Some(SampleOn::Device);
    options.sampling.processors.no_repeat_ngram_size = 2;
    let ids: Vec<u32> = (1..=6).collect();
    session.generate(&ids, &options).unwrap().for_each(drop);
    let steps = session.take_trace();
    if let Some(spans) = &steps[0].spans {
        let stages: Vec<_> = spans.iter().rev().take(3).map(|span| span.kernel).collect();
        assert!(spans.iter().any(|span| span.kernel == "head"), "{stages:?}");
        assert!(
            stages.iter().all(|stage| stage.starts_with("sample")),
            "{stages:?}"
        );
    }
}

#[test]
fn bytes_and_operations_are_those_of_the_model() {
    let (model, steps) = traced();
    let Some(spans) = &steps[1].spans else { return };
    let config = model.config();
    let weights: u64 = spans.iter().map(|span| span.read + span.written).sum();
    let expected = model.network().weight_bytes_per_token();
    // Beside the weights a token moves activations and a few positions of the cache.
    assert!(
        weights > expected && weights < expected + expected / 10,
        "{weights} {expected}"
    );
    let qkv = spans
        .iter()
        .find(|span| span.layer == Some(0) && span.kernel == "qkv")
        .unwrap();
    let macs = config.qkv_dim(&config.layers[0]) * config.model_dim;
    assert_eq!(qkv.flops, 2 * macs as u64);
    let attention = |step: &Step| -> u64 {
        let spans = step.spans.as_ref().unwrap();
        let all = spans.iter().filter(|span| span.kernel == "attention");
        all.map(|span| span.flops).sum()
    };
    // 4 positions at the first decoded token, 5 at the second.
    assert_eq!(attention(&steps[1]) * 5, attention(&steps[2]) * 4);
}

/// Prefill and decode are what a token is, not how many come at once.
#[test]
fn a_prompt_is_prefill_to_its_last_token() {
    let model = common::load("demo", Some(ComputePath::Software), false);
    for (sample_on, length) in [(SampleOn::Host, 33), (SampleOn::Device, 1)] {
        let mut session = model.session().unwrap();
        session.set_trace(TraceMode::Layers);
        let mut options = GenerateOptions::default();
        options.max_tokens = Some(3);
        options.ignore_eos = true;
        options.sample_on = Some(sample_on);
        let ids: Vec<u32> = (1..=length).collect();
        assert_eq!(session.generate(&ids, &options).unwrap().count(), 3);
        let mut phases: Vec<(Phase, u32)> = Vec::new();
        for step in session.take_trace() {
            assert_eq!(step.mode, TraceMode::Layers);
            match phases.last_mut() {
                Some((phase, tokens)) if *phase == step.phase => *tokens += step.tokens,
                _ => phases.push((step.phase, step.tokens)),
            }
        }
        assert_eq!(phases, [(Phase::Prefill, length), (Phase::Decode, 2)]);
    }
}

/// What is not timed in detail is there as a whole, in its place.
#[test]
fn whole_steps_lie_between_detailed_ones() {
    let model = common::load("demo", None, false);
    for sample_on in [SampleOn::Host, SampleOn::Device] {
        let mut session = model.session().unwrap();
        session.set_trace(TraceMode::Steps);
        let mut options = GenerateOptions::default();
        options.max_tokens = Some(9);
        options.ignore_eos = true;
        options.sample_on = Some(sample_on);
        let mut generation = session.generate(&[1, 1946, 761], &options).unwrap();
        for i in 0.. {
            if generation.next().is_none() {
                break;
            }
            generation.set_trace(match i {
                3 => TraceMode::Kernels,
                _ => TraceMode::Steps,
            });
        }
        drop(generation);
        let steps = session.take_trace();
        let positions: Vec<u32> = steps.iter().map(|step| step.position).collect();
        assert_eq!(positions, [0, 3, 4, 5, 6, 7, 8, 9, 10], "{sample_on:?}");
        assert!(steps.iter().all(|step| !step.wall.is_zero()));
        let decoded: Vec<&Step> = steps.iter().filter(|s| s.phase == Phase::Decode).collect();
        assert_eq!(decoded.len(), 8);
        for pair in steps.windows(2) {
            assert!(pair[0].begin + pair[0].wall <= pair[1].begin + Duration::from_micros(1));
        }
    }
}

/// Two steps by hand: one with timestamps, one without.
fn made_up() -> Vec<Step> {
    let span = |layer, kernel, start_ns, duration_ns| Span {
        layer,
        kernel,
        start_ns,
        duration_ns,
        read: 900,
        written: 100,
        flops: 2000,
    };
    vec![
        Step {
            phase: Phase::Prefill,
            tokens: 5,
            proposed: 0,
            accepted: 0,
            position: 0,
            begin: Duration::from_micros(10),
            wall: Duration::from_micros(100),
            mode: TraceMode::Kernels,
            spans: Some(vec![
                span(None, "embed", 0, 10_000),
                span(Some(0), "qkv", 10_000, 20_000),
                span(Some(0), "attention", 30_000, 5_000),
                span(Some(1), "qkv", 40_000, 20_000),
                span(None, "head", 60_000, 30_000),
            ]),
        },
        Step {
            phase: Phase::Decode,
            tokens: 1,
            proposed: 0,
            accepted: 0,
            position: 5,
            begin: Duration::from_micros(200),
            wall: Duration::from_micros(50),
            mode: TraceMode::Kernels,
            spans: None,
        },
    ]
}

#[test]
fn sums_by_layer_and_kernel() {
    let steps = made_up();
    let kernels = trace::by_kernel(&steps);
    let names: Vec<&str> = kernels.iter().map(|kernel| kernel.kernel).collect();
    assert_eq!(names, ["embed", "qkv", "attention", "head"]);
    let qkv = kernels[1].sum;
    assert_eq!(
        (qkv.calls, qkv.duration_ns, qkv.bytes(), qkv.flops),
        (2, 40_000, 2000, 4000)
    );
    assert_eq!(qkv.bytes_per_s(), Some(0.05e9));
    assert_eq!(qkv.flops_per_s(), Some(0.1e9));
    let unseen = Sum {
        duration_ns: 0,
        ..qkv
    };
    assert_eq!(
        unseen.bytes_per_s(),
        None,
        "no figure is better than a made-up one"
    );
    let layers = trace::by_layer(&steps);
    let totals: Vec<(Option<u32>, u64)> = layers
        .iter()
        .map(|layer| (layer.layer, layer.sum.duration_ns))
        .collect();
    assert_eq!(
        totals,
        [(None, 40_000), (Some(0), 25_000), (Some(1), 20_000)]
    );
    assert_eq!(steps[0].device_ns(), Some(85_000));
    assert_eq!(steps[1].device_ns(), None);
}

#[test]
fn what_binds_is_what_takes_longest_at_its_best() {
    let peaks = Peaks {
        bytes_per_s: 1e9,
        flops_per_s: 10e9,
        is_estimated: false,
    };
    let bound = |duration_ns, read, written, flops| {
        let sum = Sum {
            calls: 1,
            duration_ns,
            read,
            written,
            flops,
        };
        sum.bound_by(&peaks)
    };
    // A byte takes a nanosecond at best, an operation a tenth.
    assert_eq!(bound(1000, 400, 200, 100), Bound::Memory);
    assert_eq!(bound(1000, 400, 0, 6000), Bound::Arithmetic);
    assert_eq!(bound(1000, 400, 0, 4000), Bound::Overhead);
}

/// Keys and values count once, whoever looks at them; what a product is added to is read too.
#[test]
fn prefill_counts_every_byte_once() {
    let (model, steps) = traced();
    let Some(spans) = &steps[0].spans else { return };
    let config = model.config();
    let layer = &config.layers[1];
    let span = |kernel| {
        let mut found = spans.iter();
        let found = found.find(|span| span.layer == Some(1) && span.kernel == kernel);
        found.unwrap()
    };
    let tokens = 3;
    let q = 4 * layer.q_heads * config.head_dim;
    // Two caches of f16.
    let cache = 2 * 2 * layer.kv_heads * config.head_dim;
    let attention = span("attention");
    assert_eq!(attention.read, (tokens * (q + cache)) as u64);
    assert_eq!(attention.written, (tokens * q) as u64);
    let width = 4 * config.model_dim;
    let out = span("out");
    let weights = 2 * layer.q_heads * config.head_dim * config.model_dim;
    assert_eq!(out.read, (weights + tokens * (q + width)) as u64);
    assert_eq!(out.written, (tokens * width) as u64);
    assert_eq!(spans[0].flops, 0, "copying a row computes nothing");
}

/// Slices of a thread, as [begin, end).
fn slices(events: &[Value], thread: u64) -> Vec<(f64, f64, String)> {
    events
        .iter()
        .filter(|event| event["ph"] == "X" && event["tid"] == thread)
        .map(|event| {
            let begin = event["ts"].as_f64().unwrap();
            let end = begin + event["dur"].as_f64().unwrap();
            (begin, end, event["name"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// Chrome's viewer and Perfetto need slices of a thread to nest: no two may overlap in part.
fn assert_nested(slices: &[(f64, f64, String)]) {
    let mut open: Vec<f64> = Vec::new();
    let mut last = f64::NEG_INFINITY;
    for (begin, end, name) in slices {
        assert!(
            *begin >= last - 1e-3,
            "{name} begins before the slice before it"
        );
        assert!(end >= begin);
        last = *begin;
        open.retain(|outer| *outer > begin + 1e-3);
        for outer in &open {
            assert!(*end <= outer + 1e-3, "{name} outlasts what it lies in");
        }
        open.push(*end);
    }
}

#[test]
fn chrome_traces_are_json_and_nest() {
    let (_, real) = traced();
    for steps in [made_up(), real] {
        let text = trace::chrome(&steps, &json!({ "adapter": "a \"quoted\" name" }));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["otherData"]["adapter"], "a \"quoted\" name");
        let events = value["traceEvents"].as_array().unwrap();
        let (prefill, decode) = (slices(events, 1), slices(events, 2));
        assert_nested(&prefill);
        assert_nested(&decode);
        let count = |slices: &[(f64, f64, String)], name: &str| {
            slices.iter().filter(|slice| slice.2 == name).count()
        };
        assert_eq!(
            count(&prefill, "step") + count(&decode, "step"),
            steps.len()
        );
        assert_eq!(count(&prefill, "layer 0"), 1);
    }
}

#[test]
fn csv_has_a_line_a_span() {
    let metadata = json!({ "adapter": { "name": "a \"quoted\", name", "driver": "1.0" } });
    let text = trace::csv(&made_up(), &metadata);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 5 + 1);
    // The adapter's name has a comma.
    let columns = lines[0].split(',').count();
    assert!(
        lines[1..]
            .iter()
            .all(|line| line.split(',').count() == columns + 1)
    );
    let device = r#""a ""quoted"", name","1.0""#;
    assert_eq!(
        lines[2],
        format!("0,prefill,5,0,100.000,0,qkv,20.000,20.000,900,100,2000,{device}")
    );
    assert_eq!(
        lines[6],
        format!("1,decode,1,5,50.000,,,200.000,50.000,,,,{device}")
    );
}

#[test]
fn json_holds_everything() {
    let text = trace::json(&made_up(), &json!({ "model": "demo" }));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["metadata"]["model"], "demo");
    assert_eq!(value["steps"][0]["spans"][1]["kernel"], "qkv");
    assert_eq!(value["steps"][0]["phase"], "prefill");
    assert_eq!(value["steps"][0]["begin_ns"], 10_000);
    assert_eq!(value["steps"][0]["wall_ns"], 100_000);
    assert_eq!(value["steps"][1]["spans"], Value::Null);
}

/// Timing whole layers asks less of the device, and adds up to the same work.
#[test]
fn layers_are_the_sums_of_their_kernels() {
    let (model, kernels) = traced();
    let mut session = model.session().unwrap();
    session.set_trace(TraceMode::Layers);
    session.prefill(&[1, 1946, 761], |_, _| true).unwrap();
    session.set_trace(TraceMode::Off);
    session.prefill(&[1, 1946, 761, 5], |_, _| true).unwrap();
    let steps = session.take_trace();
    assert_eq!(steps.len(), 1, "no step is timed while tracing is off");
    let (Some(layers), Some(_)) = (&steps[0].spans, &kernels[0].spans) else {
        eprintln!("no timestamps here: not checked");
        return;
    };
    assert_eq!(layers.len(), 1 + model.config().layers.len() + 2);
    let work = |steps: &[Step]| -> Vec<(Option<u32>, u64, u64)> {
        let sums = trace::by_layer(steps);
        sums.iter()
            .filter(|layer| layer.layer.is_some())
            .map(|layer| (layer.layer, layer.sum.bytes(), layer.sum.flops))
            .collect()
    };
    assert_eq!(work(&steps), work(&kernels[..1]));
}
