//! The loss on rows that are not trained on, which the reference's trainer logs as `eval_loss`.

use crate::TrainError;
use crate::error::Failure;
use crate::loss::{Embedded, Loss};
use crate::rows::{label_rows, read_rows};
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
    assert!(batch_size > 0, "a batch has at least one row");
    let mut sum = 0.0;
    let rows: Vec<usize> = (0..source.len()).collect();
    for (pass, rows) in rows.chunks(batch_size).enumerate() {
        let (texts, labels) = read_rows(source, rows)?;
        let mut embedded = Vec::with_capacity(texts.len());
        for (column, texts) in texts.iter().enumerate() {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            embedded.push(embed(column, &texts).map_err(|source| TrainError::DevLoss(source.into()))?);
        }
        let columns: Vec<Rows<'_>> = embedded.iter().map(Matrix::view).collect();
        let labels = labels.as_deref().map(|numbers| label_rows(numbers, rows.len()));
        let batch = Embedded { columns: &columns, labels, pass: pass as u64 };
        // The gradients are not used.
        let mut d_columns: Vec<Matrix> =
            embedded.iter().map(|column| Matrix::zeros(column.rows(), column.columns())).collect();
        sum += f64::from(loss.loss(context, &batch, 1.0, &mut d_columns)) * rows.len() as f64;
    }
    Ok(sum / source.len() as f64)
}
