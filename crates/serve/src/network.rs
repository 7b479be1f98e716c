//! The parts of a model that the queue and the compute thread use: tokens to rows.

use crate::inputs::Direction;
use maana::kernels::{Context, Matrix, Precision};
use maana::model::{Activations, InferenceModel, ModelError, ModelSpec};
use maana::text::{Overlong, TokenBatch, Tokenizer};
use std::sync::Arc;

/// Output for a sequence of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Output {
    /// One row: the embedding of a text before the normalisation that ends the model, or the logits
    /// of a pair.
    Embedding,
    /// A row for each token.
    Tokens,
}

/// A model in memory.
pub(crate) trait Network: Send + Sync {
    /// Number among the server's models.
    fn number(&self) -> usize;

    /// Name in requests.
    fn name(&self) -> &str;

    /// The weights.
    fn model(&self) -> &InferenceModel;

    /// Everything of the model but its weights.
    fn spec(&self) -> &ModelSpec {
        self.model().spec()
    }

    /// The tokenizer.
    fn tokenizer(&self) -> Arc<Tokenizer> {
        self.spec().tokenizer()
    }

    /// Returns the treatment of an input that is too long, by both fields of a request, or by the
    /// model's folder.
    fn overlong(&self, truncate: Option<bool>, direction: Option<Direction>) -> Overlong {
        match (truncate, direction) {
            (Some(false), _) => Overlong::Refuse,
            (_, Some(Direction::Left)) => Overlong::CutBeginning,
            (_, Some(Direction::Right)) => Overlong::CutEnd,
            (_, None) => self.tokenizer().overlong(),
        }
    }

    /// Precision of the matrix products.
    fn precision(&self) -> Precision {
        self.model().precision()
    }

    /// Bytes of weights in memory.
    fn held_bytes(&self) -> u64 {
        self.model().held_bytes() as u64
    }

    /// Columns of the rows of an output, as [`Network::infer`] returns them.
    fn output_columns(&self, output: Output) -> usize {
        match output {
            Output::Embedding => self.spec().dimension(),
            Output::Tokens => self.spec().config().hidden,
        }
    }

    /// Computes rows for the sequences of a batch. `batch_tokens` is the size of the largest batch
    /// of more than one sequence.
    fn infer(
        &self,
        context: &Context,
        tokens: &TokenBatch,
        output: Output,
        batch_tokens: usize,
        activations: &mut Activations,
    ) -> Matrix {
        let model = self.model();
        model.reserve(batch_tokens, activations);
        match output {
            Output::Embedding => model.embed_unfinished(context, tokens, activations),
            Output::Tokens => model.embed_tokens(context, tokens, activations),
        }
    }

    /// Checks that no mapped file of the model was changed.
    ///
    /// # Errors
    /// Names the changed file.
    fn check_unchanged(&self) -> Result<(), ModelError> {
        self.model().check_unchanged()
    }
}
