//! Which part of all that was timed is shown, and in which view.

/// A view of the timings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tab {
    #[default]
    Heat,
    Layers,
    Flame,
    Kernels,
    Memory,
    Compare,
}

impl Tab {
    /// All views in their order, with their names.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Heat, "Heat map"),
        (Self::Layers, "Layers"),
        (Self::Flame, "Flame"),
        (Self::Kernels, "Kernels"),
        (Self::Memory, "Memory"),
        (Self::Compare, "Compare"),
    ];
}

/// What the views show of all that was timed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Selection {
    /// First and last step, counted from the begin of the run.
    pub steps: Option<(usize, usize)>,
    /// `Some(None)`: what lies outside the layers.
    pub layer: Option<Option<u32>>,
    pub kernel: Option<&'static str>,
}
