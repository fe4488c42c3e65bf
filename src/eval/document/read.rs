//! From a row to a document, by the task's form.

use super::parts::Document;
use super::{hellaswag, plain, race};
use crate::error::Result;
use crate::eval::data::Row;
use crate::eval::like::Like;
use crate::eval::spec::Form;

/// Reads a row.
///
/// # Errors
/// [`crate::Error::EvalData`] if a field is missing, or is not what it should be.
pub fn read(row: &Row, form: Form, like: Like) -> Result<Document> {
    match form {
        Form::Arc => plain::arc(row),
        Form::BoolQ => plain::boolq(row),
        Form::CrowsPairs => plain::crows_pairs(row),
        Form::HellaSwag => hellaswag::read(row),
        Form::Mmlu => plain::mmlu(row),
        Form::Piqa => plain::piqa(row),
        Form::Race => race::read(row, like),
        Form::SciQ => plain::sciq(row),
        Form::TruthfulQa => plain::truthfulqa(row, like),
        Form::WinoGrande => plain::winogrande(row),
    }
}
