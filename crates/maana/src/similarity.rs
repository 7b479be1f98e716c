//! The workflow of `maana similarity`: compares texts.

use crate::texts::{TextsError, embed};
use maana_data::{DataError, Record};
use maana_kernels::{Context, Matrix, Rows, normalized};
use maana_model::{ModelError, Similarity, TextEncoder};

/// Computes the similarities of texts by the model's own function, `(texts, texts)`. Distances are
/// negated, so that greater is always more similar.
///
/// # Errors
/// If a text cannot be tokenised.
pub fn similarities(encoder: &TextEncoder, context: &Context, texts: &[&str]) -> Result<Matrix, ModelError> {
    let embeddings = encoder.embed(texts, encoder.default_prompt())?;
    Ok(compare(context, encoder.similarity(), embeddings.view(), embeddings.view()))
}

/// Compares every row of `a` with every row of `b`: `(a.rows, b.rows)`.
pub fn compare(context: &Context, similarity: Similarity, a: Rows<'_>, b: Rows<'_>) -> Matrix {
    assert_eq!(a.columns(), b.columns(), "embeddings of {} and of {} columns", a.columns(), b.columns());
    let mut scores = Matrix::zeros(a.rows(), b.rows());
    match similarity {
        Similarity::Cosine => {
            let (a, b) = (normalized(context, a), normalized(context, b));
            maana_kernels::matmul_transposed(context, a.view(), b.view(), scores.data_mut(), false);
        }
        Similarity::Dot => maana_kernels::matmul_transposed(context, a, b, scores.data_mut(), false),
        Similarity::Euclidean | Similarity::Manhattan => {
            let metric = maana_eval::metric(similarity);
            for i in 0..a.rows() {
                for j in 0..b.rows() {
                    scores.row_mut(i)[j] = metric.score(a.row(i), b.row(j));
                }
            }
        }
    }
    scores
}

/// Two texts and their similarity.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredPair {
    /// The texts.
    pub texts: [String; 2],
    /// Similarity by the model's own function; greater is more similar.
    pub score: f32,
}

/// Pairs per call of the encoder.
const CHUNK: usize = 1024;

/// Compares the first two fields of each record, in constant memory, in the order of the records. A
/// missing field is an error, as is a blank one unless `allow_blank` is set.
pub fn pairs<'a>(
    encoder: &'a TextEncoder,
    mut records: impl Iterator<Item = Result<Record, DataError>> + 'a,
    allow_blank: bool,
) -> impl Iterator<Item = Result<ScoredPair, TextsError>> + 'a {
    let metric = maana_eval::metric(encoder.similarity());
    let mut score_chunk = move || -> Result<Vec<ScoredPair>, TextsError> {
        let mut texts: Vec<[String; 2]> = Vec::with_capacity(CHUNK);
        for record in records.by_ref().take(CHUNK) {
            let record = record?;
            let pair = [record.text(0)?, record.text(1)?];
            if let Some(blank) = pair.iter().position(|text| text.trim().is_empty()).filter(|_| !allow_blank) {
                let column = record.column(blank).to_owned();
                return Err(DataError::BlankText { place: record.place(), column }.into());
            }
            texts.push(pair);
        }
        let both: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
        let rows = embed(encoder, &both, encoder.default_prompt(), &mut |_| {})?;
        let score = |pair: usize| metric.score(rows.row(2 * pair), rows.row(2 * pair + 1));
        Ok(texts.into_iter().enumerate().map(|(pair, texts)| ScoredPair { texts, score: score(pair) }).collect())
    };
    let mut failed = false;
    let chunks = std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let chunk = score_chunk();
        failed = chunk.is_err();
        chunk.map(|chunk| (!chunk.is_empty()).then_some(chunk)).transpose()
    });
    chunks.flat_map(|chunk| match chunk {
        Ok(pairs) => pairs.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarities_agree_with_their_formulas() {
        let context = Context::new(1);
        let a = Matrix::from_vec(1, 2, vec![3.0, 4.0]);
        let b = Matrix::from_vec(2, 2, vec![4.0, 3.0, 0.0, -2.0]);
        let cases = [
            (Similarity::Cosine, [0.96, -0.8]),
            (Similarity::Dot, [24.0, -8.0]),
            (Similarity::Euclidean, [-(2f32.sqrt()), -(45f32.sqrt())]),
            (Similarity::Manhattan, [-2.0, -9.0]),
        ];
        for (similarity, expected) in cases {
            let scores = compare(&context, similarity, a.view(), b.view());
            for (ours, expected) in scores.data().iter().zip(expected) {
                assert!((ours - expected).abs() < 1e-6, "{similarity:?}: {ours} is not {expected}");
            }
        }
    }
}
