//! Reads the files of a split.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::row::Row;
use super::{jsonl, parquet};
use crate::error::{Error, Result};

/// Bytes of a file at most; the largest of the published ones have 50 million.
const LARGEST: u64 = 1 << 30;

/// All rows of the files, in order.
///
/// # Errors
/// [`Error::Read`]; [`Error::EvalData`] if a file is not what its ending says, or too large, or if there is no row at all.
pub fn read(files: &[PathBuf]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for file in files {
        let path: Arc<Path> = Arc::from(file.as_path());
        let size = std::fs::metadata(file)
            .map_err(|cause| Error::read(file, cause))?
            .len();
        let wrong = |what: String| Error::EvalData {
            path: file.clone(),
            row: None,
            what,
        };
        if size > LARGEST {
            return Err(wrong(format!(
                "{size} bytes are more than the {LARGEST} that a file may have"
            )));
        }
        let is_parquet = file
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("parquet"));
        let mut read = match is_parquet {
            true => parquet::read(&path)?,
            false => jsonl::read(&path)?,
        };
        if read.is_empty() {
            return Err(wrong("the file holds no rows".into()));
        }
        add_labels(file, &mut read)?;
        rows.append(&mut read);
    }
    Ok(rows)
}

/// Adds labels from a file beside, which is how PIQA's authors publish them: a line a row in `valid-labels.lst` for `valid.jsonl`.
fn add_labels(file: &Path, rows: &mut [Row]) -> Result<()> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let path = file.with_file_name(format!("{name}-labels.lst"));
    if rows.iter().any(|row| row.fields.contains_key("label")) || !path.is_file() {
        return Ok(());
    }
    let mut text = String::new();
    File::open(&path)
        .and_then(|labels| labels.take(LARGEST).read_to_string(&mut text))
        .map_err(|cause| Error::read(&path, cause))?;
    // One more than there should be tells as much as all.
    let labels: Vec<&str> = text.lines().take(rows.len() + 1).collect();
    if labels.len() != rows.len() {
        let what = format!(
            "{} labels for the {} rows of {}",
            match labels.len() > rows.len() {
                true => "more".to_owned(),
                false => labels.len().to_string(),
            },
            rows.len(),
            file.display()
        );
        return Err(Error::EvalData {
            path,
            row: None,
            what,
        });
    }
    for (row, label) in rows.iter_mut().zip(labels) {
        row.fields.insert("label".into(), Value::from(label.trim()));
    }
    Ok(())
}
