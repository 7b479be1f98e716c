//! Evaluators that are functions of Python.

use crate::encoder::Encoder;
use crate::interrupt::CallingThread;
use crate::loss::Failed;
use crate::pair_encoder::PairEncoder;
use maana::eval::{Kind, Scores};
use maana::recipe::{Evaluated, Evaluator};
use maana::train::Failure;
use pyo3::prelude::*;
use std::sync::Arc;

/// Scores of one evaluation: kind, name, dimension, measures and the name of the primary one.
type Measured = (String, String, usize, Vec<(String, f64)>, String);

/// A function of Python that receives the model as an [`Encoder`] or a [`PairEncoder`], the number
/// of updates and that of epochs, and returns a list of scores.
pub(crate) struct PythonEvaluator {
    pub(crate) function: Arc<Py<PyAny>>,
    /// The thread that called `train`, on which the function runs.
    pub(crate) thread: CallingThread,
    pub(crate) failed: Arc<Failed>,
}

impl Evaluator for PythonEvaluator {
    fn evaluate(&self, model: Evaluated, step: u64, epoch: f64) -> Result<Vec<Scores>, Failure> {
        let function = Arc::clone(&self.function);
        let measured: PyResult<Vec<Measured>> = self.thread.call(move |py| {
            let model = match model {
                Evaluated::Texts(encoder) => Py::new(py, Encoder::in_training(encoder))?.into_any(),
                Evaluated::Pairs(encoder) => Py::new(py, PairEncoder::in_training(encoder))?.into_any(),
            };
            function.call1(py, (model, step, epoch))?.extract(py)
        });
        match measured {
            Ok(measured) => Ok(measured.into_iter().map(scores).collect()),
            Err(exception) => {
                let text = exception.to_string();
                self.failed.set(exception);
                Err(text.into())
            }
        }
    }
}

/// Returns the scores of an evaluation, whose kind is `own` unless a set of files could have it.
fn scores((kind, name, dimension, values, primary): Measured) -> Scores {
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind).unwrap_or(Kind::Own);
    Scores { kind, name, dimension, values, primary, precision: None, items: Vec::new() }
}
