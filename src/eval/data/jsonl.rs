//! JSON lines: an object a line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::row::Row;
use crate::error::{Error, Result};
use crate::utf8;

/// Rows at most; the largest of the published files has some 100,000.
const MOST_ROWS: usize = 1_000_000;

/// Bytes of a line at most.
const LONGEST: u64 = 16 << 20;

/// Reads all rows; lines with nothing on them are passed over.
pub fn read(path: &Arc<Path>) -> Result<Vec<Row>> {
    let file = File::open(path).map_err(|cause| Error::read(path, cause))?;
    let mut file = BufReader::new(file);
    let mut rows = Vec::new();
    for number in 1.. {
        let mut line = Vec::new();
        let length = (&mut file)
            .take(LONGEST + 1)
            .read_until(b'\n', &mut line)
            .map_err(|cause| Error::read(path, cause))?;
        if length == 0 {
            break;
        }
        let wrong = |what: String| Error::EvalData {
            path: path.to_path_buf(),
            row: Some(number),
            what,
        };
        if line.len() as u64 > LONGEST {
            return Err(wrong(format!(
                "the line has more than {} MiB",
                LONGEST >> 20
            )));
        }
        let line = utf8::text(line).map_err(|error| wrong(format!("the line {error}")))?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let fields: Map<String, Value> = serde_json::from_str(&line)
            .map_err(|error| wrong(format!("not a JSON object: {error}")))?;
        if rows.len() == MOST_ROWS {
            return Err(wrong(format!("the file has more than {MOST_ROWS} rows")));
        }
        rows.push(Row {
            path: Arc::clone(path),
            number,
            fields,
        });
    }
    Ok(rows)
}
