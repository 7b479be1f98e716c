//! Rows of a data set as a loss sees them: the texts of each column, and labels.

use crate::TrainError;
use maana_data::Source;
use maana_kernels::Rows;

/// The texts of each column.
type Columns = Vec<Vec<String>>;

/// Reads rows of a data set: the texts of each column, and the numbers of the labels, if the data
/// have labels.
///
/// # Errors
/// If a row cannot be read or has no label.
pub(crate) fn read_rows(source: &dyn Source, rows: &[usize]) -> Result<(Columns, Option<Vec<f32>>), TrainError> {
    let mut texts: Columns = source.columns().iter().map(|_| Vec::with_capacity(rows.len())).collect();
    let mut labels = source.has_labels().then(|| Vec::with_capacity(rows.len() * source.label_length()));
    for &row in rows {
        let example = source.get(row).map_err(|source| TrainError::Data { row, source })?;
        for (column, text) in texts.iter_mut().zip(example.texts) {
            column.push(text);
        }
        if let Some(labels) = &mut labels {
            labels.extend(example.label.ok_or(TrainError::NoLabel { row })?);
        }
    }
    Ok((texts, labels))
}

/// Returns the labels of this number of rows, `(rows, numbers of a label)`.
pub(crate) fn label_rows(numbers: &[f32], rows: usize) -> Rows<'_> {
    let length = numbers.len() / rows;
    Rows::new(numbers, rows, length, length)
}
