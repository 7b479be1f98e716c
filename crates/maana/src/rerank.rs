//! Reranking: documents, or the hits of a search, in the order of a cross-encoder's scores for a
//! query.

use crate::search::Found;
use maana_model::{CrossEncoder, ModelError};
use serde::Serialize;

/// A document with its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reranked {
    /// Index of the document in the order in which it was given, from 0.
    pub index: usize,
    /// Its score.
    pub score: f32,
}

/// A hit of a search in its new order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RerankedHit {
    /// The hit, with the cross-encoder's score.
    #[serde(flatten)]
    pub found: Found,
    /// Its score in the search.
    pub search_score: f32,
    /// Its rank in the search, from 1.
    pub search_rank: usize,
}

/// Scores documents for a query, and returns the best `top_k`, or all, in descending order of their
/// scores; equal ones stay in their order.
///
/// # Errors
/// Returns an error if the cross-encoder has several labels, or as [`CrossEncoder::score`].
pub fn rerank(
    encoder: &CrossEncoder,
    query: &str,
    documents: &[&str],
    top_k: Option<usize>,
) -> Result<Vec<Reranked>, ModelError> {
    check_ranks(encoder)?;
    let scores = encoder.score_documents(query, documents)?;
    let mut ranked: Vec<Reranked> =
        scores.data().iter().enumerate().map(|(index, &score)| Reranked { index, score }).collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranked.truncate(top_k.unwrap_or(usize::MAX));
    Ok(ranked)
}

/// Returns the best `top_k` hits of a search for a query in descending order of the cross-encoder's
/// scores.
///
/// # Errors
/// As [`rerank`].
pub fn rerank_hits(
    encoder: &CrossEncoder,
    query: &str,
    hits: Vec<Found>,
    top_k: usize,
) -> Result<Vec<RerankedHit>, ModelError> {
    let texts: Vec<&str> = hits.iter().map(|hit| hit.content.text.as_str()).collect();
    let ranked = rerank(encoder, query, &texts, Some(top_k))?;
    let mut hits: Vec<Option<Found>> = hits.into_iter().map(Some).collect();
    let taken = ranked.into_iter().filter_map(|Reranked { index, score }| {
        let found = hits[index].take()?;
        let search_score = found.score;
        Some(RerankedHit { found: Found { score, ..found }, search_score, search_rank: index + 1 })
    });
    Ok(taken.collect())
}

/// Checks that a cross-encoder gives one score, by which documents can be ordered.
///
/// # Errors
/// Returns an error with the names of the labels if there are several.
pub fn check_ranks(encoder: &CrossEncoder) -> Result<(), ModelError> {
    let labels = encoder.labels();
    if labels.len() == 1 {
        return Ok(());
    }
    Err(ModelError::Request(format!(
        "the model has {} labels ({}), and documents are ordered by one score; name a cross-encoder with one label, or score \
         pairs with `maana score`",
        labels.len(),
        labels.join(", ")
    )))
}
