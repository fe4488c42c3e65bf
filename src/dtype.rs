//! Number formats of weights.

/// How a weight is stored, in a file or on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    F32,
    F16,
    Bf16,
    /// Eight bits and a scale for every 32 values.
    Q8,
    /// Four bits and a scale for every 32 values.
    Q4,
}

impl Dtype {
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Bf16, Self::Q8, Self::Q4];

    /// Bytes of a row of so many values. Quantised rows are whole superblocks of 256 values (`checkpoint::quantize`).
    pub fn row_bytes(self, columns: usize) -> usize {
        match self {
            Self::F32 => 4 * columns,
            Self::F16 | Self::Bf16 => 2 * columns,
            Self::Q8 => columns.div_ceil(256) * 272,
            Self::Q4 => columns.div_ceil(256) * 144,
        }
    }

    pub fn is_quantized(self) -> bool {
        matches!(self, Self::Q8 | Self::Q4)
    }

    /// `f32`, `f16`, `bf16`, `q8` or `q4`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        }
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
