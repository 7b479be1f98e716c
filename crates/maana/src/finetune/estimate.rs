//! Estimates time and memory of a run by one pass, forward and backward.

use super::error::FinetuneError;
use super::prepare::Prepared;
use super::sets::PreparedSet;
use crate::evaluation::EvaluationSet;
use crate::recipe::BlendTable;
use maana_kernels::{Context, Matrix};
use maana_model::{CrossEncoder, DropoutSeed, ModelSpec, PassLimit, Role, TextEncoder, Trainable, TrainingModel};
use maana_text::TokenBatch;
use maana_train::loss::Pairs;
use std::ops::Range;
use std::time::Instant;

/// Rows whose tokens are counted.
const SAMPLED_ROWS: usize = 1000;

/// Estimated time and memory of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Mean number of tokens of a row, all columns together.
    pub tokens_per_row: f64,
    /// Tokens per second, forward and backward.
    pub tokens_per_second: f64,
    /// Seconds of training.
    pub training_seconds: f64,
    /// Seconds of all evaluations, including those before and after the run.
    pub evaluation_seconds: f64,
    /// Bytes for parameters, packed weights, gradients, moments and the average of the parameters.
    pub parameter_bytes: usize,
    /// Bytes for the activations of the largest expected pass.
    pub activation_bytes: usize,
    /// Peak memory of the process in bytes, including the index of the data, the tokenizer and
    /// evaluations.
    pub memory_bytes: usize,
}

/// The first rows of a set.
struct Sample {
    tokens_per_row: f64,
    /// The first batch, divided by towers.
    batches: Vec<(usize, TokenBatch)>,
    /// Tokens of the largest expected batch.
    largest: f64,
    /// Texts of one pass of an evaluation.
    evaluation_texts: Vec<String>,
}

/// Texts of one pass of an evaluation that are pairs: each first text with the next.
fn pairs(texts: &[String]) -> Vec<(&str, &str)> {
    texts.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect()
}

impl Sample {
    fn draw(set: &PreparedSet, spec: &ModelSpec, batch_size: usize) -> Result<Self, FinetuneError> {
        let source = set.source();
        let batch_rows = batch_size.min(source.len());
        if let Some(pairs) = set.loss().pairs() {
            return Self::draw_pairs(set, spec, pairs, batch_rows);
        }
        let mut columns: Vec<TokenBatch> = Vec::new();
        let (mut lengths, mut tokens) = (Vec::new(), 0);
        let mut evaluation_texts: Vec<String> = Vec::new();
        let sampled = SAMPLED_ROWS.min(source.len());
        for row in 0..sampled {
            let texts = source.get(row)?.texts;
            let tokenized = set.tokenize(spec, &texts)?;
            if tokens < maana_model::DEFAULT_BATCH_TOKENS {
                evaluation_texts.extend(texts);
            }
            tokens += tokenized.tokens();
            lengths.push(tokenized.tokens());
            if row < batch_rows {
                // As a training step packs them: one column behind the other.
                columns.resize_with(tokenized.sequences(), TokenBatch::new);
                columns
                    .iter_mut()
                    .enumerate()
                    .for_each(|(text, column)| column.extend_with(&tokenized, text..text + 1));
            }
        }
        let mut batches: Vec<(usize, TokenBatch)> = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            let tower = set.tower(index);
            match batches.iter_mut().find(|(known, _)| *known == tower) {
                Some((_, batch)) => batch.extend(column),
                None => batches.push((tower, column.clone())),
            }
        }
        Ok(Self::of(&lengths, batches, batch_rows, evaluation_texts))
    }

    /// Draws the pairs of batches of rows, as a loss makes them.
    fn draw_pairs(set: &PreparedSet, spec: &ModelSpec, pairs: Pairs, batch_rows: usize) -> Result<Self, FinetuneError> {
        let source = set.source();
        let (mut lengths, mut batch, mut evaluation_texts) = (Vec::new(), TokenBatch::new(), Vec::new());
        for first in (0..SAMPLED_ROWS.min(source.len())).step_by(batch_rows) {
            let rows = first..(first + batch_rows).min(source.len());
            let texts = rows.map(|row| Ok(source.get(row)?.texts)).collect::<Result<Vec<_>, FinetuneError>>()?;
            let pairs = maana_train::pairs_of_rows(&texts, pairs, 0);
            let tokens = set.tokenize_pairs(spec, &pairs)?;
            lengths.extend(std::iter::repeat_n(tokens.tokens() / texts.len(), texts.len()));
            if first == 0 {
                let few = pairs.iter().take(32).flat_map(|(a, b)| [(*a).to_owned(), (*b).to_owned()]);
                (batch, evaluation_texts) = (tokens, few.collect());
            }
        }
        Ok(Self::of(&lengths, vec![(0, batch)], batch_rows, evaluation_texts))
    }

    /// Returns the sample, given the tokens of each row.
    fn of(
        lengths: &[usize],
        batches: Vec<(usize, TokenBatch)>,
        batch_rows: usize,
        evaluation_texts: Vec<String>,
    ) -> Self {
        let sampled = lengths.len() as f64;
        let tokens_per_row = lengths.iter().sum::<usize>() as f64 / sampled;
        let spread = lengths.iter().map(|length| (*length as f64 - tokens_per_row).powi(2)).sum::<f64>() / sampled;
        // The largest of many batches is about three standard deviations above the mean.
        let largest = batch_rows as f64 * tokens_per_row + 3.0 * (batch_rows as f64 * spread).sqrt();
        Self { tokens_per_row, batches, largest, evaluation_texts }
    }
}

