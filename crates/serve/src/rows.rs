//! Rows of numbers, written piece by piece.

use crate::embedding::Embedded;
use crate::json::write_json;
use crate::reply_body::Pieces;
use crate::request_error::RequestError;
use maana::kernels::{Context, Matrix};
use std::sync::Arc;

/// Numbers that are normalised at once.
const BLOCK_NUMBERS: usize = 4096;

/// Answers of at most this many numbers are short.
pub(crate) const SHORT_NUMBERS: usize = 4096;

/// Embeddings cut to a dimension and normalised, a block of rows at a time. No value depends on the
/// size of a block.
pub(crate) struct FinishedRows {
    pub(crate) embedded: Embedded,
    pub(crate) context: Arc<Context>,
    pub(crate) dimension: usize,
    pub(crate) normalize: Option<bool>,
    /// The current block, and its first row.
    block: (usize, Matrix),
}

impl FinishedRows {
    /// Creates the rows of a request.
    pub(crate) fn new(embedded: Embedded, context: Arc<Context>, dimension: usize, normalize: Option<bool>) -> Self {
        Self { embedded, context, dimension, normalize, block: (0, Matrix::zeros(0, dimension)) }
    }

    /// Number of rows.
    pub(crate) fn count(&self) -> usize {
        self.embedded.rows.rows()
    }

    /// Returns row `index`; rows are requested in ascending order.
    pub(crate) fn row(&mut self, index: usize) -> &[f32] {
        let (first, rows) = &self.block;
        if index >= first + rows.rows() || index < *first {
            let end = (index + (BLOCK_NUMBERS / self.dimension).max(1)).min(self.count());
            let plain = self.embedded.rows.view().range(index..end);
            let rows = self.embedded.model.finish(&self.context, plain, self.dimension, self.normalize);
            self.block = (index, rows);
        }
        let (first, rows) = &self.block;
        rows.row(index - first)
    }
}

/// `[[…],…]`: the rows as JSON, with the shortest digits that give back the same bits.
pub(crate) struct JsonRows {
    rows: FinishedRows,
    next: usize,
}

impl JsonRows {
    /// Creates the answer.
    pub(crate) fn new(rows: FinishedRows) -> Self {
        Self { rows, next: 0 }
    }
}

impl Pieces for JsonRows {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<bool, RequestError> {
        out.push(if self.next == 0 { b'[' } else { b',' });
        write_json(out, self.rows.row(self.next));
        self.next += 1;
        let more = self.next < self.rows.count();
        if !more {
            out.push(b']');
        }
        Ok(more)
    }
}
