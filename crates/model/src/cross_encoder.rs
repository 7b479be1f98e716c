//! `CrossEncoder`: a model that scores pairs of texts, in use. Pairs become rows of logits or
//! scores under a budget of tokens; each distinct text is tokenised once, and pairs of similar
//! length are computed together, without padding. A row has the same bits in any batch, for any
//! budget and any number of threads.

use crate::ModelError;
use crate::activations::Activations;
use crate::inference_model::InferenceModel;
use crate::prompt::Prompt;
use crate::runner::{Runner, check_stop};
use crate::spec::ModelSpec;
use crate::task::Scoring;
use crate::text_encoder::DEFAULT_BATCH_TOKENS;
use maana_kernels::{Context, Matrix, Precision};
use maana_text::{PairText, TextError, TokenBatch};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Pairs that are tokenised and sorted together: enough that batches are of similar lengths, and
/// few enough that any number of documents takes bounded memory.
const PAIRS_TOGETHER: usize = 1024;

/// A cross-encoder with its threads. Clones share model and memory.
#[derive(Clone)]
pub struct CrossEncoder {
    shared: Arc<Runner>,
    /// Number of truncated pairs.
    truncated: Arc<AtomicU64>,
    max_length: usize,
    batch_tokens: usize,
    prompt: Prompt,
    stop: Option<Arc<AtomicBool>>,
}

impl CrossEncoder {
    /// Returns a cross-encoder with the folder's settings: its `max_seq_length`, and its default
    /// prompt in front of the first text of each pair.
    ///
    /// # Errors
    /// Returns an error if the model embeds single texts.
    pub fn new(model: impl Into<Arc<InferenceModel>>, context: &Context) -> Result<Self, ModelError> {
        let model = model.into();
        model.spec().scoring()?;
        let prompt = model.spec().prompt(model.spec().default_prompt())?;
        let max_length = model.spec().settings().max_seq_length;
        let (shared, truncated) = (Runner::new(&model, context), Arc::default());
        Ok(Self { shared, truncated, max_length, batch_tokens: DEFAULT_BATCH_TOKENS, prompt, stop: None })
    }

    /// Cuts pairs to `tokens` tokens instead of the folder's `max_seq_length`.
    ///
    /// # Errors
    /// Returns an error if the encoder has fewer positions, or if only special tokens would fit.
    pub fn with_max_length(mut self, tokens: usize) -> Result<Self, ModelError> {
        self.spec().check_max_seq_length(tokens)?;
        self.max_length = tokens;
        Ok(self)
    }

    /// Sets the most tokens of a batch; a longer pair is a batch of its own.
    pub fn with_batch_tokens(mut self, batch_tokens: usize) -> Self {
        self.batch_tokens = batch_tokens.max(1);
        self
    }

    /// Replaces the prompt in front of the first text of each pair; empty for none.
    ///
    /// # Errors
    /// Returns an error if the prompt cannot be tokenised.
    pub fn with_prompt(mut self, prompt: &str) -> Result<Self, ModelError> {
        self.prompt = self.spec().prompt(prompt)?;
        Ok(self)
    }

    /// Ends [`CrossEncoder::score`] with [`ModelError::Stopped`] before the next batch once `stop`
    /// is true.
    pub fn with_stop(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Returns a cross-encoder of the same model with the same settings on other threads.
    pub fn with_context(mut self, context: &Context) -> Self {
        self.shared = Runner::new(&self.shared.model, context);
        self.truncated = Arc::default();
        self
    }

    /// Names of the labels, one for each column of the scores.
    pub fn labels(&self) -> &[String] {
        &self.scoring().labels
    }

    /// The labels, and the activation that makes scores of logits.
    pub fn scoring(&self) -> &Scoring {
        self.spec().task().scoring().expect("a cross-encoder is made of a model that scores")
    }

    /// Number of tokens of a pair that are read.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Number of pairs that were cut to [`CrossEncoder::max_length`] since the model was opened.
    pub fn truncated(&self) -> u64 {
        self.truncated.load(Ordering::Relaxed)
    }

    /// The text in front of the first text of each pair; empty for none.
    pub fn prompt(&self) -> &str {
        self.prompt.text()
    }

    /// The threads, the instruction set and the scratch memory of the computation.
    pub fn context(&self) -> &Context {
        &self.shared.context
    }

    /// The model.
    pub fn model(&self) -> &Arc<InferenceModel> {
        &self.shared.model
    }

    /// Everything of the model but its weights.
    pub fn spec(&self) -> &ModelSpec {
        self.shared.model.spec()
    }

    /// Precision of the matrix products.
    pub fn precision(&self) -> Precision {
        self.shared.model.precision()
    }

    /// Bytes that identify the model, and not the precision.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.shared.model.fingerprint(&self.shared.context)
    }

    /// Scores pairs of texts: `(pairs, labels)`, rows in the order of the pairs. A row does not
    /// depend on its neighbours.
    ///
    /// # Errors
    /// Returns an error if a text cannot be tokenised, if a memory-mapped weight is not finite, or
    /// if the cross-encoder was stopped.
    pub fn score(&self, pairs: &[(&str, &str)]) -> Result<Matrix, ModelError> {
        Ok(self.activated(self.logits(pairs)?))
    }

