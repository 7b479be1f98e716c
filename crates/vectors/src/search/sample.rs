//! Queries by which an index that may miss rows is measured: held-out ones where there are enough
//! of them, else the corpus's own vectors, perturbed, each searched for among all other rows.
//!
//! A stored vector lies where its neighbours are dense, and a query does not: unperturbed it
//! promises a recall that queries miss.

use super::{Corpus, Hit, Metric, Search, norm, search};
use crate::error::VectorsError;
use crate::random::Random;
use maana_kernels::{Context, Matrix, Rows};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

/// Held-out queries that are enough to measure by; fewer are joined by perturbed vectors.
const ENOUGH: usize = 50;
/// The length of the noise that is added to a vector, in its own distance from the sample's mean.
/// Chosen on Swahili texts with all-MiniLM-L6-v2: the least by which shortlists chosen for 0.95 and
/// 0.99 keep that for five sets of real queries, those in another language than the documents among
/// them.
const PERTURBATION: f32 = 1.5;

/// Recall that an index is to reach, and the queries to measure it with.
#[derive(Clone, Copy, Debug)]
pub struct RecallTarget<'a> {
    /// Hits that are wanted.
    pub k: usize,
    /// The least share of the true k nearest that must be found.
    pub recall: f64,
    /// Queries that are searched for to measure, at most.
    pub sample: usize,
    /// Which are drawn.
    pub seed: u64,
    /// Queries of the kind that will be asked. Without them, or with few, stored vectors are
    /// perturbed.
    pub queries: Option<Rows<'a>>,
}

impl Default for RecallTarget<'_> {
    fn default() -> Self {
        Self { k: 10, recall: 0.99, sample: 200, seed: 0, queries: None }
    }
}

/// Queries that something was measured on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredOn {
    /// Held-out queries.
    pub queries: usize,
    /// Stored vectors, perturbed.
    pub perturbed: usize,
}

impl MeasuredOn {
    /// Returns the composition of a sample of this size, if `given` queries are given.
    pub fn planned(given: usize, sample: usize) -> Self {
        let queries = given.min(sample);
        Self { queries, perturbed: if queries >= ENOUGH { 0 } else { sample - queries } }
    }
}

impl Display for MeasuredOn {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match (self.queries, self.perturbed) {
            (queries, 0) => write!(out, "{queries} of the given queries"),
            (0, perturbed) => write!(out, "{perturbed} of the store's vectors, perturbed"),
            (queries, perturbed) => {
                write!(out, "{queries} given queries and {perturbed} of the store's vectors, perturbed")
            }
        }
    }
}

/// A share of true neighbours that was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// The mean over the queries that were measured.
    pub mean: f64,
    /// The mean over all such queries is at least this, with a confidence of 95 %.
    pub at_least: f64,
}

impl Recall {
    /// From the share that each query found of its `k` neighbours.
    pub fn of(shares: &[f64], k: usize) -> Self {
        let count = shares.len() as f64;
        let mean = shares.iter().sum::<f64>() / count.max(1.0);
        // One further query that misses one neighbour: what was never missed is not proved to be
        // found always.
        let other = 1.0 - 1.0 / k.max(1) as f64;
        let with = (mean * count + other) / (count + 1.0);
        let squares = shares.iter().chain([&other]).map(|share| (share - with).powi(2)).sum::<f64>();
        let error = (squares / count.max(1.0) / (count + 1.0)).sqrt();
        Self { mean, at_least: (with - 1.645 * error).clamp(0.0, mean) }
    }

    /// The lesser of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { mean: self.mean.min(other.mean), at_least: self.at_least.min(other.at_least) }
    }
}

