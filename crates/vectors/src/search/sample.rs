//! Some of a corpus's own vectors, each searched for among all the others: by this an index that may miss rows is measured.

use super::{Corpus, Hit, Metric, Search, Wish, search};
use crate::error::VectorsError;
use crate::random::Random;
use maana_kernels::{Matrix, Pool};
use std::collections::HashMap;

/// Rows that are searched for, and what is true of them.
pub(crate) struct Sample {
    pub(crate) rows: Vec<usize>,
    /// `(rows, dims)`
    pub(crate) queries: Matrix,
    /// Of each the k nearest others.
    truth: Vec<Vec<Hit>>,
}

impl Sample {
    /// `None` of a corpus that is too small to say anything.
    pub(crate) fn draw(
        pool: &Pool,
        corpus: &Corpus<'_>,
        metric: Metric,
        wish: &Wish,
    ) -> Result<Option<Self>, VectorsError> {
        let rows: Vec<usize> = Random::new(wish.seed).sample(corpus.rows(), wish.sample);
        let rows: Vec<usize> = rows.into_iter().filter(|row| corpus.is_live(*row)).collect();
        if corpus.live() <= wish.k + 1 || rows.len() < 2 || wish.k == 0 {
            return Ok(None);
        }
        let mut queries = Matrix::zeros(rows.len(), corpus.columns());
        rows.iter().enumerate().for_each(|(query, row)| corpus.copy_row(*row, queries.row_mut(query)));
        let settings = Search { k: wish.k + 1, metric, ..Search::default() };
        let mut truth = search(pool, corpus, queries.view(), &settings)?;
        for (hits, row) in truth.iter_mut().zip(&rows) {
            hits.retain(|hit| hit.row != *row);
            hits.truncate(wish.k);
        }
        Ok(Some(Self { rows, queries, truth }))
    }

    /// For each query, the places of its true neighbours on what was found, the query's own row left out.
    pub(crate) fn places(&self, found: &[Vec<Hit>]) -> Vec<Vec<usize>> {
        let one = |((truth, found), own): ((&Vec<Hit>, &Vec<Hit>), &usize)| {
            let mut place_of = HashMap::new();
            for hit in found.iter().filter(|hit| hit.row != *own) {
                place_of.insert(hit.row, place_of.len());
            }
            truth.iter().map(|hit| place_of.get(&hit.row).copied().unwrap_or(usize::MAX)).collect()
        };
        self.truth.iter().zip(found).zip(&self.rows).map(one).collect()
    }
}

/// The share of true neighbours among the first `shortlist`, the mean over queries.
pub(crate) fn recall(places: &[Vec<usize>], shortlist: usize) -> f64 {
    let one = |places: &Vec<usize>| {
        places.iter().filter(|place| **place < shortlist).count() as f64 / places.len().max(1) as f64
    };
    places.iter().map(one).sum::<f64>() / places.len().max(1) as f64
}
