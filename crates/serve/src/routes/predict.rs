//! `/predict`, as in text-embeddings-inference: the labels of pairs of texts, or of single texts,
//! by a cross-encoder.

use crate::app::App;
use crate::budget::Share;
use crate::inputs::Direction;
use crate::json::{parse, write_json};
use crate::network::Network;
use crate::reply::Reply;
use crate::reply_body::Pieces;
use crate::request::{Common, Fields, Request};
use crate::request_error::RequestError;
use crate::reranker::{Reranker, ScoreInput, ScoreInputs};
use crate::rows::SHORT_NUMBERS;
use crate::scoring::{Pairs, Scored};
use maana::kernels::Matrix;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

#[derive(Deserialize)]
pub(crate) struct PredictRequest {
    inputs: PredictInputs,
    #[serde(default)]
    raw_scores: bool,
    truncate: Option<bool>,
    truncation_direction: Option<Direction>,
    model: Option<String>,
}

/// Inputs to predict labels for.
#[derive(Debug, PartialEq, Eq)]
struct PredictInputs {
    inputs: Vec<ScoreInput>,
    /// True for a single input, which is answered without a list around it.
    is_single: bool,
}

impl Fields for PredictRequest {
    fn common(&mut self) -> Common {
        Common {
            model: self.model.take(),
            truncate: self.truncate,
            truncation_direction: self.truncation_direction,
            texts: self.inputs.inputs.len(),
            ..Common::default()
        }
    }
}

impl<'de> Deserialize<'de> for PredictInputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PredictVisitor)
    }
}

struct PredictVisitor;

impl<'de> Visitor<'de> for PredictVisitor {
    type Value = PredictInputs;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, a pair of strings, or a list of pairs and of lists of one string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PredictInputs, E> {
        let input = ScoreInput { first: text.to_owned(), second: None };
        Ok(PredictInputs { inputs: vec![input], is_single: true })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<PredictInputs, A::Error> {
        let (mut texts, mut inputs) = (Vec::new(), Vec::new());
        while let Some(item) = list.next_element::<Item>()? {
            match item {
                Item::Text(text) if inputs.is_empty() => texts.push(text),
                Item::Texts(pair) if texts.is_empty() => inputs.push(input(pair)?),
                _ => return Err(A::Error::custom("strings and lists are mixed in one list")),
            }
        }
        if texts.is_empty() {
            return Ok(PredictInputs { inputs, is_single: false });
        }
        Ok(PredictInputs { inputs: vec![input(texts)?], is_single: true })
    }
}

/// Returns one or two texts as an input.
fn input<E: Error>(texts: Vec<String>) -> Result<ScoreInput, E> {
    let count = texts.len();
    let mut texts = texts.into_iter();
    match (texts.next(), texts.next(), count) {
        (Some(first), second, 1 | 2) => Ok(ScoreInput { first, second }),
        _ => Err(E::custom(format!(
            "an input has {count} strings, not one or two; several inputs are a list of lists, as in [[\"a\", \"b\"], [\"c\"]]"
        ))),
    }
}

/// An item of a list.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a string, or a list of one or two strings")]
enum Item {
    Text(String),
    Texts(Vec<String>),
}

pub(super) async fn predict(app: &App, request: Request) -> Result<Reply, RequestError> {
    let (fields, common, origin) = request.read(app, parse::<PredictRequest>).await?;
    let reranker = app.models.get_reranker(common.model.as_deref()).await?;
    let overlong = reranker.overlong(common.truncate, common.truncation_direction);
    let PredictInputs { inputs, is_single } = fields.inputs;
    let inputs = ScoreInputs::Each(inputs);
    let pairs = Pairs { reranker: Arc::clone(&reranker), inputs, overlong, raw: fields.raw_scores };
    let Scored { scores, usage, share, .. } = app.pipeline.score(&app.single, pairs, &origin).await?;
    let is_short = scores.data().len() <= SHORT_NUMBERS;
    let pieces = Predictions { reranker, scores, is_single, next: 0, _share: share };
    Ok(Reply::streamed(&app.system, &app.log, pieces, is_short).await?.with_usage(usage))
}

/// For each input its labels with their scores, the highest first.
struct Predictions {
    reranker: Arc<Reranker>,
    scores: Matrix,
    is_single: bool,
    next: usize,
    /// Memory of the scores.
    _share: Share,
}

#[derive(Serialize)]
struct Prediction<'a> {
    score: f32,
    label: &'a str,
}

impl Pieces for Predictions {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<bool, RequestError> {
        if !self.is_single {
            out.push(if self.next == 0 { b'[' } else { b',' });
        }
        let scores = self.scores.row(self.next).iter().copied();
        let mut labels: Vec<(usize, f32)> = scores.enumerate().collect();
        labels.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let names = self.reranker.labels();
        let prediction = |(label, score): (usize, f32)| Prediction { score, label: &names[label] };
        write_json(out, &labels.into_iter().map(prediction).collect::<Vec<_>>());
        self.next += 1;
        let more = self.next < self.scores.rows();
        if !more && !self.is_single {
            out.push(b']');
        }
        Ok(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<PredictInputs, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_of_inputs_is_read() {
        let input =
            |first: &str, second: Option<&str>| ScoreInput { first: first.into(), second: second.map(Into::into) };
        let single = |input| PredictInputs { inputs: vec![input], is_single: true };
        assert_eq!(read(r#""a""#).unwrap(), single(input("a", None)));
        assert_eq!(read(r#"["a"]"#).unwrap(), single(input("a", None)));
        assert_eq!(read(r#"["a", "b"]"#).unwrap(), single(input("a", Some("b"))));
        let batch = read(r#"[["a", "b"], ["c"], ["", ""]]"#).unwrap();
        let inputs = vec![input("a", Some("b")), input("c", None), input("", Some(""))];
        assert_eq!(batch, PredictInputs { inputs, is_single: false });
        assert_eq!(read("[]").unwrap(), PredictInputs { inputs: Vec::new(), is_single: false });
    }

    #[test]
    fn other_values_are_refused_with_the_expected_forms() {
        for wrong in
            ["1", "null", "{}", "[1]", r#"["a", "b", "c"]"#, r#"[["a", "b", "c"]]"#, "[[]]", r#"["a", ["b"]]"#, "[[1]]"]
        {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("string"), "{wrong}: {error}");
        }
    }
}
