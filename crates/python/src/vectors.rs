//! Functions of embeddings: similarities, search, pairs, communities, and embeddings in fewer bits.

use crate::arrays::{Array, array, compared, of_matrix, rows};
use crate::error::of_any;
use crate::interrupt::interruptible;
use crate::threads::context;
use maana::eval::metric;
use maana::model::Similarity;
use maana::vectors::VectorsError;
use maana::vectors::cluster::{self, Communities};
use maana::vectors::pairs::{
    HardNegatives, Mining, Sampling, hard_negatives as mine_negatives, paraphrase_mining, rescored_hard_negatives,
};
use maana::vectors::quantize::{Ranges, binary, int8, ubinary, uint8};
use maana::vectors::search::{Corpus, Hit, Search, search as nearest};
use numpy::{PyArray1, PyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::sync::atomic::Ordering;

/// Returns the similarity with a name of the reference.
pub(crate) fn similarity_named(name: &str) -> PyResult<Similarity> {
    match name {
        "cosine" => Ok(Similarity::Cosine),
        "dot" => Ok(Similarity::Dot),
        "euclidean" => Ok(Similarity::Euclidean),
        "manhattan" => Ok(Similarity::Manhattan),
        other => Err(PyValueError::new_err(format!(
            "the similarity is {other:?}; expected cosine, dot, euclidean or manhattan"
        ))),
    }
}

/// Compares every row of `a` with every row of `b`: `(rows of a, rows of b)`.
#[pyfunction]
pub(crate) fn similarity<'py>(
    py: Python<'py>,
    name: &str,
    a: Array<'py>,
    b: Array<'py>,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let (similarity, context) = (similarity_named(name)?, context()?);
    let (a, b) = compared((&a, "embeddings1"), (&b, "embeddings2"))?;
    let scores = interruptible(py, |_| Ok(maana::similarity::compare(&context, similarity, a, b)))?;
    of_matrix(py, scores)
}

/// Compares each row of `a` with the same row of `b`.
#[pyfunction]
pub(crate) fn similarity_pairwise<'py>(
    py: Python<'py>,
    name: &str,
    a: Array<'py>,
    b: Array<'py>,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let metric = metric(similarity_named(name)?);
    let (a, b) = compared((&a, "embeddings1"), (&b, "embeddings2"))?;
    if a.rows() != b.rows() {
        let text = format!("{} and {} embeddings cannot be compared pair by pair", a.rows(), b.rows());
        return Err(PyValueError::new_err(text));
    }
    let scores = interruptible(py, |_| Ok((0..a.rows()).map(|row| metric.score(a.row(row), b.row(row))).collect()))?;
    Ok(PyArray1::from_vec(py, scores))
}

/// Rows that were found, and their scores, nearest first: two arrays `(queries, hits)`.
type Hits<'py> = (Bound<'py, PyArray2<i64>>, Bound<'py, PyArray2<f32>>);

/// Finds the nearest rows of a corpus for each query.
#[pyfunction]
pub(crate) fn search<'py>(
    py: Python<'py>,
    name: &str,
    queries: Array<'py>,
    corpus: Array<'py>,
    top_k: usize,
) -> PyResult<Hits<'py>> {
    let (metric, context) = (metric(similarity_named(name)?), context()?);
    let (queries, corpus) = compared((&queries, "query_embeddings"), (&corpus, "corpus_embeddings"))?;
    let k = top_k.min(corpus.rows());
    let hits = interruptible(py, |_| {
        let settings = Search { k, metric, ..Search::default() };
        nearest(&context, &Corpus::from(corpus), queries, &settings).map_err(|error| of_any(&error))
    })?;
    let found = hits.iter().flatten().map(|hit| hit.row as i64).collect();
    let scores = hits.iter().flatten().map(|hit| hit.score).collect();
    Ok((array(py, found, hits.len(), k)?, array(py, scores, hits.len(), k)?))
}

/// Finds the pairs of rows with the greatest cosines: `(score, lower row, higher row)`, best first.
#[pyfunction]
pub(crate) fn paraphrases(
    py: Python<'_>,
    embeddings: Array<'_>,
    top_k: usize,
    max_pairs: usize,
) -> PyResult<Vec<(f32, usize, usize)>> {
    let (context, embeddings) = (context()?, rows(&embeddings, "embeddings")?);
    let settings = Mining { top_k, max_pairs, dim: None };
    let mined =
        interruptible(py, |_| paraphrase_mining(&context, embeddings, &settings).map_err(|error| of_any(&error)))?;
    Ok(mined.into_iter().map(|pair| (pair.score, pair.first, pair.second)).collect())
}

/// Settings of hard negatives: a dictionary of all of them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct NegativeSettings {
    negatives: usize,
    range_min: usize,
    range_max: Option<usize>,
    absolute_margin: Option<f32>,
    relative_margin: Option<f32>,
    max_score: Option<f32>,
    min_score: Option<f32>,
    include_positives: bool,
    seed: Option<u64>,
}

/// Rows of the corpus and their scores.
type Scored = Vec<(usize, f32)>;

