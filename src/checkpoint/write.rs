//! Writes a checkpoint with quantised matrices: a folder like any other, that loads without quantising again.
//!
//! A quantised matrix `[rows, columns]` is stored under its own name as U8 `[rows, bytes of a row]`, laid out as
//! [`super::quantize`] says; everything else is stored as it was.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use safetensors::tensor::{SafeTensorError, View};

use super::chat::{CHAT_FILES, TEMPLATE};
use super::oddities::{faint, non_finite};
use super::quantize::can_quantize;
use super::{Checkpoint, RowReader, Tensor, TensorSpec};
use crate::dtype::Dtype;
use crate::error::{Error, Result};

/// A tensor that is converted when it is written, so that only one at a time is in memory.
struct Lazy<'a> {
    name: &'a str,
    tensor: Tensor<'a>,
    watch: Watch<'a>,
    dtype: Dtype,
    shape: Vec<usize>,
}

/// Who is told what while tensors are written.
#[derive(Clone, Copy)]
struct Watch<'a> {
    /// Whether to go on: nobody has cancelled, the files are as long as they were, and all so far are numbers.
    goes_on: &'a dyn Fn() -> bool,
    /// Told how many bytes were made.
    made: &'a dyn Fn(usize),
    /// Told which tensor has NaN or infinite values, before or after conversion, and why that may be.
    spoiled: &'a dyn Fn(&str, String),
    /// Told what else a person should know of a tensor.
    odd: &'a dyn Fn(&str, String),
}

impl<'a> Lazy<'a> {
    fn new(
        checkpoint: &'a Checkpoint,
        spec: &'a TensorSpec,
        requested: Dtype,
        watch: Watch<'a>,
    ) -> Result<Self> {
        let tensor = checkpoint.tensor(spec)?;
        let (dtype, shape) = match spec.shape[..] {
            [rows, columns] if can_quantize(columns) => {
                (requested, vec![rows, requested.row_bytes(columns)])
            }
            _ => (tensor.dtype, spec.shape.clone()),
        };
        Ok(Self {
            name: &spec.name,
            tensor,
            watch,
            dtype,
            shape,
        })
    }
}

impl View for Lazy<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        match self.dtype {
            Dtype::F32 => safetensors::Dtype::F32,
            Dtype::F16 => safetensors::Dtype::F16,
            Dtype::Bf16 => safetensors::Dtype::BF16,
            Dtype::Q8 | Dtype::Q4 => safetensors::Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        // What is written then is thrown away.
        if !(self.watch.goes_on)() {
            return Cow::Borrowed(&[]);
        }
        let (tensor, dtype) = (&self.tensor, self.dtype);
        let row_bytes = self.dtype.row_bytes(tensor.columns);
        let mut bytes = vec![0; tensor.rows * row_bytes];
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let share = tensor.rows.div_ceil(threads).max(1);
        let (is_spoiled, faint_rows) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let (is_spoiled, faint_rows) = (&is_spoiled, &faint_rows);
            for (i, part) in bytes.chunks_mut(share * row_bytes).enumerate() {
                scope.spawn(move || {
                    let mut reader = RowReader::default();
                    for (row, place) in (i * share..).zip(part.chunks_exact_mut(row_bytes)) {
                        reader.read(tensor, row, dtype, place);
                    }
                    is_spoiled.fetch_or(reader.saw_non_finite, Ordering::Relaxed);
                    faint_rows.fetch_add(reader.faint_rows, Ordering::Relaxed);
                });
            }
        });
        // As a quantised number NaN would be 0, and the damage could not be seen any more.
        if is_spoiled.into_inner() {
            (self.watch.spoiled)(self.name, non_finite(dtype, tensor.dtype));
        }
        if let Some(what) = faint(dtype, faint_rows.into_inner(), tensor.rows) {
            (self.watch.odd)(self.name, what);
        }
        (self.watch.made)(bytes.len());
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.tensor.rows * self.dtype.row_bytes(self.tensor.columns)
    }
}

impl Checkpoint {
    /// Writes the model to `folder`, which must not exist yet, with its matrices as `dtype`, calling `progress(done, total)` with bytes.
    /// The folder is there when it is whole, or not at all. Returns warnings about matrices that `dtype` ruins.
    ///
    /// # Errors
    /// [`Error::Tensor`] if one has NaN or infinite values, which nobody could see afterwards;
    /// [`Error::Write`] if the folder exists or cannot be written; [`Error::Misuse`] for a `dtype` that is not quantised.
    pub fn write_quantized(
        &self,
        folder: &Path,
        dtype: Dtype,
        progress: impl Fn(u64, u64),
    ) -> Result<Vec<String>> {
        self.write_quantized_unless(&AtomicBool::new(false), folder, dtype, progress)
    }

    /// As [`Checkpoint::write_quantized`], until `cancel` is set: then nothing is left of it.
    ///
    /// # Errors
    /// The same, and [`Error::Cancelled`].
    pub fn write_quantized_unless(
        &self,
        cancel: &AtomicBool,
        folder: &Path,
        dtype: Dtype,
        progress: impl Fn(u64, u64),
    ) -> Result<Vec<String>> {
        if !dtype.is_quantized() {
            return Err(Error::Misuse(format!(
                "{dtype} is not a quantised format; q8 and q4 are"
            )));
        }
        // A link that leads nowhere is something too.
        if folder.symlink_metadata().is_ok() {
            let cause = std::io::ErrorKind::AlreadyExists.into();
            return Err(Error::write(folder, cause));
        }
        let unfinished = folder_beside(folder)?;
        let done = self
            .write_files(cancel, &unfinished, folder, dtype, progress)
            .and_then(|warnings| {
                std::fs::rename(&unfinished, folder)
                    .map_err(|error| Error::write(folder, error))?;
                Ok(warnings)
            });
        if done.is_err() {
            // It was made here, a moment ago; half a model would only be a puzzle.
            let _ = std::fs::remove_dir_all(&unfinished);
        }
        done
    }

