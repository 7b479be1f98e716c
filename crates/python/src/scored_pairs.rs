//! Measures of scores of pairs, for the evaluators of cross-encoders.

use maana::eval::{ScoredList, binary_classification, classification, correlation, reranking_of_scores};
use numpy::{PyReadonlyArray1, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Measures by name, in order.
type Measures = Vec<(String, f64)>;

/// Returns the correlations of scores with expected ones.
#[pyfunction]
pub(crate) fn measure_correlation(
    scores: PyReadonlyArray1<'_, f32>,
    expected: PyReadonlyArray1<'_, f64>,
) -> PyResult<Measures> {
    same_length(scores.len(), expected.len())?;
    Ok(correlation(scores.as_slice()?, expected.as_slice()?))
}

/// Returns the measures of scores as a classifier of pairs that are alike.
#[pyfunction]
pub(crate) fn measure_binary(scores: PyReadonlyArray1<'_, f32>, alike: Vec<bool>) -> PyResult<Measures> {
    same_length(scores.len(), alike.len())?;
    Ok(binary_classification(scores.as_slice()?, &alike))
}

/// Returns the F1 of classes that were found.
#[pyfunction]
pub(crate) fn measure_classes(found: Vec<usize>, expected: Vec<usize>) -> PyResult<Measures> {
    same_length(found.len(), expected.len())?;
    Ok(classification(&found, &expected))
}

/// Returns MAP, MRR and nDCG of the order of scores. `lists` are the scores of the candidates of
/// each query, and which are relevant.
#[pyfunction]
pub(crate) fn measure_reranking(lists: Vec<(Vec<f32>, Vec<bool>)>, at_k: usize) -> PyResult<Measures> {
    if lists.is_empty() {
        return Err(PyValueError::new_err("there are no queries; expected at least one"));
    }
    // A query may have no candidates.
    for (scores, relevant) in lists.iter().filter(|(scores, relevant)| scores.len() + relevant.len() > 0) {
        same_length(scores.len(), relevant.len())?;
    }
    let lists = lists.iter().map(|(scores, relevant)| ScoredList { scores, relevant });
    Ok(reranking_of_scores(lists, at_k))
}

fn same_length(scores: usize, expected: usize) -> PyResult<()> {
    if scores == expected && scores > 0 {
        return Ok(());
    }
    let text = format!("{scores} scores for {expected} labels; expected at least one, and a label for each score");
    Err(PyValueError::new_err(text))
}
