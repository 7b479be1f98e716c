//! Weights of modules from which a model is built.

use crate::error::of_model;
use numpy::{PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use std::path::PathBuf;

/// Writes arrays of float32 to a file of weights, each with its name.
#[pyfunction]
pub(crate) fn write_tensors(path: PathBuf, tensors: Vec<(String, PyReadonlyArrayDyn<'_, f32>)>) -> PyResult<()> {
    let parts = tensors.iter().map(|(name, array)| Ok((name.clone(), array.shape(), array.as_slice()?)));
    let parts = parts.collect::<PyResult<Vec<_>>>()?;
    maana::model::write_tensors(&path, &parts).map_err(of_model)
}
