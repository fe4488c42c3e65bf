//! A trace for other programs: Chrome's trace format (Perfetto opens it), CSV, JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::Step;

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

/// Chrome's trace event format: prefill and decode as two threads, in each a slice a step, in it slices for the layers, and in
/// those the kernels. `metadata` (model, adapter, driver) is kept as given.
pub fn chrome(steps: &[Step], metadata: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let process = format!(
        "{} {} on {}",
        text(&metadata["model"]),
        text(&metadata["dtype"]),
        text(&metadata["adapter"]["name"])
    );
    let mut events = vec![json!({
        "ph": "M", "pid": 1, "tid": 0, "name": "process_name", "args": { "name": process },
    })];
    for (thread, name) in [(1, "prefill"), (2, "decode")] {
        events.push(json!({
            "ph": "M", "pid": 1, "tid": thread, "name": "thread_name", "args": { "name": name },
        }));
    }
    for step in steps {
        let thread = match step.phase {
            super::Phase::Prefill => 1,
            super::Phase::Decode => 2,
        };
        let begin = step.begin.as_secs_f64() * 1e6;
        let slice = |name: &str, start: f64, duration: f64, args: Value| {
            json!({
                "ph": "X", "pid": 1, "tid": thread, "name": name, "ts": start, "dur": duration,
                "args": args,
            })
        };
        let wall = step.wall.as_secs_f64() * 1e6;
        let spans = step.spans.as_deref().unwrap_or_default();
        let device = spans
            .last()
            .map_or(0.0, |last| microseconds(last.start_ns + last.duration_ns));
        let args = json!({
            "tokens": step.tokens,
            "proposed": step.proposed,
            "accepted": step.accepted,
            "position": step.position,
            "timed": step.mode,
            "timestamps": step.spans.is_some(),
        });
        // Device and host run on clocks of their own; a step's slices must lie within it.
        events.push(slice("step", begin, wall.max(device), args));
        for layer in spans.chunk_by(|a, b| a.layer == b.layer) {
            let start = layer[0].start_ns;
            let end = layer
                .iter()
                .map(|s| s.start_ns + s.duration_ns)
                .max()
                .unwrap_or(start);
            if let Some(number) = layer[0].layer {
                let name = format!("layer {number}");
                let at = begin + microseconds(start);
                events.push(slice(&name, at, microseconds(end - start), json!({})));
            }
            for span in layer {
                let args = json!({
                    "bytes read": span.read, "bytes written": span.written, "flops": span.flops,
                });
                let at = begin + microseconds(span.start_ns);
                events.push(slice(span.kernel, at, microseconds(span.duration_ns), args));
            }
        }
    }
    json!({ "traceEvents": events, "displayTimeUnit": "ms", "otherData": metadata }).to_string()
}

/// One line a span; steps without timestamps have one line without a kernel. `metadata` gives adapter and driver.
pub fn csv(steps: &[Step], metadata: &Value) -> String {
    let mut text = String::from(
        "step,phase,tokens,position,step_us,layer,kernel,start_us,duration_us,bytes_read,bytes_written,flops,adapter,driver\n",
    );
    let quoted = |value: &Value| {
        format!(
            "\"{}\"",
            value.as_str().unwrap_or_default().replace('"', "\"\"")
        )
    };
    let adapter = &metadata["adapter"];
    let device = format!(
        "{},{}",
        quoted(&adapter["name"]),
        quoted(&adapter["driver"])
    );
    for (i, step) in steps.iter().enumerate() {
        let phase = match step.phase {
            super::Phase::Prefill => "prefill",
            super::Phase::Decode => "decode",
        };
        let begin = step.begin.as_secs_f64() * 1e6;
        let wall = step.wall.as_secs_f64() * 1e6;
        let head = format!("{i},{phase},{},{},{wall:.3}", step.tokens, step.position);
        let Some(spans) = &step.spans else {
            let _ = writeln!(text, "{head},,,{begin:.3},{wall:.3},,,,{device}");
            continue;
        };
        for span in spans {
            let layer = span
                .layer
                .map(|layer| layer.to_string())
                .unwrap_or_default();
            let _ = writeln!(
                text,
                "{head},{layer},{},{:.3},{:.3},{},{},{},{device}",
                span.kernel,
                begin + microseconds(span.start_ns),
                microseconds(span.duration_ns),
                span.read,
                span.written,
                span.flops
            );
        }
    }
    text
}

/// Everything, as it is.
pub fn json(steps: &[Step], metadata: &Value) -> String {
    json!({ "metadata": metadata, "steps": steps }).to_string()
}
