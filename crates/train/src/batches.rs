//! Batches of tokens, which a separate thread draws, reads and tokenizes while the model computes.
//! Knows no model.

use crate::error::Failure;
use crate::plan::{Pace, Position};
use crate::rows::read_rows;
use crate::sets::EpochRows;
use crate::{Arguments, TrainError, TrainingSet};
use maana_data::{SetSampler, Source};
use maana_text::TokenBatch;
use std::sync::mpsc::SyncSender;

/// Number of batches in the queue.
pub(crate) const AHEAD: usize = 2;

/// One micro-batch.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Number of the data set.
    pub(crate) set: usize,
    /// Rows of the data set, in order.
    pub(crate) rows: Vec<usize>,
    /// Tokens of each column; sequence `i` belongs to row `rows[i]`.
    pub(crate) columns: Vec<TokenBatch>,
    /// Labels, a number or several for each row, if the data have labels.
    pub(crate) labels: Option<Vec<f32>>,
    /// Number of micro-batches of this epoch.
    pub(crate) of: u64,
    /// Number of further micro-batches that are dropped as in the reference.
    pub(crate) left_out: u64,
}

/// The source of batches.
pub(crate) struct Batches<'a, T> {
    pub(crate) sets: &'a [TrainingSet<'a>],
    pub(crate) sampler: SetSampler,
    pub(crate) tokenize: &'a T,
    pub(crate) arguments: &'a Arguments,
    pub(crate) pace: Pace,
    pub(crate) epochs: u64,
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
            let data = EpochRows::new(self.sets.iter().map(|set| set.source).collect(), epoch);
            let mut drawn = data.batches(self.arguments, self.sampler);
            let of = self.pace.used(drawn.len() as u64);
            let left_out = drawn.len() as u64 - of;
            drawn.truncate(of as usize);
            if drawn.is_empty() {
                let _ = sender.send(Err(self.arguments.no_batch(self.sets.iter().map(|set| set.source.len()).sum())));
                return;
            }
            for (set, rows) in drawn.into_iter().skip(std::mem::take(&mut skip)) {
                let rows: Vec<usize> = rows.into_iter().map(|row| row as usize).collect();
                let read = self.read(set, data.source(set), &rows);
                let batch = read.map(|(columns, labels)| Batch { set, rows, columns, labels, of, left_out });
                let batch = batch.map_err(|error| self.sets[set].name_error(error));
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    return;
                }
            }
        }
    }

    /// Reads and tokenizes one batch: its columns and labels.
    fn read(
        &self,
        set: usize,
        source: &dyn Source,
        rows: &[usize],
    ) -> Result<(Vec<TokenBatch>, Option<Vec<f32>>), TrainError> {
        let names = source.columns();
        let (texts, labels) = read_rows(source, rows)?;
        let mut columns = Vec::with_capacity(names.len());
        let prompts = self.sets[set].prompts.iter().map(Some).chain(std::iter::repeat(None));
        for ((name, texts), prompt) in names.iter().zip(&texts).zip(prompts) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let tokens = match prompt {
                Some(prompt) => prompt.tokenize(&texts, self.tokenize),
                None => (self.tokenize)(&texts),
            };
            let tokens = tokens.map_err(|source| TrainError::Tokenize {
                column: name.clone(),
                rows: rows.to_vec(),
                source: source.into(),
            })?;
            assert_eq!(tokens.sequences(), texts.len(), "the tokenizer gives one sequence for each text");
            if let Some(empty) = (0..tokens.sequences()).find(|&index| tokens.length(index) == 0) {
                return Err(TrainError::NoTokens { column: name.clone(), row: rows[empty] });
            }
            columns.push(tokens);
        }
        Ok((columns, labels))
    }
}