/// Makes queries of stored vectors by adding noise in all directions. Their lengths stay.
pub fn perturbed(rows: Rows<'_>, seed: u64) -> Matrix {
    let (count, columns) = (rows.rows(), rows.columns());
    let mut random = Random::new(seed.wrapping_add(1));
    let mut queries = Matrix::zeros(count, columns);
    let mut mean = vec![0.0f32; columns];
    for row in 0..count {
        mean.iter_mut().zip(rows.row(row)).for_each(|(sum, value)| *sum += value / count as f32);
    }
    for row in 0..count {
        let (own, query) = (rows.row(row), queries.row_mut(row));
        query.iter_mut().for_each(|value| *value = (random.unit() * 2.0 - 1.0) as f32);
        let apart: Vec<f32> = own.iter().zip(&mean).map(|(value, mean)| value - mean).collect();
        let scale = PERTURBATION * norm(&apart) / norm(query);
        query.iter_mut().zip(own).for_each(|(noise, value)| *noise = value + scale * *noise);
        let shrink = norm(own) / norm(query);
        query.iter_mut().for_each(|value| *value *= shrink);
    }
    queries
}

/// Queries, and their true neighbours.
pub(crate) struct Sample {
    /// `(queries, dims)`
    pub(crate) queries: Matrix,
    /// The row that a query was made of, which it does not look for.
    own: Vec<Option<usize>>,
    /// The k nearest others of each.
    truth: Vec<Vec<Hit>>,
    k: usize,
    pub(crate) on: MeasuredOn,
}

impl Sample {
    /// Draws queries as `target` says. Returns `None` for a corpus that is too small to say
    /// anything.
    pub(crate) fn draw(
        context: &Context,
        corpus: &Corpus<'_>,
        metric: Metric,
        target: &RecallTarget<'_>,
    ) -> Result<Option<Self>, VectorsError> {
        let given = target.queries.unwrap_or(Rows::new(&[], 0, corpus.columns(), corpus.columns()));
        super::check_queries(corpus, given, None)?;
        let planned = MeasuredOn::planned(given.rows(), target.sample);
        let chosen = Random::new(target.seed).sample(given.rows(), planned.queries);
        let rows: Vec<usize> = Random::new(target.seed).sample(corpus.rows(), planned.perturbed);
        let rows: Vec<usize> = rows.into_iter().filter(|row| corpus.is_live(*row)).collect();
        let chosen: Vec<&[f32]> = chosen.into_iter().map(|query| given.row(query)).collect();
        let stored = perturbed(vectors_of(corpus, &rows).view(), target.seed);
        Self::with(context, corpus, metric, target, &chosen, &rows, &stored)
    }

    /// Of these rows as they are.
    pub(crate) fn of_rows(
        context: &Context,
        corpus: &Corpus<'_>,
        metric: Metric,
        target: &RecallTarget<'_>,
        rows: &[usize],
    ) -> Result<Option<Self>, VectorsError> {
        let rows: Vec<usize> = rows.iter().copied().filter(|row| corpus.is_live(*row)).collect();
        Self::with(context, corpus, metric, target, &[], &rows, &vectors_of(corpus, &rows))
    }

    fn with(
        context: &Context,
        corpus: &Corpus<'_>,
        metric: Metric,
        target: &RecallTarget<'_>,
        given: &[&[f32]],
        rows: &[usize],
        stored: &Matrix,
    ) -> Result<Option<Self>, VectorsError> {
        if corpus.live() <= target.k + 1 || given.len() + rows.len() < 2 || target.k == 0 {
            return Ok(None);
        }
        let mut data: Vec<f32> = given.concat();
        data.extend_from_slice(stored.data());
        let queries = Matrix::from_vec(given.len() + rows.len(), corpus.columns(), data);
        let own: Vec<Option<usize>> = given.iter().map(|_| None).chain(rows.iter().copied().map(Some)).collect();
        let settings = Search { k: target.k + 1, metric, ..Search::default() };
        let mut truth = search(context, corpus, queries.view(), &settings)?;
        for (hits, own) in truth.iter_mut().zip(&own) {
            hits.retain(|hit| Some(hit.row) != *own);
            hits.truncate(target.k);
        }
        let on = MeasuredOn { queries: given.len(), perturbed: rows.len() };
        Ok(Some(Self { queries, own, truth, k: target.k, on }))
    }

