//! Parquet, as the hub's data sets have it: Snappy, dictionaries, nested lists.

use std::cell::Cell;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Once};

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value};

use super::footer;
use super::row::Row;
use crate::error::{Error, Result};

/// Values of all rows at most, with those that are null; the largest of the published files has some 700,000.
const MOST_VALUES: i64 = 4_000_000;

/// Bytes of text at most: a dictionary can say the same text often.
const MOST_TEXT: usize = 1 << 30;

/// Reads all rows.
pub fn read(path: &Arc<Path>) -> Result<Vec<Row>> {
    let mut file = File::open(path).map_err(|cause| Error::read(path, cause))?;
    let wrong = |what: String| Error::EvalData {
        path: path.to_path_buf(),
        row: None,
        what,
    };
    footer::check(&mut file)
        .map_err(|cause| Error::read(path, cause))?
        .map_err(|what| wrong(format!("not a parquet file that can be read: {what}")))?;
    let read = quietly(|| read_rows(file));
    let rows = match read {
        Ok(rows) => rows.map_err(|error| {
            let what = match error {
                ParquetError::General(what) => what,
                other => other.to_string(),
            };
            wrong(format!("not a parquet file that can be read: {what}"))
        }),
        // The library checks much of what a damaged file may hold, not all.
        Err(_) => Err(wrong("the parquet file is damaged".into())),
    }?;
    Ok((1..)
        .zip(rows)
        .map(|(number, fields)| Row {
            path: Arc::clone(path),
            number,
            fields,
        })
        .collect())
}

fn read_rows(file: File) -> std::result::Result<Vec<Map<String, Value>>, ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let groups = reader.metadata().row_groups();
    let mut columns = groups.iter().flat_map(|group| group.columns());
    let is_read =
        |compression| matches!(compression, Compression::UNCOMPRESSED | Compression::SNAPPY);
    if let Some(column) = columns.find(|column| !is_read(column.compression())) {
        let name = column.compression().to_string();
        // Behind the name there may be a level.
        let name = name.split('(').next().unwrap_or_default();
        let what =
            format!("it is compressed with {name}; write it again with Snappy, or as JSON lines");
        return Err(ParquetError::General(what));
    }
    let columns = groups.iter().flat_map(|group| group.columns());
    let values = total(columns.map(|column| column.num_values()));
    let rows = total(groups.iter().map(|group| group.num_rows()));
    if values.max(rows) > MOST_VALUES {
        let what = format!("more than the {MOST_VALUES} values that are read, or fewer than none");
        return Err(ParquetError::General(what));
    }
    let (mut rows, mut text_left) = (Vec::new(), MOST_TEXT);
    for row in reader.get_row_iter(None)? {
        rows.push(object(row?, &mut text_left)?);
    }
    Ok(rows)
}

/// The sum of counts that a file says; more than possible where one of them is.
fn total(counts: impl Iterator<Item = i64>) -> i64 {
    counts.fold(0, |sum, count| match (0..=MOST_VALUES).contains(&count) {
        true => sum.saturating_add(count),
        false => i64::MAX,
    })
}

fn object(
    row: parquet::record::Row,
    text_left: &mut usize,
) -> std::result::Result<Map<String, Value>, ParquetError> {
    row.into_columns()
        .into_iter()
        .map(|(name, field)| Ok((name, value(field, text_left)?)))
        .collect()
}

fn value(field: Field, text_left: &mut usize) -> std::result::Result<Value, ParquetError> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => flag.into(),
        Field::Byte(number) => number.into(),
        Field::Short(number) => number.into(),
        Field::Int(number) => number.into(),
        Field::Long(number) => number.into(),
        Field::UByte(number) => number.into(),
        Field::UShort(number) => number.into(),
        Field::UInt(number) => number.into(),
        Field::ULong(number) => number.into(),
        Field::Float(number) => f64::from(number).into(),
        Field::Double(number) => number.into(),
        Field::Str(text) => counted(text, text_left)?,
        Field::Bytes(bytes) => counted(bytes.as_utf8()?.to_owned(), text_left)?,
        Field::Group(row) => object(row, text_left)?.into(),
        Field::ListInternal(list) => {
            let items = list
                .elements()
                .iter()
                .cloned()
                .map(|item| value(item, text_left));
            Value::Array(items.collect::<std::result::Result<_, _>>()?)
        }
        // Maps, decimals, dates: no task has any.
        other => other.to_string().into(),
    })
}

/// A text, if there may be so much of it.
fn counted(text: String, text_left: &mut usize) -> std::result::Result<Value, ParquetError> {
    let left = text_left.checked_sub(text.len());
    *text_left =
        left.ok_or_else(|| ParquetError::General(format!("more than {MOST_TEXT} bytes of text")))?;
    Ok(text.into())
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs what may panic, and then without a word about it: a person can do nothing with where in a library it was.
fn quietly<T>(run: impl FnOnce() -> T) -> std::thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                others(panic);
            }
        }));
    });
    IS_QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    IS_QUIET.set(false);
    result
}