    /// Writes the files of `folder` into `unfinished`, and returns warnings. Errors name them as they would have been called in the end.
    fn write_files(
        &self,
        cancel: &AtomicBool,
        unfinished: &Path,
        folder: &Path,
        dtype: Dtype,
        progress: impl Fn(u64, u64),
    ) -> Result<Vec<String>> {
        const TENSORS: &str = "model.safetensors";
        let specs = self.config.tensors();
        let (done, total) = (Cell::new(0), Cell::new(0));
        let made = |bytes: usize| {
            done.set(done.get() + bytes as u64);
            progress(done.get(), total.get());
        };
        let is_cancelled = || cancel.load(Ordering::Relaxed);
        let (spoiled, warnings) = (RefCell::new(None), RefCell::new(Vec::new()));
        let watch = Watch {
            goes_on: &|| {
                !is_cancelled() && spoiled.borrow().is_none() && self.check_lengths().is_ok()
            },
            made: &made,
            spoiled: &|name, what| {
                let error = Error::tensor(&self.folder, name, what);
                spoiled.borrow_mut().get_or_insert(error);
            },
            odd: &|name, what| {
                warnings
                    .borrow_mut()
                    .push(format!("tensor `{name}` {what}"))
            },
        };
        let views = specs
            .iter()
            .map(|spec| {
                let view = Lazy::new(self, spec, dtype, watch)?;
                Ok((spec.name.as_str(), view))
            })
            .collect::<Result<Vec<_>>>()?;
        total.set(views.iter().map(|(_, view)| view.data_len() as u64).sum());
        let metadata = HashMap::from([("format".to_owned(), format!("openelm-{dtype}"))]);
        safetensors::serialize_to_file(views, Some(metadata), &unfinished.join(TENSORS)).map_err(
            |error| match error {
                SafeTensorError::IoError(error) => Error::write(&folder.join(TENSORS), error),
                other => Error::checkpoint(&folder.join(TENSORS), other.to_string()),
            },
        )?;
        self.check_lengths()?;
        if is_cancelled() {
            return Err(Error::Cancelled);
        }
        if let Some(error) = spoiled.take() {
            return Err(error);
        }
        if let Some(own) = self.own_folder() {
            for name in travelling(own)? {
                std::fs::copy(own.join(&name), unfinished.join(&name))
                    .map_err(|error| Error::write(&folder.join(&name), error))?;
            }
        }
        if self.own_folder().is_none()
            && let Some((_, template)) = self.chat_files()?.template
        {
            std::fs::write(unfinished.join(TEMPLATE), template)
                .map_err(|error| Error::write(&folder.join(TEMPLATE), error))?;
        }
        for (name, bytes) in self.side_files() {
            let file = unfinished.join(name);
            std::fs::write(&file, bytes)
                .and_then(|()| std::fs::metadata(&file))
                // The library makes a file that only its owner can read.
                .and_then(|usual| {
                    std::fs::set_permissions(unfinished.join(TENSORS), usual.permissions())
                })
                .map_err(|error| Error::write(&folder.join(name), error))?;
        }
        Ok(warnings.take())
    }
}

/// Files of a model's folder that go where the model goes: what it says about chats, its tokenizer in other forms, and its licence.
fn travelling(folder: &Path) -> Result<Vec<OsString>> {
    const OTHERS: [&str; 4] = [
        "special_tokens_map.json",
        "added_tokens.json",
        "tokenizer.model",
        "README.md",
    ];
    const BEGINNINGS: [&str; 5] = ["LICENSE", "LICENCE", "NOTICE", "COPYING", "USE_POLICY"];
    let entries = std::fs::read_dir(folder).map_err(|error| Error::read(folder, error))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let travels = |name: &OsString| {
        let text = name.to_string_lossy();
        let begins = |with: &&str| text.to_ascii_uppercase().starts_with(*with);
        let is_named = CHAT_FILES.iter().chain(&OTHERS).any(|other| text == *other);
        (is_named || BEGINNINGS.iter().any(begins)) && folder.join(name).is_file()
    };
    Ok(names.filter(travels).collect())
}

/// Makes a folder next to `folder`, for what is not to have that name until it is whole.
fn folder_beside(folder: &Path) -> Result<PathBuf> {
    let Some(name) = folder.file_name() else {
        let cause = std::io::ErrorKind::InvalidFilename.into();
        return Err(Error::write(folder, cause));
    };
    // What is there already is of somebody who writes now, or was killed: it is not ours.
    let mut number = 0;
    loop {
        let mut beside = name.to_owned();
        beside.push(format!(".part-{number}"));
        let beside = folder.with_file_name(beside);
        match std::fs::create_dir(&beside) {
            Ok(()) => return Ok(beside),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < 100 => number += 1,
            Err(error) => return Err(Error::write(&beside, error)),
        }
    }
}
