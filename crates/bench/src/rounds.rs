//! Rounds on request: programs that compare engines in alternation request one round at a time.

use maana::data::{RetrievalSet, Source};
use maana::eval::{EvalError, RetrievalOptions, evaluate_retrieval};
use maana::kernels::Context;
use maana::model::{CrossEncoder, ModelError, TextEncoder, Trainable, TrainingModel};
use maana::rerank::rerank;
use maana::train::{
    Arguments, BatchSampler, Event, Failure, LossArguments, LossName, Observer, Precision, Run, TrainError, TrainingSet,
};
use std::path::Path;
use std::time::Instant;

/// One round.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Round {
    /// Duration.
    pub seconds: f64,
    /// Number of tokens.
    pub tokens: usize,
    /// Peak memory of the process.
    pub peak_bytes: u64,
}

/// Returns the round of median duration, the slower of two in the middle.
///
/// # Panics
/// If there are no rounds.
pub fn median_round(mut rounds: Vec<Round>) -> Round {
    rounds.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    rounds[rounds.len() / 2]
}

/// Encodes the texts once per round, as long as `next` returns true; `next` receives the previous
/// round. If `forgets`, the tokenizer forgets all words before each round.
///
/// # Errors
/// If a text cannot be tokenised.
pub fn encode_rounds(
    encoder: &TextEncoder,
    texts: &[&str],
    forgets: bool,
    next: &mut dyn FnMut(Option<Round>) -> bool,
) -> Result<(), ModelError> {
    let tokens = encoder.spec().tokenize(texts)?.tokens();
    encoder.embed(texts, "")?;
    let mut last = None;
    while next(last) {
        if forgets {
            encoder.spec().tokenizer().forget_words();
        }
        let began = Instant::now();
        encoder.embed(texts, "")?;
        last = Some(Round { seconds: began.elapsed().as_secs_f64(), tokens, peak_bytes: peak_bytes() });
    }
    Ok(())
}

/// Ranks the passages for the query once per round, as long as `next` returns true.
///
/// # Errors
/// If a text cannot be tokenised, or the model has several labels.
pub fn rerank_rounds(
    encoder: &CrossEncoder,
    query: &str,
    passages: &[&str],
    next: &mut dyn FnMut(Option<Round>) -> bool,
) -> Result<(), ModelError> {
    let pairs: Vec<(&str, &str)> = passages.iter().map(|passage| (query, *passage)).collect();
    let tokens = encoder.spec().tokenizer().encode_pairs(&pairs, encoder.max_length())?.tokens();
    rerank(encoder, query, passages, None)?;
    let mut last = None;
    while next(last) {
        let began = Instant::now();
        rerank(encoder, query, passages, None)?;
        last = Some(Round { seconds: began.elapsed().as_secs_f64(), tokens, peak_bytes: peak_bytes() });
    }
    Ok(())
}

/// Runs one update on all rows of `source` per round, with Matryoshka over multiple-negatives
/// ranking and dropout, as long as `next` returns true. Two updates before the first round warm up.
/// `passes` has the optimizer, and the settings of mini-batches and of checkpoints.
///
/// # Errors
/// If the rows cannot be read or computed.
pub fn train_rounds(
    model: &mut TrainingModel,
    context: &Context,
    source: &dyn Source,
    dims: Vec<usize>,
    passes: &Arguments,
    next: &mut dyn FnMut(Option<Round>) -> bool,
) -> Result<(), TrainError> {
    let whole = model.dimension();
    let ranking = LossArguments::new(LossName::MultipleNegativesRanking);
    let loss = LossArguments { matryoshka_dims: Some(dims), ..ranking };
    let loss = loss.build(whole, 42)?;
    let arguments = Arguments {
        epochs: 1e6,
        batch_size: source.len(),
        learning_rate: 2e-5,
        batch_sampler: BatchSampler::Shuffle,
        log_every: 1_000_000_000.into(),
        precision: Precision::F32,
        ..passes.clone()
    };
    model.set_gradient_checkpointing(arguments.gradient_checkpointing);
    let tokenizer = model.spec().tokenizer();
    let max_length = model.spec().settings().max_seq_length;
    let sets = [TrainingSet::new(source, loss.as_ref())];
    let run = Run::new(context, &sets, |texts: &[&str]| tokenizer.encode(texts, max_length), &arguments);
    let mut watcher = Watcher { next, updates: 0, began: Instant::now(), over: false };
    run.train(model, &mut watcher)?;
    Ok(())
}

/// Evaluates the model on a retrieval set at all dims once per round, as long as `next` returns
/// true.
///
/// # Errors
/// If a text cannot be tokenised, or a dimension exceeds the model.
pub fn evaluate_rounds(
    encoder: &TextEncoder,
    context: &Context,
    set: RetrievalSet,
    dims: &[usize],
    next: &mut dyn FnMut(Option<Round>) -> bool,
) -> Result<(), EvalError> {
    let texts: Vec<&str> = set.queries.iter().chain(&set.corpus).map(|(_, text)| text.as_str()).collect();
    let tokens = encoder.spec().tokenize(&texts)?.tokens();
    drop(texts);
    let options = RetrievalOptions::default();
    evaluate_retrieval(context, encoder, &set, dims, &options)?;
    let mut last = None;
    while next(last) {
        let began = Instant::now();
        evaluate_retrieval(context, encoder, &set, dims, &options)?;
        last = Some(Round { seconds: began.elapsed().as_secs_f64(), tokens, peak_bytes: peak_bytes() });
    }
    Ok(())
}

struct Watcher<'a> {
    next: &'a mut dyn FnMut(Option<Round>) -> bool,
    updates: u64,
    began: Instant,
    over: bool,
}

impl Observer<TrainingModel> for Watcher<'_> {
    fn evaluate(&mut self, _: &TrainingModel, _: u64, _: f64) -> Result<Vec<(String, f64)>, Failure> {
        Ok(Vec::new())
    }

    fn save_model(&mut self, _: &TrainingModel, _: &Path) -> Result<(), Failure> {
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

pub(crate) fn peak_bytes() -> u64 {
    maana::train::peak_memory_bytes().unwrap_or(0)
}
