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
use maana_model::{StatePart, Trainable, TrainingModel};
use std::path::Path;

/// Blends models, given by folder or by name on the hub, and writes the result with its card. It
/// has the tokenizer and the settings of the first model. `notify` receives notices and the
/// progress of downloads.
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
        if let Some(first) = opened.first() {
            if let Some(difference) = first.difference(&found.model) {
                return Err(BlendError::Different { first: models[0].clone(), other: name.clone(), difference });
            }
            let [ours, theirs] = [first, &found.model].map(|model| model.spec().settings().max_seq_length);
            if ours != theirs {
                let text =
                    format!("`{name}` reads {theirs} tokens of a text, `{}` {ours}; the blend {ours}", models[0]);
                notify(HubEvent::Notice(&text));
            }
        }
        parts.push(Part { model: base_model(&found.resolved), weight });
        opened.push(found.model);
    }
    let parameters: Vec<&[f32]> = opened.iter().map(TrainingModel::parameters).collect();
    let blended = method.blend(opened[0].tensors(), &parameters);
    let mut model = opened.swap_remove(0);
    drop(opened);
    model.write_state(StatePart::Parameters, 0, &blended);
    let card = card::render(method, &parts, &model.summary());
    Ok(model.save(out, &[("README.md", card.as_bytes())])?)
}

/// Returns the weight of each model for display; the base of task vectors has none.
fn shown_weights(method: &Method) -> impl Iterator<Item = Option<f64>> + '_ {
    let base = matches!(method, Method::Ties { .. }).then_some(None);
    base.into_iter().chain(method.weights().iter().copied().map(Some))
}
