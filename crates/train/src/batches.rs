//! Batches of tokens, which a separate thread draws, reads and tokenizes while the model computes.
//! Knows no model.

use crate::error::Failure;
use crate::plan::{Pace, Position};
use crate::{Arguments, BatchSampler, TrainError, Version};
use maana_data::{BatchPlan, Sampler, Source};
use maana_text::TokenBatch;
use std::sync::mpsc::SyncSender;

/// Number of batches in the queue.
pub(crate) const AHEAD: usize = 2;

/// One micro-batch.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Rows of the data set, in order.
    pub(crate) rows: Vec<usize>,
    /// Tokens of each column; sequence `i` belongs to row `rows[i]`.
    pub(crate) columns: Vec<TokenBatch>,
    /// Labels of the rows, one after the other, if the data have labels.
    pub(crate) labels: Option<Vec<f32>>,
    /// Number of micro-batches of this epoch.
    pub(crate) of: u64,
    /// Number of further micro-batches that are dropped as in the reference.
    pub(crate) left_out: u64,
}

/// The source of batches.
pub(crate) struct Batches<'a, T> {
    pub(crate) source: &'a dyn Source,
    pub(crate) tokenize: &'a T,
    pub(crate) arguments: &'a Arguments,
    pub(crate) pace: Pace,
    pub(crate) epochs: u64,
}

impl Arguments {
    /// Sampler of the batches of each epoch.
    pub(crate) fn sampler(&self) -> BatchPlan {
        let no_duplicates = self.batch_sampler == BatchSampler::NoDuplicates;
        BatchPlan {
            sampler: if no_duplicates { Sampler::NoDuplicates } else { Sampler::Shuffle },
            batch_size: self.batch_size,
            drop_last: self.drop_last,
            seed: self.seed,
            dataset_order: no_duplicates && self.reproduce == Some(Version::V3_0_1),
        }
    }
}

impl<T, E> Batches<'_, T>
where
    T: Fn(&[&str]) -> Result<TokenBatch, E>,
    E: Into<Failure>,
{
    /// Sends every batch from `start` to the end of the last epoch. Stops after an error, or when
    /// the receiver is dropped.
    pub(crate) fn produce(&self, start: Position, sender: &SyncSender<Result<Batch, TrainError>>) {
        let mut skip = start.batch as usize;
        for epoch in start.epoch..self.epochs {
            let mut drawn: Vec<Vec<u32>> = self.arguments.sampler().epoch(self.source, epoch).collect();
            let of = self.pace.used(drawn.len() as u64);
            let left_out = drawn.len() as u64 - of;
            drawn.truncate(of as usize);
            if drawn.is_empty() {
                let _ = sender.send(Err(self.arguments.no_batch(self.source.len())));
                return;
            }
            for rows in drawn.into_iter().skip(std::mem::take(&mut skip)) {
                let batch = self.read(&rows, of, left_out);
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    return;
                }
            }
        }
    }

    /// Reads and tokenizes one batch.
    fn read(&self, rows: &[u32], of: u64, left_out: u64) -> Result<Batch, TrainError> {
        let rows: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
        let names = self.source.columns();
        let mut texts: Vec<Vec<String>> = names.iter().map(|_| Vec::with_capacity(rows.len())).collect();
        let mut labels = self.source.has_labels().then(|| Vec::with_capacity(rows.len() * self.source.label_length()));
        for &row in &rows {
            let example = self.source.get(row).map_err(|source| TrainError::Data { row, source })?;
            for (column, text) in texts.iter_mut().zip(example.texts) {
                column.push(text);
            }
            if let Some(labels) = &mut labels {
                labels.extend(example.label.ok_or(TrainError::NoLabel { row })?);
            }
        }
        let mut columns = Vec::with_capacity(names.len());
        for (name, texts) in names.iter().zip(&texts) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let tokens = (self.tokenize)(&texts).map_err(|source| TrainError::Tokenize {
                column: name.clone(),
                rows: rows.clone(),
                source: source.into(),
            })?;
            assert_eq!(tokens.sequences(), texts.len(), "the tokenizer gives one sequence for each text");
            if let Some(empty) = (0..tokens.sequences()).find(|&index| tokens.length(index) == 0) {
                return Err(TrainError::NoTokens { column: name.clone(), row: rows[empty] });
            }
            columns.push(tokens);
        }
        Ok(Batch { rows, columns, labels, of, left_out })
    }
}
