//! Texts of requests to embeddings.

use crate::budget::Share;
use crate::inputs::Input;
use crate::model::Model;
use crate::network::Output;
use crate::origin::Origin;
use crate::pipeline::{Computed, Pipeline, Sequences, Work};
use crate::reply::Usage;
use crate::request_error::RequestError;
use maana::kernels::Matrix;
use maana::text::{Overlong, TokenBatch};
use std::sync::Arc;

/// Texts to embed.
pub(crate) struct Texts {
    pub(crate) model: Arc<Model>,
    pub(crate) inputs: Vec<Input>,
    /// Text before every input.
    pub(crate) prompt: String,
    pub(crate) overlong: Overlong,
}

/// Rows of texts, before normalisation.
pub(crate) struct Embedded {
    pub(crate) model: Arc<Model>,
    pub(crate) rows: Matrix,
    /// First row of each text, and the number of rows, if there is one for each token.
    pub(crate) offsets: Vec<usize>,
    pub(crate) usage: Usage,
    /// Memory of the rows.
    _share: Share,
}

impl Sequences for Texts {
    fn count(&self) -> usize {
        self.inputs.len()
    }

    fn bytes(&self) -> usize {
        let each = self.inputs.iter().map(|input| input.bytes().saturating_add(self.prompt.len()));
        each.fold(0, usize::saturating_add)
    }

    fn describe(&self, usage: &mut Usage, log_texts: bool) {
        usage.texts = self.inputs.len();
        usage.characters = self.inputs.iter().map(Input::characters).sum();
        if log_texts {
            usage.logged = self.inputs.iter().map(Input::for_log).collect();
        }
    }

    fn tokenize(&self) -> Result<TokenBatch, RequestError> {
        self.model.tokenize(&self.inputs, &self.prompt, self.overlong)
    }
}

impl Pipeline {
    /// Computes the rows of texts.
    ///
    /// # Errors
    /// As [`Pipeline::compute`].
    pub(crate) async fn embed(&self, texts: Texts, output: Output, origin: &Origin) -> Result<Embedded, RequestError> {
        let network = texts.model.clone();
        let Origin { class, arrival, .. } = *origin;
        let work = Work { network, sequences: texts, output, class, arrival };
        let Computed { sequences, rows, offsets, usage, share } = self.compute(work).await?;
        Ok(Embedded { model: sequences.model, rows, offsets, usage, _share: share })
    }
}
