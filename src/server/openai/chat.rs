//! `POST /v1/chat/completions`.

use super::super::api_error::ApiError;
use super::asked::Asked;
use super::context::Context;

/// What a body asks for.
///
/// # Errors
/// 400 or 404 for a body that makes no sense, naming the field.
pub fn chat(_body: &[u8], _context: &Context) -> Result<Asked, ApiError> {
    Err(ApiError::new(501, "not yet"))
}
