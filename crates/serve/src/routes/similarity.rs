//! `/similarity`, as in text-embeddings-inference, and `/similarity/matrix`: all texts with all, at
//! several dimensions.

use crate::app::App;
use crate::embedding::Embedded;
use crate::inputs::{Direction, Input, Texts};
use crate::json::write_json;
use crate::network::Output;
use crate::reply::Reply;
use crate::reply_body::Pieces;
use crate::request::{Common, Fields, Plan, Request};
use crate::request_error::{ErrorKind, RequestError};
use crate::rows::SHORT_NUMBERS;
use maana::kernels::{Context, Matrix};
use maana::similarity::compare;
use serde::Deserialize;
use std::sync::Arc;

/// Most texts of a matrix, whose answer grows with their square.
const MATRIX_TEXTS: usize = 512;

/// Rows of a matrix that are computed at once.
const BLOCK_ROWS: usize = 32;

#[derive(Deserialize)]
pub(crate) struct SimilarityRequest {
    inputs: SimilarityInputs,
    #[serde(default)]
    parameters: SimilarityParameters,
    model: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct SimilarityInputs {
    source_sentence: String,
    sentences: Vec<String>,
}

#[derive(Default, Deserialize)]
pub(crate) struct SimilarityParameters {
    truncate: Option<bool>,
    truncation_direction: Option<Direction>,
    prompt_name: Option<String>,
}

impl Fields for SimilarityRequest {
    fn common(&mut self) -> Common {
        Common {
            model: self.model.take(),
            dimensions: None,
            prompt: self.parameters.prompt_name.take().into(),
            truncate: self.parameters.truncate,
            truncation_direction: self.parameters.truncation_direction,
            texts: 1 + self.inputs.sentences.len(),
        }
    }
}

pub(super) async fn similarity(app: &App, request: Request) -> Result<Reply, RequestError> {
    let (fields, plan) = request.extract(app).await?;
    similarities(app, fields, &plan).await
}

/// Answers with the similarity of each sentence to the source sentence.
pub(super) async fn similarities(app: &App, fields: SimilarityRequest, plan: &Plan) -> Result<Reply, RequestError> {
    let SimilarityInputs { source_sentence, sentences } = fields.inputs;
    if sentences.is_empty() {
        return Err(RequestError::new(ErrorKind::Empty, "`sentences`: the list is empty"));
    }
    let inputs = std::iter::once(source_sentence).chain(sentences).map(Input::Text).collect();
    let embedded = plan.embed(app, inputs, Output::Embedding).await?;
    let rows = embedded.model.finish(&app.single, embedded.rows.view(), plan.dimension, None);
    let (source, sentences) = (rows.view().range(0..1), rows.view().range(1..rows.rows()));
    let scores = compare(&app.single, plan.model.similarity(), source, sentences);
    Ok(Reply::json(&scores.data()).with_usage(embedded.usage))
}

#[derive(Deserialize)]
pub(crate) struct MatrixRequest {
    inputs: Texts,
    dimensions: Option<Vec<u64>>,
    prompt_name: Option<String>,
    model: Option<String>,
    truncate: Option<bool>,
}

impl Fields for MatrixRequest {
    fn common(&mut self) -> Common {
        Common {
            model: self.model.take(),
            prompt: self.prompt_name.take().into(),
            truncate: self.truncate,
            // A matrix is for a person, whatever its size.
            texts: 1,
            ..Common::default()
        }
    }
}

pub(super) async fn matrix(app: &App, request: Request) -> Result<Reply, RequestError> {
    let (fields, plan) = request.extract::<MatrixRequest>(app).await?;
    let dims = match &fields.dimensions {
        Some(dims) => dims.iter().map(|dim| plan.model.dimension(Some(*dim))).collect::<Result<Vec<_>, _>>()?,
        None => plan.model.dims.clone(),
    };
    let mut distinct = dims.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < dims.len() || dims.is_empty() || dims.len() > 32 {
        return Err(RequestError::field("dimensions", "`dimensions`: 1 to 32 of them, each once"));
    }
    let texts = fields.inputs.0.len();
    if texts > MATRIX_TEXTS {
        let message = format!("`inputs`: there are {texts} texts, and a matrix has at most {MATRIX_TEXTS}");
        return Err(RequestError::field("inputs", message));
    }
    let inputs = fields.inputs.0.into_iter().map(Input::Text).collect();
    let embedded = plan.embed(app, inputs, Output::Embedding).await?;
    let usage = embedded.usage.clone();
    let is_short = texts * (texts + plan.model.columns()) * dims.len() <= SHORT_NUMBERS;
    let matrices = Matrices::new(embedded, Arc::clone(&app.single), dims);
    Ok(Reply::streamed(&app.system, &app.log, matrices, is_short).await?.with_usage(usage))
}

/// The similarity matrices of some dimensions.
struct Matrices {
    embedded: Embedded,
    context: Arc<Context>,
    dims: Vec<usize>,
    /// The current dimension, its embeddings, and the next row.
    current: usize,
    rows: Matrix,
    next: usize,
}

impl Matrices {
    fn new(embedded: Embedded, context: Arc<Context>, dims: Vec<usize>) -> Self {
        Self { embedded, context, dims, current: 0, rows: Matrix::zeros(0, 0), next: 0 }
    }

    /// Writes what precedes the rows of the current dimension.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.current == 0 {
            out.extend_from_slice(br#"{"dimensions":"#);
            write_json(out, &self.dims);
            out.extend_from_slice(br#","matrices":{"#);
        } else {
            out.push(b',');
        }
        let dim = self.dims[self.current];
        write_json(out, &dim.to_string());
        out.extend_from_slice(b":[");
        self.rows = self.embedded.model.finish(&self.context, self.embedded.rows.view(), dim, None);
    }
}

impl Pieces for Matrices {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<bool, RequestError> {
        if self.next == 0 {
            self.begin(out);
        }
        let (first, rows) = (self.next, self.rows.rows());
        let end = (first + BLOCK_ROWS).min(rows);
        let similarity = self.embedded.model.similarity();
        let scores = compare(&self.context, similarity, self.rows.view().range(first..end), self.rows.view());
        for row in 0..scores.rows() {
            if first + row > 0 {
                out.push(b',');
            }
            write_json(out, scores.row(row));
        }
        self.next = end;
        if end < rows {
            return Ok(true);
        }
        out.push(b']');
        (self.current, self.next) = (self.current + 1, 0);
        let more = self.current < self.dims.len();
        if !more {
            out.extend_from_slice(b"}}");
        }
        Ok(more)
    }
}