    /// For each query, the places of its true neighbours on what was found, the query's own row
    /// left out.
    pub(crate) fn places(&self, found: &[Vec<Hit>]) -> Places {
        let one = |((truth, found), own): ((&Vec<Hit>, &Vec<Hit>), &Option<usize>)| {
            let mut place_of = HashMap::new();
            for hit in found.iter().filter(|hit| Some(hit.row) != *own) {
                place_of.insert(hit.row, place_of.len());
            }
            truth.iter().map(|hit| place_of.get(&hit.row).copied().unwrap_or(usize::MAX)).collect()
        };
        Places { k: self.k, of: self.truth.iter().zip(found).zip(&self.own).map(one).collect() }
    }
}

fn vectors_of(corpus: &Corpus<'_>, rows: &[usize]) -> Matrix {
    let mut vectors = Matrix::zeros(rows.len(), corpus.columns());
    rows.iter().enumerate().for_each(|(place, row)| corpus.copy_row(*row, vectors.row_mut(place)));
    vectors
}

/// For each query, the places of its true neighbours, nearest first, among the rows that were
/// found.
pub(crate) struct Places {
    k: usize,
    of: Vec<Vec<usize>>,
}

impl Places {
    /// Those of fewer neighbours of each query.
    pub(crate) fn nearest(&self, k: usize) -> Self {
        Self { k, of: self.of.iter().map(|places| places[..k.min(places.len())].to_vec()).collect() }
    }

    /// The share of true neighbours among the first `shortlist`.
    pub(crate) fn recall(&self, shortlist: usize) -> Recall {
        let one = |places: &Vec<usize>| {
            places.iter().filter(|place| **place < shortlist).count() as f64 / places.len().max(1) as f64
        };
        Recall::of(&self.of.iter().map(one).collect::<Vec<_>>(), self.k)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::embeddings;

    #[test]
    fn perturbed_vectors_keep_their_lengths_and_lie_apart() {
        let rows = embeddings(300, 40, 5, 1);
        let moved = perturbed(rows.view(), 1);
        assert_eq!(moved, perturbed(rows.view(), 1));
        assert_ne!(moved, perturbed(rows.view(), 2));
        let close = |row: usize| (norm(moved.row(row)) / norm(rows.row(row)) - 1.0).abs() < 1e-5;
        assert!((0..300).all(close));
        let cosine = |row: usize| Metric::Cosine.score(moved.row(row), rows.row(row));
        let mean = (0..300).map(cosine).sum::<f32>() / 300.0;
        assert!((0.5..0.9).contains(&mean), "{mean}");
        for values in [[0.0; 6], [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]] {
            let equal = Matrix::from_vec(3, 2, values.to_vec());
            assert!(perturbed(equal.view(), 1).data().iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn a_recall_comes_with_what_is_sure_of_it() {
        let all = Recall::of(&[1.0; 200], 10);
        assert!(all.mean == 1.0 && (0.998..1.0).contains(&all.at_least), "{all:?}");
        let few = Recall::of(&[1.0; 5], 10);
        assert!(few.at_least < all.at_least);
        let shares: Vec<f64> = (0..100).map(|query| if query % 2 == 0 { 1.0 } else { 0.8 }).collect();
        let half = Recall::of(&shares, 10);
        // A standard error of 0.01, and 1.645 of them.
        assert!((half.mean - 0.9).abs() < 1e-12 && (half.at_least - 0.8835).abs() < 1e-3, "{half:?}");
    }

    #[test]
    fn few_given_queries_are_joined_by_perturbed_vectors() {
        let (matrix, queries) = (embeddings(500, 16, 5, 1), embeddings(120, 16, 5, 9));
        let corpus = Corpus::from(matrix.view());
        let on = |count: usize| {
            let target = RecallTarget { queries: Some(queries.view().range(0..count)), ..RecallTarget::default() };
            Sample::draw(&Context::new(1), &corpus, Metric::Cosine, &target).unwrap().unwrap().on
        };
        assert_eq!(on(120), MeasuredOn { queries: 120, perturbed: 0 });
        assert_eq!(on(20), MeasuredOn { queries: 20, perturbed: 180 });
        assert_eq!(on(0).to_string(), "200 of the store's vectors, perturbed");
    }
}
