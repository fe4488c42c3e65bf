//! How finely to time.

/// How finely steps are timed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceMode {
    #[default]
    Off,
    /// Whole steps, by the host's clock: costs nothing.
    Steps,
    /// Layer by layer: the least that can be asked of the device.
    Layers,
    /// Dispatch by dispatch.
    Kernels,
}

impl TraceMode {
    /// Whether the device's clock is asked.
    pub fn is_detailed(self) -> bool {
        matches!(self, Self::Layers | Self::Kernels)
    }
}
