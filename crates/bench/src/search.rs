//! Benchmarks of search: synthetic vectors, and rounds of each method.

use crate::rounds::peak_bytes;
use maana::data::DataError;
use maana::kernels::{Context, Matrix};
use maana::npy::{self, NpyError};
use maana::vectors::VectorsError;
use maana::vectors::index::{Graph, Hnsw, HnswSettings, Index, prefix_for};
use maana::vectors::random::Random;
use maana::vectors::search::{Corpus, Funnel, Hit, Metric, RecallTarget, Search, choose, search};
use maana::vectors::store::StoreError;
use std::path::Path;
use std::time::Instant;

/// An error of a benchmark of search.
#[derive(Debug, thiserror::Error)]
pub enum SearchBenchError {
    /// A file of vectors cannot be read.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// A file cannot be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The vectors.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// The graph's file.
    #[error(transparent)]
    Graph(#[from] StoreError),
}

/// Mean number of rows around one centre.
const GROUP: usize = 100;
/// Share of the centre in a row.
const SHARED: f32 = 0.8;

/// Creates synthetic unit vectors with the decreasing variance of a Matryoshka model, 1/(1 + i) in
/// column `i`, in groups of about a hundred rows: `(rows, dims)`. They depend only on the seed, not
/// on the number of threads.
pub fn synthetic_vectors(context: &Context, rows: usize, dims: usize, groups: usize, seed: u64) -> Matrix {
    let scales: Vec<f32> = (0..dims).map(|column| 1.0 / ((1 + column) as f32).sqrt()).collect();
    let mut centres = Matrix::zeros(groups, dims);
    context.for_each_chunk(centres.data_mut(), dims, |group, row| fill(row, &scales, group as u64));
    let mut vectors = Matrix::zeros(rows, dims);
    context.for_each_chunk(vectors.data_mut(), dims, |number, row| {
        let own = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (number as u64) << 20;
        fill(row, &scales, own);
        let centre = centres.row(Random::new(own ^ 0x5851_F42D).number() as usize % groups);
        row.iter_mut().zip(centre).for_each(|(x, centre)| *x = SHARED * centre + (1.0 - SHARED * SHARED).sqrt() * *x);
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    });
    vectors
}

/// Fills a row with normal numbers (Box and Muller), scaled by column.
fn fill(row: &mut [f32], scales: &[f32], seed: u64) {
    let mut random = Random::new(seed);
    let mut unit = || ((random.number() >> 40) as f32 + 0.5) / (1u64 << 24) as f32;
    for (pair, scales) in row.chunks_mut(2).zip(scales.chunks(2)) {
        let radius = (-2.0 * unit().ln()).sqrt();
        let (sine, cosine) = (std::f32::consts::TAU * unit()).sin_cos();
        pair.iter_mut().zip(scales).zip([radius * sine, radius * cosine]).for_each(|((x, scale), z)| *x = scale * z);
    }
}

/// Neighbours per query.
const NEIGHBOURS: usize = 10;

/// Creates vectors and queries, finds the true neighbours, and writes `base.npy`, `queries.npy` and
/// `truth.npy`.
///
/// # Errors
/// If a file cannot be written.
pub fn write_vectors(
    context: &Context,
    folder: &Path,
    rows: usize,
    dims: usize,
    queries: usize,
) -> Result<(), SearchBenchError> {
    let groups = (rows / GROUP).max(1);
    let base = synthetic_vectors(context, rows, dims, groups, 1);
    let query_rows = synthetic_vectors(context, queries, dims, groups, 2);
    write(&folder.join("base.npy"), &base)?;
    write(&folder.join("queries.npy"), &query_rows)?;
    true_neighbours(context, folder, &base, &query_rows)
}

/// Finds the true neighbours of `queries.npy` in `base.npy` and writes them as `truth.npy`.
///
/// # Errors
/// If a file cannot be read or written.
pub fn write_true_neighbours(context: &Context, folder: &Path) -> Result<(), SearchBenchError> {
    let (base, queries) = (npy::read(&folder.join("base.npy"))?, npy::read(&folder.join("queries.npy"))?);
    true_neighbours(context, folder, &base, &queries)
}

fn true_neighbours(context: &Context, folder: &Path, base: &Matrix, queries: &Matrix) -> Result<(), SearchBenchError> {
    let settings = Search { k: NEIGHBOURS, ..Search::default() };
    let truth = search(context, &base.view().into(), queries.view(), &settings)?;
    // Row numbers below 2²⁴ are exact in f32.
    let numbers: Vec<f32> = truth.iter().flatten().map(|hit| hit.row as f32).collect();
    write(&folder.join("truth.npy"), &Matrix::from_vec(queries.rows(), numbers.len() / queries.rows(), numbers))
}

fn write(path: &Path, matrix: &Matrix) -> Result<(), SearchBenchError> {
    npy::write(path, matrix.rows(), matrix.columns(), matrix.data())
        .map_err(|source| DataError::Io { path: path.display().to_string(), source }.into())
}

/// A method of search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Every vector is compared.
    Exact,
    /// A shortlist by few columns and bits; the effort is the target recall in percent.
    Funnel,
    /// A graph, which is built and stored in the folder in the first run; the effort is the width.
    Graph,
}