/// Chooses hard negatives for each query, whose positives are rows of the corpus. Returns the
/// positives and the negatives of each query. With a seed negatives are drawn from the range.
/// `rescore` receives the number of a query and rows of the corpus, and returns scores that replace
/// those of the rows.
#[pyfunction]
#[pyo3(signature = (name, queries, corpus, positives, settings, rescore=None))]
pub(crate) fn hard_negatives<'py>(
    py: Python<'py>,
    name: &str,
    queries: Array<'py>,
    corpus: Array<'py>,
    positives: Vec<Vec<usize>>,
    settings: NegativeSettings,
    rescore: Option<Py<PyAny>>,
) -> PyResult<Vec<(Scored, Scored)>> {
    let (metric, context) = (metric(similarity_named(name)?), context()?);
    let (queries, corpus) = compared((&queries, "queries"), (&corpus, "corpus"))?;
    let settings = HardNegatives {
        negatives: settings.negatives,
        range_min: settings.range_min,
        range_max: settings.range_max,
        absolute_margin: settings.absolute_margin,
        relative_margin: settings.relative_margin,
        max_score: settings.max_score,
        min_score: settings.min_score,
        include_positives: settings.include_positives,
        sampling: settings.seed.map_or(Sampling::Top, |seed| Sampling::Random { seed }),
        metric,
        dim: None,
    };
    let mined = interruptible(py, |stop| {
        let Some(rescore) = rescore else {
            return mine_negatives(&context, queries, corpus, &positives, &settings).map_err(|error| of_any(&error));
        };
        let scores = |query: usize, rows: &[usize]| {
            if stop.load(Ordering::Relaxed) {
                return Err(MiningError(PyRuntimeError::new_err("stopped")));
            }
            scores_of(&rescore, query, rows).map_err(MiningError)
        };
        rescored_hard_negatives(&context, queries, corpus, &positives, &settings, scores).map_err(|error| error.0)
    })?;
    let scored = |hits: Vec<Hit>| hits.into_iter().map(|hit| (hit.row, hit.score)).collect();
    Ok(mined.into_iter().map(|mined| (scored(mined.positives), scored(mined.negatives))).collect())
}

/// An exception of mining: that of a function of Python, or of an error.
struct MiningError(PyErr);

impl From<VectorsError> for MiningError {
    fn from(error: VectorsError) -> Self {
        Self(of_any(&error))
    }
}

/// Calls `rescore` for rows of a query.
fn scores_of(rescore: &Py<PyAny>, query: usize, rows: &[usize]) -> PyResult<Vec<f32>> {
    let scores: Vec<f32> = Python::attach(|py| rescore.call1(py, (query, rows))?.extract(py))?;
    if scores.len() != rows.len() {
        let text = format!("{} scores for {} pairs; expected one for each", scores.len(), rows.len());
        return Err(PyValueError::new_err(text));
    }
    Ok(scores)
}

/// Finds communities of rows, the largest first, the central row of each first.
#[pyfunction]
pub(crate) fn communities(
    py: Python<'_>,
    embeddings: Array<'_>,
    threshold: f32,
    min_size: usize,
) -> PyResult<Vec<Vec<usize>>> {
    let (context, embeddings) = (context()?, rows(&embeddings, "embeddings")?);
    let settings = Communities { threshold, min_size };
    interruptible(py, |_| cluster::communities(&context, embeddings, &settings).map_err(|error| of_any(&error)))
}

/// Returns the least and the greatest value of each column: `(2, columns)`.
#[pyfunction]
pub(crate) fn ranges<'py>(py: Python<'py>, embeddings: Array<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let found = Ranges::of(rows(&embeddings, "embeddings")?).map_err(|error| of_any(&error))?;
    let columns = found.low.len();
    array(py, [found.low, found.high].concat(), 2, columns)
}

/// Rounds embeddings to `int8`, `uint8`, `binary` or `ubinary`. The first two take ranges `(2,
/// columns)`.
#[pyfunction]
pub(crate) fn quantize<'py>(
    py: Python<'py>,
    embeddings: Array<'py>,
    precision: &str,
    ranges: Option<Array<'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    let embeddings = rows(&embeddings, "embeddings")?;
    let (count, columns) = (embeddings.rows(), embeddings.columns());
    let bytes = columns.div_ceil(8);
    let ranges = || {
        let Some(ranges) = &ranges else { return Err(PyValueError::new_err("int8 and uint8 need ranges")) };
        if ranges.shape() != [2, columns] {
            let text = format!("ranges have the shape {:?}; expected (2, {columns})", ranges.shape());
            return Err(PyValueError::new_err(text));
        }
        let ranges = rows(ranges, "ranges")?;
        Ok(Ranges { low: ranges.row(0).to_vec(), high: ranges.row(1).to_vec() })
    };
    Ok(match precision {
        "int8" => array(py, int8(embeddings, &ranges()?), count, columns)?.into_any(),
        "uint8" => array(py, uint8(embeddings, &ranges()?), count, columns)?.into_any(),
        "binary" => array(py, binary(embeddings), count, bytes)?.into_any(),
        "ubinary" => array(py, ubinary(embeddings), count, bytes)?.into_any(),
        other => {
            let text = format!("precision is {other:?}; expected int8, uint8, binary or ubinary");
            return Err(PyValueError::new_err(text));
        }
    })
}
