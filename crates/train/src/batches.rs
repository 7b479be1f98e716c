//! Batches of tokens, which a separate thread draws, reads and tokenizes while the model computes.
//! Knows no model.

use crate::error::Failure;
use crate::plan::{Pace, Position};
use crate::rows::{PairsOfRows, RowTexts};
use crate::sets::EpochRows;
use crate::{Arguments, TrainError, TrainingSet};
use maana_data::{SetSampler, Source};
use maana_model::Prompt;
use maana_text::TokenBatch;
use std::borrow::Cow;
use std::sync::mpsc::SyncSender;

/// Converts pairs to tokens, one sequence for each pair: distinct first and distinct second texts,
/// and the numbers of both texts of each pair. Called on another thread.
pub type PairTokenizer<'a> = dyn Fn([&[&str]; 2], &[[usize; 2]]) -> Result<TokenBatch, Failure> + Sync + 'a;

/// Number of batches in the queue.
pub(crate) const AHEAD: usize = 2;

/// One micro-batch.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Number of the data set.
    pub(crate) set: usize,
    /// Rows of the data set, in order.
    pub(crate) rows: Vec<usize>,
    /// Tokens of each column; sequence `i` belongs to row `rows[i]`. Pairs are one column.
    pub(crate) columns: Vec<TokenBatch>,
    /// Number of the tower of each column; empty if the model has one.
    pub(crate) towers: Vec<usize>,
    /// Start of each row's pairs, followed by their number; empty if texts are no pairs.
    pub(crate) pairs: Vec<usize>,
    /// Labels, a number or several for each row, or one for each pair, if the data have labels.
    pub(crate) labels: Option<Vec<f32>>,
    /// Numbers of one label.
    pub(crate) label_length: usize,
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
    pub(crate) tokenize_pairs: Option<&'a PairTokenizer<'a>>,
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
        let (mut skip, mut pass) = (start.batch as usize, start.micro_step);
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
                let rows = rows.iter().map(|&row| row as usize).collect();
                let read = self.read(set, data.source(set), rows, pass);
                pass += 1;
                let batch = read.map(|batch| Batch { of, left_out, ..batch });
                let batch = batch.map_err(|error| self.sets[set].name_error(error));
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    return;
                }
            }
        }
    }

    /// Reads and tokenizes one batch, the micro-batch `pass` of the run.
    fn read(&self, set: usize, source: &dyn Source, rows: Vec<usize>, pass: u64) -> Result<Batch, TrainError> {
        let texts = RowTexts::read(source, &rows)?;
        let loss = self.sets[set].loss;
        let (columns, pairs) = match loss.pairs() {
            None => (self.columns(set, source, &rows, &texts)?, Vec::new()),
            Some(pairs) => {
                let pairs = PairsOfRows::new(&texts.texts, pairs, (self.arguments.seed, pass));
                (vec![self.pairs(set, source, &rows, &pairs)?], pairs.offsets)
            }
        };
        let label_length = source.label_length();
        let towers = self.sets[set].towers.iter().map(|tower| tower.number).collect();
        Ok(Batch { set, rows, columns, towers, pairs, labels: texts.labels, label_length, of: 0, left_out: 0 })
    }

    /// Tokenizes each column.
    fn columns(
        &self,
        set: usize,
        source: &dyn Source,
        rows: &[usize],
        read: &RowTexts,
    ) -> Result<Vec<TokenBatch>, TrainError> {
        let names = source.columns();
        let mut columns = Vec::with_capacity(names.len());
        let prompts = self.sets[set].prompts.iter().map(Some).chain(std::iter::repeat(None));
        for ((index, name), prompt) in names.iter().enumerate().zip(prompts) {
            let texts = read.column(index);
            let tower = self.sets[set].towers.get(index);
            let tokenize = |texts: &[&str]| match tower {
                Some(tower) => tower.tokenizer.encode(texts, tower.max_length).map_err(Failure::from),
                None => (self.tokenize)(texts).map_err(Into::into),
            };
            let tokens = match prompt {
                Some(prompt) => prompt.tokenize(&texts, tokenize),
                None => tokenize(&texts),
            };
            let tokens =
                tokens.map_err(|source| TrainError::Tokenize { column: name.clone(), rows: rows.to_vec(), source })?;
            assert_eq!(tokens.sequences(), texts.len(), "the tokenizer gives one sequence for each text");
            if let Some(empty) = (0..tokens.sequences()).find(|&index| tokens.length(index) == 0) {
                return Err(TrainError::NoTokens { column: name.clone(), row: rows[empty] });
            }
            columns.push(tokens);
        }
        Ok(columns)
    }

    /// Tokenizes pairs, the first texts behind the prompt of the first column.
    fn pairs(
        &self,
        set: usize,
        source: &dyn Source,
        rows: &[usize],
        pairs: &PairsOfRows<'_>,
    ) -> Result<TokenBatch, TrainError> {
        let tokenize = self.tokenize_pairs.expect("a run with a loss of pairs has a tokenizer of pairs");
        let [queries, documents] = &pairs.texts;
        let no_prompt = Prompt::default();
        let prompt = self.sets[set].prompts.first().unwrap_or(&no_prompt);
        let queries: Vec<Cow<'_, str>> = queries.iter().map(|text| prompt.prepend(text)).collect();
        let queries: Vec<&str> = queries.iter().map(AsRef::as_ref).collect();
        let tokens = tokenize([&queries, documents], &pairs.pairs).map_err(|source_error| TrainError::Tokenize {
            column: source.columns().join("`, `"),
            rows: rows.to_vec(),
            source: source_error,
        })?;
        assert_eq!(tokens.sequences(), pairs.pairs.len(), "the tokenizer gives one sequence for each pair");
        Ok(tokens)
    }
}