/// A round of all queries at once.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SearchRound {
    /// Duration.
    pub seconds: f64,
    /// Share of the true neighbours that were found.
    pub recall: f64,
    /// Peak memory of the process, including the vectors.
    pub peak_bytes: u64,
    /// Description of the chosen settings.
    pub about: String,
}

/// Searches for all queries of a folder once per effort that `next` returns; `next` receives the
/// previous round.
///
/// # Errors
/// If the folder's files cannot be read, or the graph cannot be stored.
pub fn search_rounds(
    context: &Context,
    folder: &Path,
    method: Method,
    next: &mut dyn FnMut(Option<SearchRound>) -> Option<usize>,
) -> Result<(), SearchBenchError> {
    let (base, queries) = (npy::read(&folder.join("base.npy"))?, npy::read(&folder.join("queries.npy"))?);
    let truth = npy::read(&folder.join("truth.npy"))?;
    let corpus = Corpus::from(base.view());
    let settings = Search { k: NEIGHBOURS, ..Search::default() };
    let mut graph = match method {
        Method::Graph => Some(graph(context, folder, corpus.clone())?),
        Method::Exact | Method::Funnel => None,
    };
    let mut funnel: Option<(usize, Option<Funnel<'_>>)> = None;
    let mut last = None;
    while let Some(effort) = next(last) {
        if method == Method::Funnel && funnel.as_ref().is_none_or(|(known, _)| *known != effort) {
            let target = RecallTarget { k: NEIGHBOURS, recall: effort as f64 / 100.0, ..RecallTarget::default() };
            let chosen = choose(context, &corpus, Metric::Cosine, &target)?.funnel;
            let built = chosen.map(|chosen| Funnel::build(context, corpus.clone(), Metric::Cosine, chosen.settings));
            funnel = Some((effort, built.transpose()?));
        }
        let began = Instant::now();
        let (found, about) = match (&mut graph, &funnel) {
            (Some(graph), _) => {
                // Widths beyond the measured ones score as many as the widest.
                let all = || graph.graph().reached_for(NEIGHBOURS);
                let measured = all().find(|reached| reached.width >= effort).or_else(|| all().last());
                (graph.width, graph.scored) = (effort, measured.map_or(usize::MAX, |reached| reached.scored));
                (graph.search(context, queries.view(), NEIGHBOURS, None)?, format!("prefix {}", graph.graph().prefix()))
            }
            (None, Some((_, Some(funnel)))) => {
                let settings = funnel.settings();
                let about = format!("{} columns, {:?}, of {}", settings.prefix, settings.precision, settings.shortlist);
                (funnel.search(context, queries.view(), NEIGHBOURS, None)?, about)
            }
            _ => (search(context, &corpus, queries.view(), &settings)?, "every vector".to_owned()),
        };
        let seconds = began.elapsed().as_secs_f64();
        last = Some(SearchRound { seconds, recall: recall(&found, &truth), peak_bytes: peak_bytes(), about });
    }
    Ok(())
}

fn graph<'a>(context: &Context, folder: &Path, corpus: Corpus<'a>) -> Result<Hnsw<'a>, SearchBenchError> {
    let path = folder.join("graph");
    let defaults = HnswSettings::default();
    if !path.exists() {
        let prefix = prefix_for(context, &corpus, Metric::Cosine, &RecallTarget::default())?;
        let settings = HnswSettings { prefix: Some(prefix), ..defaults };
        let mut built = Hnsw::build(context, corpus.clone(), Metric::Cosine, &settings)?;
        built.measure(context, &RecallTarget::default())?;
        built.graph().save(&path, 0)?;
    }
    Ok(Hnsw::over(corpus, Graph::open(&path)?.into(), &defaults))
}

fn recall(found: &[Vec<Hit>], truth: &Matrix) -> f64 {
    let right = |(query, hits): (usize, &Vec<Hit>)| {
        let truth = truth.row(query);
        hits.iter().filter(|hit| truth.contains(&(hit.row as f32))).count()
    };
    let right: usize = found.iter().enumerate().map(right).sum();
    right as f64 / (truth.rows() * truth.columns()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variance_decreases_and_every_method_finds_the_neighbours() {
        let context = Context::new(2);
        let vectors = synthetic_vectors(&context, 2000, 64, 20, 1);
        assert_eq!(vectors.data(), synthetic_vectors(&Context::new(1), 2000, 64, 20, 1).data());
        let variance = |column: usize| (0..2000).map(|row| vectors.row(row)[column].powi(2)).sum::<f32>();
        assert!(variance(0) > 4.0 * variance(9) && variance(9) > 3.0 * variance(60));
        let folder = tempfile::tempdir().unwrap();
        write_vectors(&context, folder.path(), 3000, 64, 40).unwrap();
        for (method, effort, least) in [(Method::Exact, 0, 1.0), (Method::Funnel, 95, 0.9), (Method::Graph, 128, 0.9)] {
            let mut rounds = Vec::new();
            search_rounds(&context, folder.path(), method, &mut |round| {
                rounds.extend(round);
                (rounds.len() < 2).then_some(effort)
            })
            .unwrap();
            assert!(rounds.iter().all(|round| round.recall >= least), "{method:?}: {rounds:?}");
        }
        assert!(folder.path().join("graph").exists());
    }
}
