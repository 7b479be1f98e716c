//! Report of a trial.

/// A mutation and its effects.
pub(crate) struct Report {
    pub(crate) mutation: String,
    /// `true` if a command refused its input.
    pub(crate) refused: bool,
    pub(crate) faults: Vec<String>,
}
