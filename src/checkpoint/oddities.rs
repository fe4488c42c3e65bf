//! What is odd in a tensor's numbers, in the same words where they are loaded and where they are written.

use crate::dtype::Dtype;

/// One row in so many may be small for another reason: tokens that were never seen in training fade.
pub(super) const POOR_ROWS: usize = 64;

/// That some are no numbers, or none after conversion from `stored` to `dtype`.
pub(crate) fn non_finite(dtype: Dtype, stored: Dtype) -> String {
    let hint = match dtype {
        Dtype::F16 if stored != Dtype::F16 => {
            "if the file itself is sound, its values are too large for f16, and f32 or bf16 would hold them".to_owned()
        }
        Dtype::Q8 | Dtype::Q4 => format!(
            "the file is damaged, or its values are too large for {dtype}, and the output will be useless"
        ),
        _ => "the file is damaged and the output will be useless".to_owned(),
    };
    format!("holds NaN or infinite values; {hint}")
}

/// That a matrix is too small for the scales of `dtype`; `None` if hardly any of its rows is.
pub(crate) fn faint(dtype: Dtype, faint_rows: usize, rows: usize) -> Option<String> {
    (faint_rows * POOR_ROWS > rows).then(|| {
        format!(
            "has numbers that are too small for {dtype}, whose scales are f16, and the output will be useless; bf16 and f32 hold them"
        )
    })
}
