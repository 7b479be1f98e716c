//! Arrays of NumPy as rows, without a copy, and matrices as arrays.

use maana::kernels::{Matrix, Rows};
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A two-dimensional array of float32 in C order.
pub(crate) type Array<'py> = PyReadonlyArray2<'py, f32>;

/// Borrows the rows of an array.
///
/// # Errors
/// If the array is not contiguous in C order.
pub(crate) fn rows<'a>(array: &'a Array<'_>, name: &str) -> PyResult<Rows<'a>> {
    let [rows, columns] = array.shape()[..] else { unreachable!("it has two dimensions") };
    let values = array.as_slice().map_err(|_| {
        PyValueError::new_err(format!("{name} is not contiguous in C order; use numpy.ascontiguousarray"))
    })?;
    Ok(Rows::new(values, rows, columns, columns))
}

/// Borrows the rows of two arrays that are compared.
///
/// # Errors
/// If an array is not contiguous in C order, or they have different numbers of columns.
pub(crate) fn compared<'a>(
    (a, name_of_a): (&'a Array<'_>, &str),
    (b, name_of_b): (&'a Array<'_>, &str),
) -> PyResult<(Rows<'a>, Rows<'a>)> {
    let (a, b) = (rows(a, name_of_a)?, rows(b, name_of_b)?);
    if a.columns() == b.columns() {
        return Ok((a, b));
    }
    let text = format!("embeddings of {} and of {} columns cannot be compared", a.columns(), b.columns());
    Err(PyValueError::new_err(text))
}

/// Returns values as an array of shape `(rows, columns)`, without a copy.
pub(crate) fn array<T: numpy::Element>(
    py: Python<'_>,
    values: Vec<T>,
    rows: usize,
    columns: usize,
) -> PyResult<Bound<'_, PyArray2<T>>> {
    PyArray1::from_vec(py, values).reshape([rows, columns])
}

/// Returns a matrix as an array, without a copy.
pub(crate) fn of_matrix(py: Python<'_>, matrix: Matrix) -> PyResult<Bound<'_, PyArray2<f32>>> {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    array(py, matrix.into_vec(), rows, columns)
}
