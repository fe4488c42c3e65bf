//! A tensor's rows as they lie in a GGUF file.

use super::encoding::Encoding;
use crate::dtype::Dtype;

/// Rows of one or more tensors of the file, one tensor after the other.
pub struct Rows<'a> {
    parts: Vec<Part<'a>>,
}

/// A tensor of the file.
pub struct Part<'a> {
    pub encoding: Encoding,
    pub bytes: &'a [u8],
    pub row_bytes: usize,
}

impl<'a> Rows<'a> {
    pub fn new(parts: Vec<Part<'a>>) -> Self {
        Self { parts }
    }

    /// The format of ours that holds the same numbers.
    pub fn dtype(&self) -> Dtype {
        let mut dtypes = self.parts.iter().map(|part| part.encoding.dtype());
        match dtypes.next() {
            Some(dtype) if dtypes.all(|other| other == dtype) => dtype,
            _ => Dtype::F32,
        }
    }

    /// Writes row `row` to `out` if `dtype` holds its very numbers.
    pub fn copy(&self, row: usize, dtype: Dtype, out: &mut [u8]) -> bool {
        self.row(row)
            .is_some_and(|(encoding, bytes)| encoding.copy(bytes, dtype, out))
    }

    /// Computes the numbers of row `row`.
    pub fn widen(&self, row: usize, out: &mut [f32]) {
        if let Some((encoding, bytes)) = self.row(row) {
            encoding.widen(bytes, out);
        }
    }

    /// Hands all that makes its numbers to `take`, in pieces.
    pub fn each_source(&self, mut take: impl FnMut(&[u8])) {
        for part in &self.parts {
            take(part.encoding.to_string().as_bytes());
            take(part.bytes);
        }
    }

    /// Bytes in the file.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.bytes.len()).sum()
    }

    fn row(&self, mut row: usize) -> Option<(Encoding, &'a [u8])> {
        for part in &self.parts {
            let rows = part.bytes.len() / part.row_bytes.max(1);
            if row < rows {
                let begin = row * part.row_bytes;
                let bytes = part.bytes.get(begin..begin + part.row_bytes)?;
                return Some((part.encoding, bytes));
            }
            row -= rows;
        }
        None
    }
}