impl Prepared {
    /// Estimates time and memory of the run, from one batch and the texts of one pass of an
    /// evaluation.
    ///
    /// # Errors
    /// If the first rows cannot be read.
    pub fn estimate(&mut self, context: &Context) -> Result<Estimate, FinetuneError> {
        let model = &mut self.model;
        let arguments = &self.located.recipe.training;
        let batch_size = arguments.batch_size;
        let samples = self.sets.iter().map(|set| Sample::draw(set, model.spec(), batch_size));
        let samples: Vec<Sample> = samples.collect::<Result<_, _>>()?;
        let all_rows = self.plan.rows as f64;
        let share = |(set, sample): (&PreparedSet, &Sample)| set.source().len() as f64 * sample.tokens_per_row;
        let tokens_per_row = self.sets.iter().zip(&samples).map(share).sum::<f64>() / all_rows;
        let largest_first = |a: &Sample, b: &Sample| a.largest.total_cmp(&b.largest);
        let Sample { batches, largest, evaluation_texts, .. } =
            samples.into_iter().max_by(largest_first).expect("a recipe has a set");
        let batch_rows = batch_size.min(self.plan.rows);

        let tokens: usize = batches.iter().map(|(_, batch)| batch.tokens()).sum();
        let larger = (largest / tokens as f64).max(1.0);
        let passes: Vec<PassCost> =
            batches.iter().map(|tower| pass_cost(model, context, tower, arguments.pass_limit(), larger)).collect();
        let sum = |of: fn(&PassCost) -> f64| passes.iter().map(of).sum::<f64>();
        let (forward_seconds, training_seconds) = (sum(|pass| pass.forward), sum(|pass| pass.training));
        let held: usize = passes.iter().map(|pass| pass.held_bytes).sum();
        let activation_bytes: usize = passes.iter().map(|pass| pass.activation_bytes).sum();
        model.clear_gradients();
        // Evaluations run while the memory of training is allocated.
        if model.spec().scoring().is_ok() {
            CrossEncoder::new(model.inference(), context)?.score(&pairs(&evaluation_texts))?;
        } else {
            let texts: Vec<&str> = evaluation_texts.iter().map(String::as_str).collect();
            TextEncoder::new(model.inference(), context)?.encode(&texts, Role::Document)?;
        }
        let tokens_per_second = tokens as f64 / training_seconds;
        let plan = &self.plan;
        let trained_rows = plan.micro_batches as f64 * batch_rows as f64;
        let sets = self.measures.sets().map(EvaluationSet::text_bytes).sum();
        let guards = self.guards.iter().flat_map(|guards| guards.own.sets()).map(EvaluationSet::text_bytes).sum();
        // The base itself is measured before training.
        let shares = |table: &BlendTable| table.alphas.iter().filter(|alpha| **alpha != 0.0).count();
        let blends = self.located.recipe.blend.as_ref().map(shares);
        let evaluated = evaluated_bytes(plan.evaluations.len(), blends, sets, guards);
        // Estimates the tokens of texts that are not tokenised here.
        let bytes_per_token = 3.5;
        let trained: usize = model.tensors().iter().map(|tensor| tensor.range.len()).sum();
        let average_bytes = if arguments.ema_decay.is_some() { 4 * trained } else { 0 };
        let parameter_bytes = model.parameter_bytes() + average_bytes + model.packed_bytes();
        let moment_bytes = model.moment_bytes();
        // The peak so far lacks only moments, average and the rest of a larger batch.
        let peak = maana_train::peak_memory_bytes()
            .map_or(parameter_bytes + held, |peak| peak as usize + moment_bytes + average_bytes);
        Ok(Estimate {
            tokens_per_row,
            tokens_per_second,
            training_seconds: trained_rows * tokens_per_row / tokens_per_second,
            evaluation_seconds: evaluated as f64 / bytes_per_token * forward_seconds / tokens as f64,
            parameter_bytes,
            activation_bytes,
            memory_bytes: peak + activation_bytes - held,
        })
    }
}

