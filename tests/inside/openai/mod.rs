//! OpenAI's API as plain data: requests, answers, and both together on the demo model.

mod demo;
mod fuzz;
mod replies;
mod requests;

use std::sync::LazyLock;

use openelm::Model;
use openelm::PoolEvent;
use openelm::server::openai::{Asked, Context, chat, completions};
use openelm::server::{ApiError, Event};
use openelm::text::{Template, Tokenizer};
use serde_json::Value;

use super::common;

/// Fields of requests that say how, not what.
const OPTIONS: [&str; 27] = [
    "model",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "n",
    "stream",
    "stream_options",
    "stop",
    "seed",
    "logprobs",
    "top_logprobs",
    "echo",
    "top_k",
    "min_p",
    "repetition_penalty",
    "ignore_eos",
    "min_tokens",
    "stop_token_ids",
    "add_special_tokens",
    "return_token_ids",
    "presence_penalty",
    "logit_bias",
    "suffix",
    "best_of",
    "tools",
    "response_format",
];

/// The demo model, once for all tests.
fn model() -> &'static Model {
    static MODEL: LazyLock<Model> = LazyLock::new(|| common::load("demo", None, true));
    &MODEL
}

fn tokenizer() -> &'static Tokenizer {
    model().tokenizer().unwrap()
}

/// The demo model as it is served, with a template.
fn context() -> Context {
    let mut context = Context::new(model(), "demo-model");
    context.template = Some(Template::instruct().into());
    context
}

fn complete(body: &str) -> Result<Asked, ApiError> {
    completions(body.as_bytes(), &context())
}

fn talk(body: &str) -> Result<Asked, ApiError> {
    chat(body.as_bytes(), &context())
}

/// Writes what is asked for; returns the pieces that were sent, the last ones after all else.
fn written(mut asked: Asked) -> Vec<Value> {
    let mut pool = model().text_pool();
    for (index, text) in asked.texts.drain(..).enumerate() {
        pool.push(index, text.ids, text.options);
    }
    let mut pieces = Vec::new();
    while !pool.is_empty() {
        let mut events = Vec::new();
        let ended = pool.step(|index, event| {
            let event = match event {
                PoolEvent::Begun { cached } => Event::Begun { cached },
                PoolEvent::Prefill { .. } => return,
                PoolEvent::Prompt(scores) => Event::Prompt(scores.to_vec()),
                PoolEvent::Token(token) => Event::Token(token),
            };
            events.push((*index, event));
        });
        let ended = ended.unwrap().into_iter();
        events.extend(ended.map(|(index, text)| (index, Event::Ended(text))));
        for (index, event) in events {
            pieces.extend(asked.reply.event(index, event).unwrap());
        }
    }
    assert!(asked.reply.is_done());
    pieces.extend(asked.reply.end());
    pieces
        .iter()
        .map(|piece| serde_json::from_str(piece).unwrap())
        .collect()
}

/// The whole answer to a completion that is no stream.
fn answer(body: &str) -> Value {
    let mut pieces = written(complete(body).unwrap());
    assert_eq!(pieces.len(), 1);
    pieces.remove(0)
}
