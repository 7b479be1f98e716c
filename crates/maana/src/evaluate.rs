//! The workflow of `maana evaluate`: retrieval sets at several dimensions from one encoding.

use maana_data::RetrievalSet;
use maana_eval::{EvalError, RetrievalOptions, Scores};
use maana_kernels::Context;
use maana_model::TextEncoder;

/// Evaluates every set at every dimension. Scores are named `dim_128`, or `news_dim_128` if there
/// are several sets.
///
/// # Errors
/// If a dimension exceeds the encoder's, or an embedding is not finite.
pub fn evaluate(
    encoder: &TextEncoder,
    context: &Context,
    sets: &[RetrievalSet],
    dims: &[usize],
    options: &RetrievalOptions,
) -> Result<Vec<Scores>, EvalError> {
    let mut all = Vec::new();
    for set in sets {
        let name = (sets.len() > 1).then(|| set.name.clone());
        let options = RetrievalOptions { name, ..options.clone() };
        all.extend(maana_eval::evaluate_retrieval(context, encoder, set, dims, &options)?);
    }
    Ok(all)
}

/// Formats the scores as tables, one per set: a row per metric, a column per dimension.
pub fn table(scores: &[Scores]) -> String {
    let mut text = String::new();
    for group in scores.chunk_by(|a, b| a.set() == b.set()) {
        if let Some(set) = group[0].set() {
            text += &format!("{set}\n");
        }
        let width = group[0].values.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
        let header: String = group.iter().map(|scores| format!("{:>9}", scores.dimension)).collect();
        text += &format!("{:<width$}{header}\n", "dimension");
        for (key, _) in &group[0].values {
            let cells: String =
                group.iter().map(|scores| format!("{:>9.4}", scores.get(key).unwrap_or(f64::NAN))).collect();
            text += &format!("{key:<width$}{cells}\n");
        }
    }
    text
}
