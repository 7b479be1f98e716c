//! The loss on rows that are not trained on, which the reference's trainer logs as `eval_loss`.

use crate::TrainError;
use crate::error::Failure;
use crate::loss::{Embedded, Loss};
use crate::rows::{PairsOfRows, RowTexts, label_rows};
use maana_data::Source;
use maana_kernels::{Context, Matrix, Rows};

/// Returns the mean loss of the rows of `source`, in their order and in batches of `batch_size`:
/// the mean over batches, weighted by their rows. `embed` embeds the texts of the column with the
/// given number, without dropout.
///
/// # Errors
/// If a row cannot be read or has no label, or `embed` fails.
pub fn dev_loss<E: Into<Failure>>(
    context: &Context,
    loss: &dyn Loss,
    source: &dyn Source,
    batch_size: usize,
    mut embed: impl FnMut(usize, &[&str]) -> Result<Matrix, E>,
) -> Result<f64, TrainError> {
    mean(context, loss, source, batch_size, |_, rows| {
        let columns = (0..source.columns().len()).map(|column| embed(column, &rows.column(column)));
        let columns: Result<Vec<Matrix>, E> = columns.collect();
        Ok((columns.map_err(|source| TrainError::DevLoss(source.into()))?, Vec::new()))
    })
}

/// As [`dev_loss`], of a loss of pairs. `score` gives the logits of pairs of texts. Documents of
/// other rows are drawn by `seed`.
///
/// # Errors
/// If a row cannot be read or has no label, or `score` fails.
///
/// # Panics
/// If the loss is one of embeddings.
pub fn dev_loss_of_pairs<E: Into<Failure>>(
    context: &Context,
    loss: &dyn Loss,
    source: &dyn Source,
    batch_size: usize,
    seed: u64,
    mut score: impl FnMut(&[(&str, &str)]) -> Result<Matrix, E>,
) -> Result<f64, TrainError> {
    let of_row = loss.pairs().expect("the loss is one of pairs");
    mean(context, loss, source, batch_size, |pass, rows| {
        let pairs = PairsOfRows::new(&rows.texts, of_row, (seed, pass));
        let logits = score(&pairs.both_texts()).map_err(|source| TrainError::DevLoss(source.into()))?;
        Ok((vec![logits], pairs.offsets))
    })
}

/// Returns the mean loss; `compute` gives the columns that the loss sees of the rows of a batch,
/// and the starts of their pairs.
fn mean(
    context: &Context,
    loss: &dyn Loss,
    source: &dyn Source,
    batch_size: usize,
    mut compute: impl FnMut(u64, &RowTexts) -> Result<(Vec<Matrix>, Vec<usize>), TrainError>,
) -> Result<f64, TrainError> {
    assert!(batch_size > 0, "a batch has at least one row");
    let mut sum = 0.0;
    let rows: Vec<usize> = (0..source.len()).collect();
    for (pass, rows) in rows.chunks(batch_size).enumerate() {
        let pass = pass as u64;
        let read = RowTexts::read(source, rows)?;
        let (computed, pairs) = compute(pass, &read)?;
        let columns: Vec<Rows<'_>> = computed.iter().map(Matrix::view).collect();
        let labels = read.labels.as_deref().map(|labels| label_rows(labels, source.label_length()));
        let batch = Embedded { columns: &columns, labels, pairs: &pairs, pass, trains: false };
        // The gradients are not used.
        let mut d_columns: Vec<Matrix> =
            computed.iter().map(|column| Matrix::zeros(column.rows(), column.columns())).collect();
        sum += f64::from(loss.loss(context, &batch, 1.0, &mut d_columns)) * rows.len() as f64;
    }
    Ok(sum / source.len() as f64)
}
