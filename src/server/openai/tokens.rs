//! Texts to ids and back, in the forms of vLLM and of llama.cpp's server at once.

use serde_json::json;

use super::super::api_error::ApiError;
use super::context::Context;
use super::fields::Fields;
use super::messages::{self, Most};
use super::prompt::{ReadIds, check_bytes, tokenizer};
use super::settings::check_model;
use crate::error::Error;
use crate::text::ChatTemplate;

/// Longer texts take seconds.
const MOST_BYTES: usize = 1 << 20;
/// What such a text can have.
const MOST_IDS: usize = 1 << 20;

/// The answer to `POST /tokenize`.
///
/// # Errors
/// 400 for a body that makes no sense, naming the field.
pub fn tokenize(body: &[u8], context: &Context) -> Result<String, ApiError> {
    let fields = Fields::of_body(body)?;
    check_model(&fields, context)?;
    let ids = match fields.raw("messages") {
        // They are counted, whether they fit or not.
        Some(_) => messages::prompt(&fields, context, Most::Bytes(MOST_BYTES))?.ids,
        None => text_ids(&fields, context)?,
    };
    let answer = json!({
        "count": ids.len(),
        "max_model_len": context.model.context_size(),
        "tokens": ids,
    });
    Ok(answer.to_string())
}

fn text_ids(fields: &Fields<'_>, context: &Context) -> Result<Vec<u32>, ApiError> {
    // Each server has a name of its own for either, and one gives a bos unless told otherwise.
    let (text, param, usual) = match fields.text("prompt")? {
        Some(text) => (text, "prompt", true),
        None => {
            let text = fields.text("content")?;
            let missing = "`prompt`, `content` or `messages` is needed";
            (
                text.ok_or_else(|| ApiError::invalid("prompt", missing))?,
                "content",
                false,
            )
        }
    };
    let gets_bos = match fields.flag("add_special_tokens")? {
        Some(gets_bos) => gets_bos,
        None => fields.flag("add_special")?.unwrap_or(usual),
    };
    check_bytes(param, text.len(), MOST_BYTES)?;
    let tokenizer = tokenizer(context)?;
    let ids = match gets_bos {
        true => tokenizer.encode(&text),
        false => tokenizer.encode_alone(&text),
    };
    ids.map_err(|error| ApiError::from(&error).or_param(param))
}

/// The answer to `POST /detokenize`.
///
/// # Errors
/// 400 for a body that makes no sense, naming the field.
pub fn detokenize(body: &[u8], context: &Context) -> Result<String, ApiError> {
    let fields = Fields::of_body(body)?;
    check_model(&fields, context)?;
    let ids = fields.get_by("tokens", ReadIds)?;
    let ids = ids.ok_or_else(|| ApiError::invalid("tokens", "`tokens` is missing"))?;
    if ids.len() > MOST_IDS {
        let message = format!(
            "`tokens` has {} ids; at most {MOST_IDS} are possible",
            ids.len()
        );
        return Err(ApiError::invalid("tokens", message));
    }
    let vocab_size = context.model.config().vocab_size;
    let text = match ids.iter().find(|id| **id as usize >= vocab_size) {
        Some(id) => Err(Error::TokenOutOfRange {
            id: *id,
            vocab_size,
        }),
        None => tokenizer(context)?.decode_all(&ids),
    };
    let text = text.map_err(|error| ApiError::from(&error).or_param("tokens"))?;
    Ok(json!({"prompt": text, "content": text}).to_string())
}

/// The answer to `GET /tokenizer_info`. Clients that see it tokenize by themselves from then on, and may leave out bos: serve it only where
/// that is asked for.
///
/// # Errors
/// 404 where there is no tokenizer.
pub fn tokenizer_info(context: &Context) -> Result<String, ApiError> {
    let Some(tokenizer) = context.model.tokenizer() else {
        return Err(ApiError::new(404, "this model has no tokenizer"));
    };
    let config = context.model.config();
    let eos = context.model.eos_token_ids().first();
    let template = match &context.template {
        Some(ChatTemplate::Jinja(template)) => Some(template.source()),
        _ => None,
    };
    let answer = json!({
        "bos_token": tokenizer.token(config.bos_token_id),
        "eos_token": eos.and_then(|eos| tokenizer.token(*eos)),
        "pad_token": null,
        "chat_template": template,
    });
    Ok(answer.to_string())
}
