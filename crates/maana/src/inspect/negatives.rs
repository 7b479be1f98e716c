//! Probable false negatives of a batch, by the similarities of a model.

use super::error::InspectError;
use crate::similarity::compare;
use crate::texts::embed_role;
use maana_data::{Source, randperm};
use maana_kernels::Context;
use maana_model::{Role, TextEncoder};
use serde::Serialize;

/// Rows of the sampled batches.
const SAMPLED: usize = 1024;
/// Seed of the sample.
const SEED: u64 = 42;
/// Examples that are shown.
const SHOWN: usize = 3;

/// Documents of other rows in a batch that are more similar to a query than its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Negatives {
    /// Rows of the sample.
    pub rows: usize,
    /// Rows of a batch.
    pub batch_size: usize,
    /// Share of the pairs of a query and the document of another row.
    pub share_of_pairs: f64,
    /// Share of rows with at least one such document.
    pub share_of_rows: f64,
    /// Rows with the most similar ones.
    pub examples: Vec<FalseNegative>,
}

/// A query with a document of another row that is more similar than its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FalseNegative {
    /// The query.
    pub query: String,
    /// Its own document.
    pub document: String,
    /// Similarity of its own document.
    pub similarity: f32,
    /// The document of the other row.
    pub other: String,
    /// Its similarity.
    pub other_similarity: f32,
}

/// Embeds the first two columns of random batches and compares the rows of each batch.
pub(super) fn measure(
    source: &dyn Source,
    model: &TextEncoder,
    context: &Context,
    batch_size: usize,
) -> Result<Negatives, InspectError> {
    let batch_size = batch_size.min(source.len());
    let mut rows = randperm(source.len(), SEED);
    rows.truncate((SAMPLED.max(batch_size) / batch_size * batch_size).min(source.len() / batch_size * batch_size));
    let mut negatives =
        Negatives { rows: rows.len(), batch_size, share_of_pairs: 0.0, share_of_rows: 0.0, examples: Vec::new() };
    if source.columns().len() < 2 || batch_size < 2 {
        return Ok(Negatives { rows: 0, ..negatives });
    }
    let (mut pairs, mut affected) = (0, 0);
    for rows in rows.chunks(batch_size) {
        let texts =
            rows.iter().map(|&row| Ok(source.get(row as usize)?.texts)).collect::<Result<Vec<_>, InspectError>>()?;
        let column = |column: usize| texts.iter().map(|texts| texts[column].as_str()).collect::<Vec<_>>();
        let queries = embed_role(model, &column(0), Role::Query)?;
        let documents = embed_role(model, &column(1), Role::Document)?;
        let scores = compare(context, model.similarity(), queries.view(), documents.view());
        for (row, texts_of_row) in texts.iter().enumerate() {
            let own = scores.row(row)[row];
            // Equal documents are repetitions, which are counted exactly.
            let is_other = |other: usize| texts[other][1] != texts_of_row[1] && texts[other][0] != texts_of_row[0];
            let nearer: Vec<usize> =
                (0..rows.len()).filter(|&other| scores.row(row)[other] > own && is_other(other)).collect();
            pairs += nearer.len();
            affected += usize::from(!nearer.is_empty());
            let best = nearer.into_iter().max_by(|&a, &b| scores.row(row)[a].total_cmp(&scores.row(row)[b]));
            if let Some(best) = best {
                negatives.examples.push(FalseNegative {
                    query: texts_of_row[0].clone(),
                    document: texts_of_row[1].clone(),
                    similarity: own,
                    other: texts[best][1].clone(),
                    other_similarity: scores.row(row)[best],
                });
            }
        }
        negatives.examples.sort_by(|a, b| b.other_similarity.total_cmp(&a.other_similarity));
        negatives.examples.truncate(SHOWN);
    }
    negatives.share_of_pairs = pairs as f64 / (rows.len() * (batch_size - 1)) as f64;
    negatives.share_of_rows = affected as f64 / rows.len() as f64;
    Ok(negatives)
}
