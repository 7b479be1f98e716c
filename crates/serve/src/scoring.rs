//! Pairs of texts of requests to scores.

use crate::budget::Share;
use crate::network::Output;
use crate::origin::Origin;
use crate::pipeline::{Computed, Pipeline, Sequences, Work};
use crate::reply::Usage;
use crate::request_error::RequestError;
use crate::reranker::{Reranker, ScoreInput, ScoreInputs};
use maana::kernels::{Context, Matrix};
use maana::text::{Overlong, TokenBatch};
use std::sync::Arc;

/// Pairs to score.
pub(crate) struct Pairs {
    pub(crate) reranker: Arc<Reranker>,
    pub(crate) inputs: ScoreInputs,
    pub(crate) overlong: Overlong,
    /// Returns logits.
    pub(crate) raw: bool,
}

/// Scores of pairs.
pub(crate) struct Scored {
    /// `(pairs, labels)`
    pub(crate) scores: Matrix,
    pub(crate) inputs: ScoreInputs,
    pub(crate) usage: Usage,
    /// Memory of the scores.
    pub(crate) share: Share,
}

impl ScoreInput {
    fn texts(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.first).chain(&self.second)
    }
}

impl ScoreInputs {
    fn texts(&self) -> Box<dyn Iterator<Item = &String> + '_> {
        match self {
            Self::Documents { query, documents, .. } => Box::new(std::iter::once(query).chain(documents)),
            Self::Each(inputs) => Box::new(inputs.iter().flat_map(ScoreInput::texts)),
        }
    }
}

impl Sequences for Pairs {
    fn count(&self) -> usize {
        match &self.inputs {
            ScoreInputs::Documents { documents, .. } => documents.len(),
            ScoreInputs::Each(inputs) => inputs.len(),
        }
    }

    fn bytes(&self) -> usize {
        self.inputs.texts().map(String::len).fold(0, usize::saturating_add)
    }

    fn describe(&self, usage: &mut Usage, log_texts: bool) {
        usage.pairs = self.count();
        usage.characters = self.inputs.texts().map(|text| text.chars().count()).sum();
        if log_texts {
            usage.logged = self.inputs.texts().cloned().collect();
        }
    }

    fn tokenize(&self) -> Result<TokenBatch, RequestError> {
        self.reranker.tokenize(&self.inputs, self.overlong)
    }
}

impl Pipeline {
    /// Computes the scores of pairs.
    ///
    /// # Errors
    /// As [`Pipeline::compute`].
    pub(crate) async fn score(&self, context: &Context, pairs: Pairs, origin: &Origin) -> Result<Scored, RequestError> {
        let network = pairs.reranker.clone();
        let Origin { class, arrival, .. } = *origin;
        let work = Work { network, sequences: pairs, output: Output::Embedding, class, arrival };
        let Computed { sequences, rows, usage, share, .. } = self.compute(work).await?;
        let Pairs { reranker, inputs, raw, .. } = sequences;
        Ok(Scored { scores: reranker.scores(context, rows, raw), inputs, usage, share })
    }
}
