//! What a run will take: one micro-batch is computed forward and backward, and its time and memory are scaled.

use super::{FinetuneError, Prepared};
use maana_data::Source;
use maana_kernels::{Context, Matrix};
use maana_model::{Activations, Noise, Trainable};
use maana_text::TokenBatch;
use std::time::Instant;

/// Rows whose tokens are counted.
const SAMPLED_ROWS: usize = 1000;

/// Time and memory that a run will take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Tokens of a row, all columns together, on average over the first rows.
    pub tokens_per_row: f64,
    /// Tokens a second, forward and backward.
    pub tokens_per_second: f64,
    /// Seconds of training.
    pub training_seconds: f64,
    /// Seconds of all evaluations, those before and after the run included.
    pub evaluation_seconds: f64,
    /// Bytes for parameters, packed weights, gradients and moments.
    pub parameter_bytes: usize,
    /// Bytes for the activations of the largest micro-batch that is to be expected.
    pub activation_bytes: usize,
    /// The most bytes that the process will hold: these, the index of the data, the tokenizer, what evaluations take.
    pub memory_bytes: usize,
}

pub(super) fn estimate(prepared: &Prepared, context: &Context) -> Result<Estimate, FinetuneError> {
    let (model, source) = (&prepared.model, &prepared.source);
    let arguments = &prepared.located.recipe.training;
    let batch_rows = arguments.batch_size.min(source.len());
    let mut batch = TokenBatch::new();
    let (mut lengths, mut tokens) = (Vec::new(), 0);
    let mut evaluated_alike: Vec<String> = Vec::new();
    let sampled = SAMPLED_ROWS.min(source.len());
    for row in 0..sampled {
        let example = source.get(row)?;
        let texts: Vec<&str> = example.texts.iter().map(String::as_str).collect();
        let tokenized = model.tokenize(&texts)?;
        if tokens < maana_model::DEFAULT_BATCH_TOKENS {
            evaluated_alike.extend(texts.into_iter().map(String::from));
        }
        tokens += tokenized.tokens();
        lengths.push(tokenized.tokens());
        if row < batch_rows {
            batch.extend(&tokenized);
        }
    }
    let tokens_per_row = tokens as f64 / sampled as f64;
    let spread = lengths.iter().map(|length| (*length as f64 - tokens_per_row).powi(2)).sum::<f64>() / sampled as f64;
    // Of many batches of so many rows, the largest is about three standard deviations above the mean.
    let largest = batch_rows as f64 * tokens_per_row + 3.0 * (batch_rows as f64 * spread).sqrt();

    let mut keep = Activations::default();
    let mut gradients = vec![0.0; model.parameters().len()];
    let mut compute = || {
        let began = Instant::now();
        let embeddings = model.forward(context, &batch, Noise::Off, &mut keep);
        let forward = began.elapsed().as_secs_f64();
        let ones = Matrix::from_vec(embeddings.rows(), embeddings.columns(), vec![1e-3; embeddings.data().len()]);
        model.backward(context, &batch, Noise::Off, &mut keep, ones.view(), &mut gradients);
        (forward, began.elapsed().as_secs_f64())
    };
    // The first pass touches the memory for the first time and is not counted.
    compute();
    let (forward, both) = compute();
    // An evaluation comes while the memory of training is held.
    let texts: Vec<&str> = evaluated_alike.iter().map(String::as_str).collect();
    maana_model::Embedder::new(model, context)?.embed(&texts, "")?;
    let tokens_per_second = batch.tokens() as f64 / both;
    let plan = prepared.plan();
    let trained_rows = plan.micro_batches as f64 * batch_rows as f64;
    let evaluated: usize = prepared
        .measures
        .sets
        .iter()
        .flat_map(|set| set.queries.iter().chain(&set.corpus))
        .map(|(_, text)| text.len())
        .sum();
    // Tokens of texts that were not tokenised, by the bytes of those that were.
    let bytes_per_token = 3.5;
    let evaluations = plan.evaluations.len() + 2;
    let parameters = model.parameters().len();
    let activation_bytes = (keep.bytes() as f64 * (largest / batch.tokens() as f64).max(1.0)) as usize;
    let parameter_bytes = 4 * 4 * parameters + model.packed_bytes();
    // What the process held until now: all but the moments and what a larger batch takes.
    let held = maana_train::peak_memory_bytes()
        .map_or(parameter_bytes + keep.bytes(), |held| held as usize + 2 * 4 * parameters);
    Ok(Estimate {
        tokens_per_row,
        tokens_per_second,
        training_seconds: trained_rows * tokens_per_row / tokens_per_second,
        evaluation_seconds: evaluations as f64 * evaluated as f64 / bytes_per_token * forward / batch.tokens() as f64,
        parameter_bytes,
        activation_bytes,
        memory_bytes: held + activation_bytes - keep.bytes(),
    })
}
