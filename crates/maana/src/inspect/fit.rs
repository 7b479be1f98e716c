//! The check of columns and labels that a run makes before it starts.

use maana_data::Source;
use maana_train::loss::{Labels, Needs};
use maana_train::{Inputs, LossArguments, LossName, TrainError};

/// The most classes of a loss.
const MOST_CLASSES: usize = 1 << 16;

/// Returns the reason for which a run with this loss refuses the data, if it does. Settings that
/// only a recipe has, such as a teacher, are taken to fit.
pub(super) fn refusal(loss: LossName, recipe_name: &str, source: &dyn Source) -> Option<String> {
    let check = |needs: Needs| {
        needs.check_data(recipe_name, source)?;
        needs.check_differences(recipe_name, source)
    };
    needs(loss, source).and_then(check).err().map(|error| error.to_string())
}

fn needs(loss: LossName, source: &dyn Source) -> Result<Needs, TrainError> {
    let mut settings = LossArguments::new(loss);
    let built = match (loss, loss.trains(Inputs::Texts)) {
        // A run makes pairs of each text with itself.
        (LossName::Simcse, _) => {
            return Ok(Needs { columns: 1..=1, labels: Labels::Unused, columns_alone: usize::MAX });
        }
        (LossName::Softmax, _) => {
            settings.num_labels = Some(classes(source));
            settings.build(1, 0)?
        }
        (_, true) => settings.build(1, 0)?,
        (LossName::CrossEntropy, _) => settings.build_on_pairs(classes(source))?,
        (_, false) => settings.build_on_pairs(1)?,
    };
    let mut needs = built.needs();
    let labels_may_be_computed = match loss {
        // The width of the embeddings is that of a teacher.
        LossName::Mse => true,
        LossName::MarginMse | LossName::DistillKlDiv | LossName::GistEmbed => !source.has_labels(),
        _ => false,
    };
    if labels_may_be_computed {
        needs.labels = Labels::Unused;
    }
    Ok(needs)
}

/// Returns the number of classes by the labels.
fn classes(source: &dyn Source) -> usize {
    let greatest = || source.scores().iter().fold(0.0_f32, |most, &score| most.max(score));
    let classes = match source.label_length() {
        0 | 1 => (greatest() as usize).saturating_add(1),
        length => length,
    };
    classes.clamp(2, MOST_CLASSES)
}
