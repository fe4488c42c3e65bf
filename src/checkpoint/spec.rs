//! What a configuration expects of a checkpoint.

/// One tensor of the configuration: its name and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
    pub shape: Vec<usize>,
}
