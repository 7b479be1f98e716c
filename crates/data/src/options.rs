//! Options of reading.

use crate::DrawnColumn;

/// Options of reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Columns in the order of the loss; one of [`crate::LABEL_COLUMNS`] among them, at any
    /// position, is the label. `None` reads every column in the order of the first file.
    pub columns: Option<Vec<String>>,
    /// Maximum number of rows, from the start.
    pub limit: Option<usize>,
    /// Allows texts that are empty or only white space, which in training are nearly always a
    /// mistake.
    pub allow_blank: bool,
    /// A column of lists from which each epoch draws texts. Other lists must have one length.
    pub drawn: Option<DrawnColumn>,
    /// Allows lists of any length in the second of two columns, each with a label that is a list of
    /// one number for each text ([`crate::Source::has_lists`]).
    pub lists: bool,
    /// Names of classes: a label that is a text is the number of its name among these.
    pub classes: Vec<String>,
}
