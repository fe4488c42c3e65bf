//! Texts to ids and back, in the forms of vLLM and of llama.cpp's server at once.

use super::super::api_error::ApiError;
use super::context::Context;

/// The answer to `POST /tokenize`.
///
/// # Errors
/// 400 for a body that makes no sense, naming the field.
pub fn tokenize(_body: &[u8], _context: &Context) -> Result<String, ApiError> {
    Err(ApiError::new(501, "not yet"))
}

/// The answer to `POST /detokenize`.
///
/// # Errors
/// 400 for a body that makes no sense, naming the field.
pub fn detokenize(_body: &[u8], _context: &Context) -> Result<String, ApiError> {
    Err(ApiError::new(501, "not yet"))
}

/// The answer to `GET /tokenizer_info`. Clients that see it tokenize by themselves from then on, and may leave out bos: serve it only where
/// that is asked for.
///
/// # Errors
/// 404 where there is no tokenizer.
pub fn tokenizer_info(_context: &Context) -> Result<String, ApiError> {
    Err(ApiError::new(501, "not yet"))
}