    /// As [`CrossEncoder::score`], without the activation.
    ///
    /// # Errors
    /// As [`CrossEncoder::score`].
    pub fn logits(&self, pairs: &[(&str, &str)]) -> Result<Matrix, ModelError> {
        self.compute(pairs.len(), |index| pairs[index])
    }

    /// Scores documents for a query: `(documents, labels)`. The same bits as
    /// [`CrossEncoder::score`] of the pairs.
    ///
    /// # Errors
    /// As [`CrossEncoder::score`].
    pub fn score_documents(&self, query: &str, documents: &[&str]) -> Result<Matrix, ModelError> {
        Ok(self.activated(self.compute(documents.len(), |index| (query, documents[index]))?))
    }

    fn activated(&self, mut logits: Matrix) -> Matrix {
        self.scoring().activation.apply(&self.shared.context, &mut logits);
        logits
    }

    /// Computes the logits of `count` pairs.
    fn compute<'t>(
        &self,
        count: usize,
        pair: impl Fn(usize) -> (&'t str, &'t str) + Sync,
    ) -> Result<Matrix, ModelError> {
        let mut output = Matrix::zeros(count, self.labels().len());
        let mut activations = self.shared.activations(self.batch_tokens);
        for first in (0..count).step_by(PAIRS_TOGETHER) {
            let block = first..count.min(first + PAIRS_TOGETHER);
            let pairs: Vec<(&str, &str)> = block.map(&pair).collect();
            let tokens = self.tokenize(&pairs).map_err(|error| error.after_texts(first))?;
            let mut order: Vec<usize> = (0..pairs.len()).collect();
            order.sort_by_key(|index| std::cmp::Reverse(tokens.length(*index)));
            let mut rest = &order[..];
            while !rest.is_empty() {
                let (batch, after) = rest.split_at(self.fitting(&tokens, rest));
                self.compute_batch(&tokens, batch, first, &mut activations, &mut output)?;
                rest = after;
            }
        }
        self.shared.check_result(&output)?;
        Ok(output)
    }

    /// Returns how many of the pairs fit into one batch, at least one.
    fn fitting(&self, tokens: &TokenBatch, pairs: &[usize]) -> usize {
        let mut sum = 0;
        let fits = pairs.iter().take_while(|index| {
            sum += tokens.length(**index);
            sum <= self.batch_tokens
        });
        fits.count().max(1)
    }

    /// Computes some pairs of a block whose first row in the output is `first_row`.
    fn compute_batch(
        &self,
        tokens: &TokenBatch,
        pairs: &[usize],
        first_row: usize,
        activations: &mut Activations,
        output: &mut Matrix,
    ) -> Result<(), ModelError> {
        check_stop(self.stop.as_deref())?;
        let mut batch = TokenBatch::new();
        pairs.iter().for_each(|&index| batch.extend_with(tokens, index..index + 1));
        let Runner { model, context, .. } = &*self.shared;
        let rows = model.embed(context, &batch, activations);
        model.check_unchanged()?;
        let columns = output.columns();
        for (row, index) in rows.data().chunks_exact(columns).zip(pairs) {
            let start = (first_row + index) * columns;
            output.data_mut()[start..start + columns].copy_from_slice(row);
        }
        Ok(())
    }

    /// Tokenises the distinct texts of pairs, on the threads that compute, and joins them.
    fn tokenize(&self, pairs: &[(&str, &str)]) -> Result<TokenBatch, ModelError> {
        let tokenizer = self.spec().tokenizer();
        let overlong = tokenizer.overlong();
        // Texts in the order in which they first occur, with the pair that is named in errors. Only
        // first texts have the prompt in front.
        let mut numbers: HashMap<(bool, &str), usize> = HashMap::new();
        let mut texts: Vec<(usize, std::borrow::Cow<'_, str>)> = Vec::new();
        let mut number = |index: usize, prompted: bool, text| {
            *numbers.entry((prompted, text)).or_insert_with(|| {
                texts.push((index, if prompted { self.prompt.prepend(text) } else { text.into() }));
                texts.len() - 1
            })
        };
        let prompted = !self.prompt.is_empty();
        let numbered: Vec<[usize; 2]> = (pairs.iter().enumerate())
            .map(|(index, (first, second))| [number(index, prompted, first), number(index, false, second)])
            .collect();
        let mut tokenized: Vec<Option<Result<PairText<'_>, TextError>>> = texts.iter().map(|_| None).collect();
        self.shared.context.for_each_chunk(&mut tokenized, 1, |number, into| {
            let (index, text) = &texts[number];
            into[0] = Some(tokenizer.pair_text(*index, text, self.max_length, overlong));
        });
        let tokenized: Vec<PairText<'_>> = tokenized.into_iter().flatten().collect::<Result<_, _>>()?;
        let mut batch = TokenBatch::new();
        for [first, second] in numbered {
            let cut =
                tokenizer.append_pair(&mut batch, &tokenized[first], &tokenized[second], self.max_length, overlong)?;
            self.truncated.fetch_add(u64::from(cut > 0), Ordering::Relaxed);
        }
        Ok(batch)
    }
}
