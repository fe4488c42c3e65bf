//! Which part of all that was timed is shown, and in which views.

/// A view of the timings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
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

    pub fn name(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(tab, _)| *tab == self)
            .map_or("", |(_, name)| name)
    }

    /// The view to show beside another where `wanted` is that other one.
    pub fn beside(self, wanted: Self) -> Self {
        match (wanted == self, self) {
            (false, _) => wanted,
            (true, Self::Layers) => Self::Heat,
            (true, _) => Self::Layers,
        }
    }
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

/// The runs that are compared, by their numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pair {
    /// `None`: the one that is shown.
    pub now: Option<u64>,
    /// `None`: the one before it.
    pub then: Option<u64>,
}
