//! Errors of vectors and settings.

/// Vectors or settings that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VectorsError {
    /// Rows of another length than those they are compared with.
    #[error("vectors of {found} dims where {expected} are needed; were they made by another model?")]
    Dims {
        /// Columns that are needed.
        expected: usize,
        /// Columns of what was handed in.
        found: usize,
    },
    /// A value that is NaN or infinite.
    #[error("row {row}, column {column} is {value}; only finite numbers can be compared")]
    NotFinite {
        /// Row of the first such value.
        row: usize,
        /// Its column.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A prefix that is empty or longer than the vectors.
    #[error("a prefix of {dim} dims of vectors of {dims}; it must be from 1 to {dims}")]
    Prefix {
        /// The requested number.
        dim: usize,
        /// Dims of the vectors.
        dims: usize,
    },
    /// Fewer rows than are needed.
    #[error("{found} vectors where {needed} or more are needed")]
    TooFew {
        /// The least that would do.
        needed: usize,
        /// Rows that were handed in.
        found: usize,
    },
    /// A setting with a value that means nothing.
    #[error("{setting}: {message}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// The fault and its remedy.
        message: String,
    },
}

impl VectorsError {
    pub(crate) fn setting(setting: &'static str, message: impl Into<String>) -> Self {
        Self::Setting { setting, message: message.into() }
    }
}

/// Checks that all values are finite.
///
/// # Errors
/// The first that is not.
pub fn check_finite(rows: maana_kernels::Rows<'_>) -> Result<(), VectorsError> {
    for row in 0..rows.rows() {
        let values = rows.row(row);
        // A sum of zeros unless some value is infinite or NaN: one pass without branches.
        if values.iter().map(|value| value * 0.0).sum::<f32>() != 0.0 {
            let column = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
            return Err(VectorsError::NotFinite { row, column, value: values[column] });
        }
    }
    Ok(())
}
