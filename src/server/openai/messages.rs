//! The messages of a chat, to turns.

use serde_json::value::RawValue;

use super::super::api_error::ApiError;
use super::context::Context;
use super::fields::{Fields, is_empty};
use super::prompt::{Prompt, check_bytes, check_length, tokenizer};
use crate::text::{Role, Turn};

/// More than anybody cuts a message into.
const MOST_PARTS: usize = 1024;

/// The fewest bytes of a limit that a message takes, however little is said in it.
const LEAST_BYTES: usize = 16;

/// How much may be said.
#[derive(Debug, Clone, Copy)]
pub enum Most {
    /// What fits the context.
    Context,
    /// So many bytes.
    Bytes(usize),
}

/// The prompt that asks for the answer to `messages`, in which at most `most` is said.
///
/// # Errors
/// 400 for a model that knows no chats, and for messages that make no sense, cannot be written or are too long.
pub fn prompt(fields: &Fields<'_>, context: &Context, most: Most) -> Result<Prompt, ApiError> {
    let Some(template) = &context.template else {
        let message = format!(
            "`{}` has no chat template: it continues texts and was not tuned to answer messages. Use /v1/completions, or start the server \
             with a template",
            context.name
        );
        return Err(ApiError::new(400, message));
    };
    let tokenizer = tokenizer(context)?;
    let turns = turns(fields, context, most)?;
    check_ending(fields, &turns)?;
    let prompt = template.prompt(&turns, tokenizer);
    let ids = prompt.and_then(|prompt| tokenizer.encode_chat(&prompt));
    let ids = ids.map_err(|error| ApiError::from(&error).or_param("messages"))?;
    Ok(Prompt {
        ids,
        text: None,
        has_silent_bos: true,
    })
}

fn turns(fields: &Fields<'_>, context: &Context, most: Most) -> Result<Vec<Turn>, ApiError> {
    let most_turns = match most {
        Most::Context => context.model.context_size(),
        Most::Bytes(bytes) => bytes / LEAST_BYTES,
    };
    let expected = "a list of messages";
    let messages = fields.list::<&RawValue>("messages", most_turns, expected)?;
    let messages =
        messages.ok_or_else(|| ApiError::invalid("messages", "`messages` is missing"))?;
    if messages.is_empty() {
        return Err(ApiError::invalid("messages", "`messages` is empty"));
    }
    let mut turns = Vec::new();
    for (index, message) in messages.into_iter().enumerate() {
        let message = Fields::of_value(message, &format!("messages[{index}]"))?;
        turns.push(turn(&message)?);
    }
    check_said(&turns, context, most).map_err(|error| error.or_param("messages"))?;
    Ok(turns)
}

/// Fields that would end the prompt otherwise than it always ends here, with the values that change nothing unless an answer stands last.
const ENDINGS: [(&str, bool); 2] = [
    ("add_generation_prompt", true),
    ("continue_final_message", false),
];

fn check_ending(fields: &Fields<'_>, turns: &[Turn]) -> Result<(), ApiError> {
    // An answer that stands last is gone on with, whatever these say.
    let goes_on = turns
        .last()
        .is_some_and(|turn| turn.role == Role::Assistant);
    for (name, usual) in ENDINGS {
        if fields.flag(name)?.is_some_and(|flag| flag != usual) && !goes_on {
            let message = format!(
                "this server cannot do what `{name}` asks for: a prompt leads to the next answer, or goes on with an answer that stands last"
            );
            return Err(ApiError::invalid(name, message));
        }
    }
    Ok(())
}

/// Whether all that is said is at most `most`.
fn check_said(turns: &[Turn], context: &Context, most: Most) -> Result<(), ApiError> {
    let said: String = turns.iter().map(|turn| turn.text.as_str()).collect();
    match most {
        Most::Context => check_length(&said, context),
        Most::Bytes(most) => check_bytes("messages", said.len(), most),
    }
}

fn turn(message: &Fields<'_>) -> Result<Turn, ApiError> {
    let expected = "`system`, `user` or `assistant`";
    let role = match message.text("role")?.as_deref() {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        _ => return Err(message.wrong("role", expected)),
    };
    for name in ["tool_calls", "function_call", "audio"] {
        if message.raw(name).is_some_and(|value| !is_empty(value)) {
            let message_of = "this server knows neither tools nor sounds";
            return Err(ApiError::invalid(message.path(name), message_of));
        }
    }
    Ok(Turn::new(role, content(message)?))
}

/// The words of a message: a text, or parts that are texts, a line each.
fn content(message: &Fields<'_>) -> Result<String, ApiError> {
    let expected = "a text or a list of parts that are text";
    match message.raw("content") {
        None => Err(message.wrong("content", expected)),
        Some(value) if value.get().starts_with('[') => {
            let parts = message.list::<&RawValue>("content", MOST_PARTS, expected)?;
            let mut texts = Vec::new();
            for (index, part) in parts.unwrap_or_default().into_iter().enumerate() {
                let path = format!("{}[{index}]", message.path("content"));
                let part = Fields::of_value(part, &path)?;
                if part.text("type")?.as_deref() != Some("text") {
                    return Err(part.wrong("type", "`text`: this server reads nothing else"));
                }
                let text = part.text("text")?;
                texts.push(text.ok_or_else(|| part.wrong("text", "a text"))?);
            }
            Ok(texts.join("\n"))
        }
        Some(_) => message
            .get("content", expected)
            .map(Option::unwrap_or_default),
    }
}
