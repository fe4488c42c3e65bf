//! The one error type. Every message says what was wrong, where, and what to do about it.

use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong, by cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or mapped.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// A file or folder could not be written.
    #[error("cannot write {}: {cause}", path.display())]
    Write {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// A model name that is neither a folder, nor `demo`, nor `shape:NAME`.
    #[error("{0}")]
    ModelNotFound(String),
    /// `config.json` is absent, malformed, or describes something that is not OpenELM.
    #[error("{}: {what}", path.display())]
    Config { path: PathBuf, what: String },
    /// A safetensors file or its index is malformed, or files are missing.
    #[error("{}: {what}", path.display())]
    Checkpoint { path: PathBuf, what: String },
    /// One tensor is missing, superfluous, or has the wrong shape or type.
    #[error("{}: tensor `{name}`: {what}", path.display())]
    Tensor {
        path: PathBuf,
        name: String,
        what: String,
    },
    /// The tokenizer is absent or malformed.
    #[error("{0}")]
    Tokenizer(String),
    /// The prompt cannot be used: empty, too long, or with ids that the model does not have.
    #[error("{0}")]
    Prompt(String),
    /// An option has a value that makes no sense.
    #[error("{0}")]
    Option(String),
    /// No adapter, or none that matches the wish.
    #[error("{0}")]
    NoAdapter(String),
    /// The device has too little memory for the model.
    #[error("{0}")]
    OutOfMemory(String),
    /// The device went away: driver reset, unplugged, or destroyed.
    #[error(
        "the GPU device was lost ({0}); load the model again, and if it happens again try another --device"
    )]
    DeviceLost(String),
    /// The window could not be opened, or keep its data.
    #[error("{0}")]
    Window(String),
    /// The caller cancelled what was going on.
    #[error("cancelled")]
    Cancelled,
    /// A shader of this crate was refused by the driver's compiler.
    #[error("shader {file}:{line}: {what} (this is a bug in openelm: please report it)")]
    Shader {
        file: String,
        line: u32,
        what: String,
    },
    /// wgpu reported an error that this crate did not cause knowingly.
    #[error("GPU error: {0} (this is a bug in openelm or in the driver: please report it)")]
    Gpu(String),
}

impl Error {
    pub(crate) fn read(path: &Path, cause: std::io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            cause,
        }
    }

    pub(crate) fn write(path: &Path, cause: std::io::Error) -> Self {
        Self::Write {
            path: path.to_owned(),
            cause,
        }
    }

    pub(crate) fn config(path: &Path, what: impl Into<String>) -> Self {
        Self::Config {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn checkpoint(path: &Path, what: impl Into<String>) -> Self {
        Self::Checkpoint {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn tensor(path: &Path, name: &str, what: impl Into<String>) -> Self {
        Self::Tensor {
            path: path.to_owned(),
            name: name.to_owned(),
            what: what.into(),
        }
    }
}
