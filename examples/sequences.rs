//! Several texts at once: an engine computes their tokens together, which reads every weight once for all of them.
//!
//!     cargo run --release --example sequences -- 8 path/to/model 32

use std::time::{Duration, Instant};

use openelm::engine::{Command, Engine, Event, Load, Request};
use openelm::trace::TracePlan;
use openelm::{Error, GenerateOptions, Result};

const LONG: Duration = Duration::from_secs(600);

/// Tokens a second of all texts together, without their first tokens.
fn rate(engine: &mut Engine, texts: u64, tokens: usize) -> Result<f64> {
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(tokens);
    options.ignore_eos = true;
    for id in 0..texts {
        engine.send(Command::Generate(Box::new(Request {
            id,
            prompt: format!("1, {}", 5 + id).into(),
            given: Vec::new(),
            options: options.clone(),
            trace: TracePlan::default(),
        })));
    }
    let (mut finished, mut seen, mut begin) = (0, 0, None);
    while finished < texts {
        match engine.wait(LONG) {
            Some(Event::Token { .. }) => {
                seen += 1;
                if seen == texts {
                    begin = Some(Instant::now());
                }
            }
            Some(Event::Finished { .. }) => finished += 1,
            Some(Event::Failed { error, .. }) => return Err(error),
            Some(_) => {}
            None => return Err(Error::Cancelled),
        }
    }
    let seconds = begin.map_or(0.0, |begin: Instant| begin.elapsed().as_secs_f64());
    Ok((seen - texts) as f64 / seconds.max(1e-9))
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let texts = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(8);
    let model = arguments.next().unwrap_or("demo".into());
    let tokens = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(64);
    let mut engine = Engine::start(|| {})?;
    engine.send(Command::Load(Box::new(Load {
        model,
        ..Load::default()
    })));
    loop {
        match engine.wait(LONG) {
            Some(Event::Loaded { .. }) => break,
            Some(Event::LoadFailed { error, .. }) => return Err(error),
            Some(_) => {}
            None => return Err(Error::Cancelled),
        }
    }
    // The first run pays for what the driver puts off until then.
    rate(&mut engine, texts, 4)?;
    for round in 1..=3 {
        let one = rate(&mut engine, 1, tokens)?;
        let all = rate(&mut engine, texts, tokens)?;
        println!(
            "round {round}: one text {one:.1} tok/s, {texts} together {all:.1} tok/s, {:.2} times as many",
            all / one
        );
    }
    Ok(())
}
