//! The workflow of `maana blend`: combines the parameters of models of one shape into one model.
//! Results are the same bits everywhere: sums are f64 in the order of the models, and the only
//! functions beyond arithmetic are those of `libm`.

mod card;
mod checkpoints;
mod error;
mod linear;
mod method;
mod spherical;
mod ties;

pub use checkpoints::last_checkpoints;
pub use error::BlendError;
pub(crate) use linear::linear;
pub use method::Method;

use crate::base_model::base_model;
use crate::hub::{EventHandler, HubEvent, HubOptions};
use card::Part;
use maana_kernels::{Context, Precision};
use maana_model::{HeadSettings, Scoring, StatePart, Trainable, TrainingModel};
use std::path::Path;

/// Blends models, given by folder or by name on the hub, and writes the result with its card. It
/// has the tokenizer and the settings of the first model. If some are cross-encoders and others
/// encoders without a head, the head is the weighted mean of those that exist, and tokenizer and
/// settings are those of the first cross-encoder. `notify` receives notices and the progress of
/// downloads.
///
/// # Errors
/// If a setting is invalid, a model cannot be opened, two models differ in more than their
/// parameters, or the folder cannot be written.
pub fn blend(
    models: &[String],
    method: &Method,
    out: &Path,
    context: &Context,
    notify: &mut EventHandler<'_>,
) -> Result<(), BlendError> {
    method.check(models.len())?;
    let (mut opened, mut parts) = (Vec::<TrainingModel>::new(), Vec::new());
    for (name, weight) in models.iter().zip(shown_weights(method)) {
        let found =
            crate::open::open_for_training(name, context, Precision::F32, &HubOptions::from_environment(), notify)
                .map_err(|source| BlendError::Open { name: name.clone(), source: Box::new(source) })?;
        parts.push(Part { model: base_model(&found.resolved), weight });
        opened.push(found.model);
    }
    let has_head: Vec<bool> = opened.iter().map(|model| model.spec().scoring().is_ok()).collect();
    // The model with the settings of the result.
    let first = has_head.iter().position(|has_head| *has_head).unwrap_or(0);
    for (number, name) in models.iter().enumerate() {
        if has_head[first] && !has_head[number] {
            opened[number] = with_head(name, &opened[first], context)?;
        }
        if let Some(difference) = opened[first].difference(&opened[number]) {
            return Err(BlendError::Different { first: models[first].clone(), other: name.clone(), difference });
        }
        let [ours, theirs] = [first, number].map(|number| opened[number].spec().settings().max_seq_length);
        if ours != theirs {
            let text =
                format!("`{name}` reads {theirs} tokens of a text, `{}` {ours}; the blend {ours}", models[first]);
            notify(HubEvent::Notice(&text));
        }
    }
    let parameters: Vec<&[f32]> = opened.iter().map(TrainingModel::parameters).collect();
    let mut blended = method.blend(opened[first].tensors(), &parameters);
    if has_head[first] && has_head.contains(&false) {
        method.blend_heads(&opened[first].head_tensors(), &parameters, &has_head, &mut blended)?;
    }
    let mut model = opened.swap_remove(first);
    drop(opened);
    model.write_state(StatePart::Parameters, 0, &blended);
    let card = card::render(method, &parts, &model.summary());
    Ok(model.save(out, &[("README.md", card.as_bytes())])?)
}

/// Opens an encoder without a head as a cross-encoder like `model`. Its head has no meaning.
fn with_head(name: &str, model: &TrainingModel, context: &Context) -> Result<TrainingModel, BlendError> {
    let open_error = |source| BlendError::Open { name: name.to_owned(), source: Box::new(source) };
    let Scoring { labels, activation } = model.spec().scoring()?.clone();
    let head = HeadSettings { labels: Some(labels), activation: Some(activation), seed: 0 };
    let options = HubOptions::from_environment();
    let opened = crate::open::open_for_scoring(name, context, Precision::F32, &head, &options, &mut |_| {});
    let mut opened = opened.map_err(open_error)?.model;
    // As in training, settings of a bi-encoder are no part of the cross-encoder.
    let settings = model.spec().settings();
    opened.set_max_seq_length(settings.max_seq_length)?;
    opened.set_usage(settings.prompts.clone(), settings.default_prompt_name.clone(), settings.similarity)?;
    Ok(opened)
}

/// Returns the weight of each model for display; the base of task vectors has none.
fn shown_weights(method: &Method) -> impl Iterator<Item = Option<f64>> + '_ {
    let base = matches!(method, Method::Ties { .. }).then_some(None);
    base.into_iter().chain(method.weights().iter().copied().map(Some))
}
