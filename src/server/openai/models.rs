//! The list of models, which has one.

use serde::Serialize;

use super::super::api_error::ApiError;
use super::context::Context;
use super::json::json;

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    /// Positions that prompt and text have together.
    max_model_len: usize,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: [Entry<'a>; 1],
}

/// The answer to `GET /v1/models`.
pub fn models(context: &Context) -> String {
    json(&List {
        object: "list",
        data: [entry(context)],
    })
}

/// The answer to `GET /v1/models/{id}`.
///
/// # Errors
/// 404 for a model that is not the one that is served.
pub fn model(id: &str, context: &Context) -> Result<String, ApiError> {
    match id == context.name {
        true => Ok(json(&entry(context))),
        false => Err(ApiError::model_not_found(id, &context.name)),
    }
}

fn entry(context: &Context) -> Entry<'_> {
    Entry {
        id: &context.name,
        object: "model",
        created: context.created,
        owned_by: "openelm",
        max_model_len: context.model.context_size(),
    }
}
