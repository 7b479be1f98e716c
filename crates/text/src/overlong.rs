//! Texts with too many tokens.

/// Handling of texts with too many tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlong {
    /// Truncates the end.
    #[default]
    CutEnd,
    /// Truncates the beginning.
    CutBeginning,
    /// Returns an error.
    Refuse,
}