/// Time and memory of the passes of a batch through one tower.
struct PassCost {
    /// Seconds of forward.
    forward: f64,
    /// Seconds of forward and backward.
    training: f64,
    /// Bytes of the activations of the measured pass.
    held_bytes: usize,
    /// Bytes of the activations of the largest expected pass.
    activation_bytes: usize,
}

/// Measures the first part of a batch; batches may be `larger` times as large.
fn pass_cost(
    model: &mut TrainingModel,
    context: &Context,
    (tower, batch): &(usize, TokenBatch),
    limit: PassLimit,
    larger: f64,
) -> PassCost {
    let parts = limit.parts(&batch.offsets, model.part_multiple());
    let part = batch.part(parts[0].clone());
    let mut keep = model.activations(*tower);
    let mut compute = || {
        let began = Instant::now();
        let embeddings = model.forward(context, &part, DropoutSeed::Off, &mut keep);
        let forward = began.elapsed().as_secs_f64();
        let ones = Matrix::from_vec(embeddings.rows(), embeddings.columns(), vec![1e-3; embeddings.data().len()]);
        model.backward(context, &part, DropoutSeed::Off, &mut keep, ones.view());
        (forward, began.elapsed().as_secs_f64())
    };
    // The first pass touches the memory for the first time, so it is not timed.
    compute();
    let (forward, both) = compute();
    // Of several mini-batches, all but one pass forward twice.
    let again = forward * (parts.len() - 1) as f64 / parts.len() as f64;
    let of_all = batch.tokens() as f64 / part.tokens() as f64;
    let tokens_of = |sequences: &Range<usize>| batch.offsets[sequences.end] - batch.offsets[sequences.start];
    let largest_part = parts.iter().map(tokens_of).max().unwrap_or_default() as f64;
    let growth = largest_part / part.tokens() as f64 * larger;
    PassCost {
        forward: forward * of_all,
        training: (both + again) * of_all,
        held_bytes: keep.bytes(),
        activation_bytes: (keep.bytes() as f64 * growth) as usize,
    }
}

/// Returns the bytes of the texts of all evaluations: those during training, of the base, and of
/// the trained model or, with `[blend]`, of its `blends`. Guards that are not sets of
/// `[evaluation]` are measured with the base and the blends only.
fn evaluated_bytes(during: usize, blends: Option<usize>, sets: usize, guards: usize) -> usize {
    (during + 1 + blends.unwrap_or(1)) * sets + (1 + blends.unwrap_or(0)) * guards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluations_are_those_of_a_run() {
        assert_eq!(evaluated_bytes(3, None, 100, 0), 500, "three, the base and the trained model");
        assert_eq!(evaluated_bytes(3, Some(4), 100, 10), 850, "three, the base and four blends; guards five times");
        assert_eq!(evaluated_bytes(0, Some(1), 100, 10), 220);
    }
}
