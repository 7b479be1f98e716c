//! The workflow of `maana distill-static`: a static model that imitates an encoder, as Model2Vec
//! makes it. Each token and each frequent word of some texts goes through the encoder; the
//! principal components of the results, weighted by frequency, are the table. It may then be
//! trained to give the texts the embeddings that the encoder gives them.

mod components;
mod error;
mod settings;
mod training;
mod vocabulary;

pub use error::DistillError;
pub use settings::{Progress, Settings, Vocabulary};

use crate::base_model::base_model;
use crate::card::{BaseModel, markdown};
use crate::hub::Resolved;
use components::Components;
use maana_kernels::{Context, Matrix};
use maana_model::{Activations, InferenceModel, Role, TextEncoder, TrainingModel};
use maana_text::{Overlong, Revised, TokenBatch};
use serde_json::json;
use std::path::Path;

/// Tokens that go through the encoder together.
const BATCH_TOKENS: usize = 2048;

/// Makes a static model from an encoder and texts in its languages. Results are the same bits for
/// any number of threads.
///
/// # Errors
/// If the settings are invalid, a text cannot be tokenised, or the tokenizer is of a kind whose
/// vocabulary cannot be changed.
pub fn distill(
    teacher: &TextEncoder,
    texts: &[String],
    settings: &Settings,
    notify: &mut dyn FnMut(Progress),
) -> Result<TrainingModel, DistillError> {
    settings.check()?;
    let context = teacher.context();
    let (Revised { tokenizer, former }, words) = vocabulary::revise(teacher, texts, settings)?;
    notify(Progress::Vocabulary { tokens: former.len(), words });
    let ranks = vocabulary::ranks(&tokenizer, former.len(), texts)?;
    let tokens = embed_tokens(context, teacher.model(), &former)?;
    let targets = match settings.epochs {
        0 => None,
        _ => {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            Some(teacher.encode(&texts, Role::Document)?)
        }
    };
    // Where texts go through the encoder too, their components matter more than those of tokens.
    let components = Components::of(context, targets.as_ref().unwrap_or(&tokens), settings.dimension);
    notify(Progress::Variance(components.explained()));
    let mut table = components.project(context, &tokens);
    if let Some(sif) = settings.sif {
        let weights = zipf_weights(former.len(), sif);
        for (token, rank) in ranks.iter().enumerate() {
            table.row_mut(token).iter_mut().for_each(|value| *value = (f64::from(*value) * weights[*rank]) as f32);
        }
    }
    let mut model = TrainingModel::of_table(tokenizer, table, true)?;
    if let Some(targets) = targets {
        let targets = components.project(context, &targets);
        training::train(&mut model, context, texts, &targets, settings, notify)?;
    }
    Ok(model)
}

/// Returns the embedding of each token as a text of its own, without the final normalisation.
fn embed_tokens(context: &Context, model: &InferenceModel, former: &[Vec<u32>]) -> Result<Matrix, DistillError> {
    let tokenizer = model.spec().tokenizer();
    let longest = model.spec().settings().max_seq_length;
    let (mut activations, mut rows, mut batch) = (Activations::default(), Vec::new(), TokenBatch::new());
    for (index, ids) in former.iter().enumerate() {
        tokenizer.append_ids(&mut batch, "", ids, longest, Overlong::CutEnd).map_err(maana_model::ModelError::from)?;
        if batch.tokens() >= BATCH_TOKENS || index + 1 == former.len() {
            rows.extend(model.embed_unfinished(context, &batch, &mut activations).into_vec());
            batch = TokenBatch::new();
        }
    }
    Ok(Matrix::from_vec(former.len(), rows.len() / former.len().max(1), rows))
}

/// Returns the weights a / (a + p) of tokens by rank, where p follows the law of Zipf, as Model2Vec
/// computes them.
fn zipf_weights(count: usize, sif: f64) -> Vec<f64> {
    let inverse = |rank: usize| 1.0 / (rank + 2) as f64;
    let sum: f64 = (0..count).map(inverse).sum();
    (0..count).map(|rank| sif / (sif + inverse(rank) / sum)).collect()
}

/// Writes a distilled model with its card.
///
/// # Errors
/// If the folder cannot be written.
pub fn save(
    model: &TrainingModel,
    teacher: &Resolved,
    texts: usize,
    settings: &Settings,
    out: &Path,
) -> Result<(), DistillError> {
    let card = render(&base_model(teacher), model, texts, settings);
    Ok(model.save(out, &[("README.md", card.as_bytes())])?)
}

fn render(teacher: &BaseModel, model: &TrainingModel, texts: usize, settings: &Settings) -> String {
    let spec = model.spec();
    let values = json!({
        "title": teacher.name.rsplit('/').next().unwrap_or_default(),
        "teacher": teacher.name,
        "revision": teacher.revision,
        "base": teacher.hub_id,
        "dimension": spec.dimension(),
        "tokens": spec.config().vocabulary,
        "texts": texts,
        "sif": settings.sif.map(|sif| sif.to_string()),
        "epochs": settings.epochs,
        "version": env!("CARGO_PKG_VERSION"),
    });
    markdown()
        .render_str(include_str!("distill_static/card.md.jinja"), minijinja::value::Serde(values))
        .expect("the template is valid for every distillation")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_the_reference() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../../golden/static.json")).unwrap();
        let expected: Vec<f64> = serde_json::from_value(golden["sif"].clone()).unwrap();
        for (ours, theirs) in zipf_weights(expected.len(), 1e-4).iter().zip(&expected) {
            assert!((ours - theirs).abs() < 1e-12, "{ours} {theirs}");
        }
    }
}
