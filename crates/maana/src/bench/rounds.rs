//! Rounds on demand: a program that measures several engines in turn asks each for one round at a time.

use maana_data::{RetrievalSet, Source};
use maana_eval::{EvalError, RetrievalOptions};
use maana_kernels::Context;
use maana_model::{Embedder, ModelError, SentenceModel, Trainable};
use maana_train::{
    Arguments, BatchSampler, Event, Failure, LossArguments, LossName, Observer, Precision, Run, TrainError,
};
use std::path::Path;
use std::time::Instant;

/// One round.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Round {
    /// How long it took.
    pub seconds: f64,
    /// Tokens that it took in.
    pub tokens: usize,
    /// The most memory that the process ever held.
    pub peak_bytes: u64,
}

/// Encodes the texts once for every `next` that says so, and tells of each round.
///
/// # Errors
/// If a text cannot be tokenised.
pub fn encode_rounds(
    model: &SentenceModel,
    context: &Context,
    texts: &[&str],
    next: &mut dyn FnMut(Option<Round>) -> bool,
) -> Result<(), ModelError> {
    let embedder = Embedder::new(model, context)?;
    let tokens = model.tokenize(texts)?.tokens();
    embedder.embed(texts, "")?;
    let mut told = None;
    while next(told) {
        let began = Instant::now();
        embedder.embed(texts, "")?;
        told = Some(Round { seconds: began.elapsed().as_secs_f64(), tokens, peak_bytes: peak_bytes() });
    }
    Ok(())
}

/// Makes one update on all rows of `source` — Matryoshka over multiple-negatives ranking, AdamW, dropout — for every `next`
/// that says so. Two updates go before, which are not told of.
///
/// # Errors
/// If the rows cannot be read or computed.
pub fn train_rounds(
    model: &mut SentenceModel,
    context: &Context,
    source: &dyn Source,
    dims: Vec<usize>,
    next: &mut dyn FnMut(Option<Round>) -> bool,
) -> Result<(), TrainError> {
    let whole = model.dimension();
    let loss = LossArguments {
        name: LossName::MultipleNegativesRanking,
        scale: None,
        margin: None,
        matryoshka_dims: Some(dims),
        matryoshka_weights: None,
        n_dims_per_step: None,
    };
    let loss = loss.build(whole, 42)?;
    let arguments = Arguments {
        epochs: 1e6,
        batch_size: source.len(),
        learning_rate: 2e-5,
        batch_sampler: BatchSampler::Shuffle,
        log_every: 1_000_000_000,
        precision: Precision::F32,
        ..Arguments::default()
    };
    let tokenizer = model.tokenizer();
    let max_length = model.settings().max_seq_length;
    let run = Run {
        context,
        source,
        tokenize: |texts: &[&str]| tokenizer.encode(texts, max_length),
        loss: loss.as_ref(),
        arguments: &arguments,
        base: None,
        folder: None,
        resume: false,
    };
    let mut watcher = Watcher { next, updates: 0, began: Instant::now(), over: false };
    run.train(model, &mut watcher)?;
    Ok(())
}

/// Measures the model on a retrieval set at all dims, encoding anew, once for every `next` that says so.
///
/// # Errors
/// If a text cannot be tokenised, or a dimension exceeds the model.
pub fn evaluate_rounds(
    model: &SentenceModel,
    context: &Context,
    set: RetrievalSet,
    dims: &[usize],
    next: &mut dyn FnMut(Option<Round>) -> bool,
) -> Result<(), EvalError> {
    let embedder = Embedder::new(model, context)?;
    let texts: Vec<&str> = set.queries.iter().chain(&set.corpus).map(|(_, text)| text.as_str()).collect();
    let tokens = model.tokenize(&texts)?.tokens();
    drop(texts);
    let sets = [set];
    let options = RetrievalOptions::default();
    crate::evaluate::evaluate(&embedder, context, &sets, dims, &options)?;
    let mut told = None;
    while next(told) {
        let began = Instant::now();
        crate::evaluate::evaluate(&embedder, context, &sets, dims, &options)?;
        told = Some(Round { seconds: began.elapsed().as_secs_f64(), tokens, peak_bytes: peak_bytes() });
    }
    Ok(())
}

struct Watcher<'a> {
    next: &'a mut dyn FnMut(Option<Round>) -> bool,
    updates: u64,
    began: Instant,
    over: bool,
}

impl Observer<SentenceModel> for Watcher<'_> {
    fn evaluate(&mut self, _: &SentenceModel, _: u64, _: f64) -> Result<Vec<(String, f64)>, Failure> {
        Ok(Vec::new())
    }

    fn save_model(&mut self, _: &SentenceModel, _: &Path) -> Result<(), Failure> {
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) {
        let Event::Progress(progress) = event else { return };
        self.updates += 1;
        if self.updates < 2 {
            return;
        }
        let seconds = self.began.elapsed().as_secs_f64();
        let tokens = (progress.tokens_per_second * seconds).round() as usize;
        let round = (self.updates > 2).then(|| Round { seconds, tokens, peak_bytes: peak_bytes() });
        self.over = !(self.next)(round);
        self.began = Instant::now();
    }

    fn stop_requested(&self) -> bool {
        self.over
    }
}

pub(super) fn peak_bytes() -> u64 {
    maana_train::peak_memory_bytes().unwrap_or(0)
}
