//! Texts of Python: strings, or strings of Arrow where they lie.

use numpy::{PyReadonlyArray1, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

/// Texts as arguments.
#[derive(FromPyObject)]
pub(crate) enum Texts<'py> {
    /// Strings of Python.
    List(Vec<PyBackedStr>),
    /// Chunks of strings of Arrow: bytes, and the offsets of the texts in them.
    Arrow(ArrowChunks<'py>),
}

/// Bytes and offsets of each chunk.
#[derive(FromPyObject)]
pub(crate) struct ArrowChunks<'py> {
    chunks: Vec<(PyReadonlyArray1<'py, u8>, PyReadonlyArray1<'py, i64>)>,
}

impl Texts<'_> {
    /// Borrows the texts.
    ///
    /// # Errors
    /// If the bytes of Arrow are not the texts that the offsets promise.
    pub(crate) fn as_strs(&self) -> PyResult<Vec<&str>> {
        match self {
            Self::List(texts) => Ok(texts.iter().map(|text| &**text).collect()),
            Self::Arrow(arrow) => arrow.as_strs(),
        }
    }
}

impl ArrowChunks<'_> {
    fn as_strs(&self) -> PyResult<Vec<&str>> {
        let mut texts = Vec::with_capacity(self.chunks.iter().map(|(_, offsets)| offsets.len()).sum());
        for (bytes, offsets) in &self.chunks {
            let (bytes, offsets) = (bytes.as_slice()?, offsets.as_slice()?);
            for bounds in offsets.windows(2) {
                let range = usize::try_from(bounds[0]).ok().zip(usize::try_from(bounds[1]).ok());
                let text = range.and_then(|(start, end)| bytes.get(start..end)).map(std::str::from_utf8);
                match text {
                    Some(Ok(text)) => texts.push(text),
                    Some(Err(error)) => {
                        return Err(PyValueError::new_err(format!("text {} is not UTF-8: {error}", texts.len())));
                    }
                    None => {
                        let text = format!("text {} has the offsets {bounds:?} in {} bytes", texts.len(), bytes.len());
                        return Err(PyValueError::new_err(text));
                    }
                }
            }
        }
        Ok(texts)
    }
}
