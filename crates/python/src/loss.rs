//! Losses that are functions of Python.

use crate::arrays::{Array, array, rows};
use maana::kernels::{Context, Matrix, Rows};
use maana::train::loss::{Embedded, Labels, Loss, LossSummary, Needs, Pairs};
use numpy::PyArray2;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The first exception of the functions of a run, which ends it.
pub(crate) struct Failed {
    exception: Mutex<Option<PyErr>>,
    stop: Arc<AtomicBool>,
}

impl Failed {
    /// Creates a place for an exception, which sets `stop`.
    pub(crate) fn new(stop: &Arc<AtomicBool>) -> Arc<Self> {
        Arc::new(Self { exception: Mutex::default(), stop: Arc::clone(stop) })
    }

    /// Keeps an exception and ends the run.
    pub(crate) fn set(&self, exception: PyErr) {
        self.stop.store(true, Ordering::Relaxed);
        self.lock().get_or_insert(exception);
    }

    /// Returns the exception, if there is one.
    pub(crate) fn take(&self) -> Option<PyErr> {
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<PyErr>> {
        self.exception.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A function of Python that receives the embeddings of each column, `(rows, columns)`, and the
/// labels, `(rows, numbers)` or `None`, and returns the loss and the gradient of each column.
pub(crate) struct PythonLoss {
    pub(crate) function: Py<PyAny>,
    /// Name and parameters for the model card.
    pub(crate) class: String,
    pub(crate) parameters: Vec<(String, serde_json::Value)>,
    pub(crate) failed: Arc<Failed>,
    /// True for a loss of a cross-encoder, which receives the logits of all pairs as its only
    /// column, and the start of each row's pairs as a third argument.
    pub(crate) on_pairs: bool,
}

impl PythonLoss {
    fn call(&self, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> PyResult<f32> {
        Python::attach(|py| {
            let columns: Vec<_> =
                embedded.columns.iter().map(|column| of_rows(py, *column)).collect::<PyResult<_>>()?;
            let labels = embedded.labels.map(|labels| of_rows(py, labels)).transpose()?;
            let function = self.function.bind(py);
            let result = match self.on_pairs {
                true => function.call1((columns, labels, embedded.pairs.to_vec())),
                false => function.call1((columns, labels)),
            };
            let (value, gradients): (f32, Vec<Array<'_>>) = result?.extract()?;
            if gradients.len() != d_columns.len() {
                let text = format!(
                    "the loss {} returned {} gradients for {} columns",
                    self.class,
                    gradients.len(),
                    d_columns.len()
                );
                return Err(PyValueError::new_err(text));
            }
            for (gradient, d_column) in gradients.iter().zip(d_columns) {
                let gradient = rows(gradient, "a gradient")?;
                let (found, expected) = ((gradient.rows(), gradient.columns()), (d_column.rows(), d_column.columns()));
                if found != expected {
                    let text = format!(
                        "the loss {} returned a gradient of the shape {found:?} for embeddings of the shape {expected:?}",
                        self.class
                    );
                    return Err(PyValueError::new_err(text));
                }
                for row in 0..gradient.rows() {
                    for (sum, value) in d_column.row_mut(row).iter_mut().zip(gradient.row(row)) {
                        *sum += weight * value;
                    }
                }
            }
            Ok(weight * value)
        })
    }
}

impl Loss for PythonLoss {
    /// An exception gives a loss that is not a number, which ends the run before its update.
    fn loss(&self, _context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        self.call(embedded, weight, d_columns).unwrap_or_else(|exception| {
            self.failed.set(exception);
            f32::NAN
        })
    }

    fn needs(&self) -> Needs {
        Needs { columns: 1 + usize::from(self.on_pairs)..=usize::MAX, labels: Labels::Optional, columns_alone: 1 }
    }

    fn pairs(&self) -> Option<Pairs> {
        self.on_pairs.then_some(Pairs::Each)
    }

    fn describe(&self) -> LossSummary {
        let (class, parameters) = (self.class.clone(), self.parameters.clone());
        LossSummary { name: "own".into(), class, parameters, inner: None }
    }
}

/// Copies rows to an array.
fn of_rows<'py>(py: Python<'py>, rows: Rows<'_>) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let values = (0..rows.rows()).flat_map(|row| rows.row(row).iter().copied()).collect();
    array(py, values, rows.rows(), rows.columns())
}
