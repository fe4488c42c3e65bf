//! What a report tells beside the steps.

use crate::trace::{LayerShape, Peaks};

/// What a report tells beside the steps. Texts may hold anything: they are escaped.
#[derive(Debug, Clone, Default)]
pub struct About<'a> {
    /// What the page is called; without one it is called as the model.
    pub title: &'a str,
    /// HTML that comes before everything else, such as a conversation; texts in it are [`super::escaped`].
    pub introduction: String,
    pub model: &'a str,
    /// How weights are kept, such as `bf16`.
    pub dtype: &'a str,
    pub adapter: &'a str,
    /// What else is to be known, such as driver, versions, settings and date, in this order.
    pub facts: Vec<(&'static str, String)>,
    /// The model's layers.
    pub layers: Vec<LayerShape>,
    /// What the adapter can do at best, where that was measured.
    pub peaks: Option<Peaks>,
    /// Seconds that a decoded token takes without and with timing, where both are known.
    pub cost: Option<(f64, f64)>,
    /// Earlier steps that are no longer there.
    pub left_out: usize,
}
