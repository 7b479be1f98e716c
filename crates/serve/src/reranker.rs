//! A cross-encoder in memory: pairs of texts to scores.

use crate::error::ServeError;
use crate::inputs::{check_unbroken, tokenizer_error};
use crate::log::Log;
use crate::network::Network;
use crate::request_error::RequestError;
use crate::settings::Source;
use maana::kernels::{Activation, Context, Matrix, Precision};
use maana::model::{CrossEncoder, InferenceModel, ScoreActivation, Scoring, WeightStorage};
use maana::text::{Overlong, PairText, TokenBatch};

/// A cross-encoder in memory.
pub(crate) struct Reranker {
    number: usize,
    name: String,
    encoder: CrossEncoder,
}

/// Inputs of a cross-encoder.
pub(crate) enum ScoreInputs {
    /// One query with each of the documents.
    Documents {
        query: String,
        documents: Vec<String>,
        /// Tokens of a document that are read, at most.
        document_tokens: Option<usize>,
    },
    /// Pairs of texts, and single texts.
    Each(Vec<ScoreInput>),
}

/// A pair of texts, or a single text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScoreInput {
    pub(crate) first: String,
    pub(crate) second: Option<String>,
}

impl Network for Reranker {
    fn number(&self) -> usize {
        self.number
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn model(&self) -> &InferenceModel {
        self.encoder.model()
    }
}

impl Reranker {
    /// Reads a cross-encoder.
    pub(crate) fn open(
        number: usize,
        source: &Source,
        context: &Context,
        precision: Precision,
        log: &Log,
    ) -> Result<Self, ServeError> {
        let opened =
            maana::open_cross_encoder(WeightStorage::Packed, &source.place, context, precision, &mut |notice| {
                log.note(notice)
            });
        let opened = opened.map_err(|error| ServeError::Model { name: source.name.clone(), source: error.into() })?;
        let reranker = Self { number, name: source.name.clone(), encoder: opened.model };
        let labels = reranker.labels();
        if labels.len() > 1 {
            log.note(&format!("reranker `{}`: it has {} labels, so only /predict uses it", source.name, labels.len()));
        }
        Ok(reranker)
    }

    /// Names of the labels, one for each column of the logits.
    pub(crate) fn labels(&self) -> &[String] {
        &self.scoring().labels
    }

    fn scoring(&self) -> &Scoring {
        self.encoder.scoring()
    }

    /// Most tokens of a pair.
    pub(crate) fn max_length(&self) -> usize {
        self.encoder.max_length()
    }

    /// Checks that the scores order documents.
    ///
    /// # Errors
    /// If there are several labels.
    pub(crate) fn expect_one_label(&self) -> Result<(), RequestError> {
        match self.labels() {
            [_] => Ok(()),
            labels => {
                let (name, count) = (&self.name, labels.len());
                let message = format!("`model`: `{name}` has {count} labels, and ranking needs one; use /predict");
                Err(RequestError::field("model", message))
            }
        }
    }

    /// Tokenises inputs. The query of documents is tokenised once.
    pub(crate) fn tokenize(&self, inputs: &ScoreInputs, overlong: Overlong) -> Result<TokenBatch, RequestError> {
        let mut tokens = TokenBatch::new();
        match inputs {
            ScoreInputs::Documents { query, documents, document_tokens } => {
                let query = self.prompted(query);
                let query = self.pair_text(0, &query, overlong)?;
                for (index, document) in documents.iter().enumerate() {
                    let mut document = self.pair_text(index, document, overlong)?;
                    if let Some(most) = document_tokens {
                        document.truncate(*most, overlong);
                    }
                    self.append_pair(&mut tokens, &query, &document, overlong)?;
                }
            }
            ScoreInputs::Each(inputs) => {
                for (index, ScoreInput { first, second }) in inputs.iter().enumerate() {
                    let first = self.prompted(first);
                    if let Some(second) = second {
                        let first = self.pair_text(index, &first, overlong)?;
                        let second = self.pair_text(index, second, overlong)?;
                        self.append_pair(&mut tokens, &first, &second, overlong)?;
                    } else {
                        check_unbroken(index, &first)?;
                        let appended = self.tokenizer().append(&mut tokens, &first, self.max_length(), overlong);
                        appended.map_err(|error| tokenizer_error(&error))?;
                    }
                }
            }
        }
        Ok(tokens)
    }

    /// Returns a first text with the model's prompt before it.
    fn prompted(&self, text: &str) -> String {
        format!("{}{text}", self.encoder.prompt())
    }

    fn pair_text<'t>(&self, index: usize, text: &'t str, overlong: Overlong) -> Result<PairText<'t>, RequestError> {
        check_unbroken(index, text)?;
        let tokens = self.tokenizer().pair_text(index, text, self.max_length(), overlong);
        tokens.map_err(|error| tokenizer_error(&error))
    }

    fn append_pair(
        &self,
        tokens: &mut TokenBatch,
        first: &PairText<'_>,
        second: &PairText<'_>,
        overlong: Overlong,
    ) -> Result<(), RequestError> {
        let appended = self.tokenizer().append_pair(tokens, first, second, self.max_length(), overlong);
        appended.map(drop).map_err(|error| tokenizer_error(&error))
    }

    /// Returns the scores of logits. Raw scores are the logits. Others are those of `maana score`
    /// if the model's activation is a function, else probabilities: the sigmoid of the logit of one
    /// label, the softmax of several.
    pub(crate) fn scores(&self, context: &Context, mut logits: Matrix, raw: bool) -> Matrix {
        const IDENTITY: ScoreActivation = ScoreActivation::Each(Activation::Identity);
        let activation = match self.scoring().activation {
            _ if raw => IDENTITY,
            IDENTITY if self.labels().len() == 1 => ScoreActivation::Each(Activation::Sigmoid),
            IDENTITY => ScoreActivation::Softmax,
            own => own,
        };
        activation.apply(context, &mut logits);
        logits
    }
}
