//! The workflow of `maana similarity`: texts against each other.

use maana_kernels::{Matrix, Pool, Rows};
use maana_model::{Embedder, Encoder, ModelError, Similarity};

/// How alike the texts are, in the model's own way of comparing: `(texts, texts)`. Distances are negated, so that more is
/// always more alike.
///
/// # Errors
/// If a text cannot be tokenised.
pub fn similarities(embedder: &Embedder<'_>, pool: &Pool, texts: &[&str]) -> Result<Matrix, ModelError> {
    let embeddings = embedder.embed(texts, embedder.default_prompt())?;
    Ok(compare(pool, embedder.similarity(), embeddings.view(), embeddings.view()))
}

/// Every row of `a` against every row of `b`: `(a.rows, b.rows)`.
pub fn compare(pool: &Pool, similarity: Similarity, a: Rows<'_>, b: Rows<'_>) -> Matrix {
    assert_eq!(a.columns(), b.columns(), "embeddings of {} and of {} columns", a.columns(), b.columns());
    let mut scores = Matrix::zeros(a.rows(), b.rows());
    match similarity {
        Similarity::Cosine => {
            let (a, b) = (unit(pool, a), unit(pool, b));
            maana_kernels::matmul_transposed(pool, a.view(), b.view(), scores.data_mut(), false);
        }
        Similarity::Dot => maana_kernels::matmul_transposed(pool, a, b, scores.data_mut(), false),
        Similarity::Euclidean | Similarity::Manhattan => {
            for i in 0..a.rows() {
                for j in 0..b.rows() {
                    scores.row_mut(i)[j] = match similarity {
                        Similarity::Euclidean => -maana_kernels::squared_distance(a.row(i), b.row(j)).sqrt(),
                        _ => -maana_kernels::manhattan(a.row(i), b.row(j)),
                    };
                }
            }
        }
    }
    scores
}

/// The rows, each of length 1.
pub(crate) fn unit(pool: &Pool, rows: Rows<'_>) -> Matrix {
    let mut unit = Matrix::zeros(rows.rows(), rows.columns());
    maana_kernels::normalize(pool, rows, unit.data_mut());
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_comparing_agrees_with_its_formula() {
        let pool = Pool::new(1);
        let a = Matrix::from_vec(1, 2, vec![3.0, 4.0]);
        let b = Matrix::from_vec(2, 2, vec![4.0, 3.0, 0.0, -2.0]);
        let cases = [
            (Similarity::Cosine, [0.96, -0.8]),
            (Similarity::Dot, [24.0, -8.0]),
            (Similarity::Euclidean, [-(2f32.sqrt()), -(45f32.sqrt())]),
            (Similarity::Manhattan, [-2.0, -9.0]),
        ];
        for (similarity, expected) in cases {
            let scores = compare(&pool, similarity, a.view(), b.view());
            for (ours, expected) in scores.data().iter().zip(expected) {
                assert!((ours - expected).abs() < 1e-6, "{similarity:?}: {ours} is not {expected}");
            }
        }
    }
}
