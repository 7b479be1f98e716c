//! `/classify`: labels of texts, by the classifier of the model.

use crate::app::App;
use crate::inputs::{Input, Texts};
use crate::json::write_json;
use crate::network::{Network, Output};
use crate::reply::Reply;
use crate::reply_body::Pieces;
use crate::request::{Common, Fields, Request};
use crate::request_error::{ErrorKind, RequestError};
use crate::rows::{FinishedRows, SHORT_NUMBERS};
use maana::kernels::Rows;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
pub(crate) struct ClassifyRequest {
    inputs: Texts,
    truncate: Option<bool>,
    model: Option<String>,
}

impl Fields for ClassifyRequest {
    fn common(&mut self) -> Common {
        Common { model: self.model.take(), truncate: self.truncate, texts: self.inputs.0.len(), ..Common::default() }
    }
}

pub(super) async fn classify(app: &App, request: Request) -> Result<Reply, RequestError> {
    let (fields, plan) = request.extract::<ClassifyRequest>(app).await?;
    let Some(classifier) = &plan.model.classifier else {
        let name = plan.model.name();
        let message = format!("the model `{name}` has no classifier; fit one with `maana classify fit`");
        return Err(RequestError::new(ErrorKind::NoRoute, message));
    };
    let inputs: Vec<Input> = fields.inputs.0.into_iter().map(Input::Text).collect();
    let embedded = plan.embed(app, inputs, Output::Embedding).await?;
    let usage = embedded.usage.clone();
    let is_short = usage.texts * (classifier.dim + classifier.labels.len()) <= SHORT_NUMBERS;
    let rows = FinishedRows::new(embedded, Arc::clone(&app.single), classifier.dim, None);
    Ok(Reply::streamed(&app.system, &app.log, Labels { rows, next: 0 }, is_short).await?.with_usage(usage))
}

/// For each text its labels with their probabilities, the likeliest first.
struct Labels {
    rows: FinishedRows,
    next: usize,
}

impl Pieces for Labels {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<bool, RequestError> {
        let model = Arc::clone(&self.rows.embedded.model);
        let classifier = model.classifier.as_ref().ok_or_else(RequestError::backend)?;
        let context = Arc::clone(&self.rows.context);
        let row = self.rows.row(self.next);
        let row = Rows::new(row, 1, row.len(), row.len());
        let probabilities = classifier.predict_rows(&context, row).map_err(|_| RequestError::backend())?;
        out.push(if self.next == 0 { b'[' } else { b',' });
        write_json(out, &ranked(&classifier.labels, probabilities.row(0)));
        self.next += 1;
        let more = self.next < self.rows.count();
        if !more {
            out.push(b']');
        }
        Ok(more)
    }
}

fn ranked(labels: &[String], probabilities: &[f64]) -> Vec<Value> {
    let mut ranked: Vec<(&String, f64)> = labels.iter().zip(probabilities.iter().copied()).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    ranked.into_iter().map(|(label, score)| json!({"label": label, "score": score})).collect()
}
