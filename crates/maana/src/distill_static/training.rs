//! Training of a distilled table: the embedding of each text approaches that of the encoder,
//! reduced to the components of the table. The loss is the mean squared distance of both, which
//! have length 1.

use super::error::DistillError;
use super::settings::{Progress, Settings};
use maana_files::SplitMix64;
use maana_kernels::{Context, Matrix, normalized};
use maana_model::{Activations, DropoutSeed, Trainable, TrainingModel};
use maana_text::TokenBatch;

/// Texts of an update.
const BATCH: usize = 256;
/// Tokens of a text that are read.
const LONGEST: usize = 1 << 12;

/// Trains the model on `texts` with `targets`, `(texts, dimension)`. The learning rate decreases
/// linearly to 0.
pub(super) fn train(
    model: &mut TrainingModel,
    context: &Context,
    texts: &[String],
    targets: &Matrix,
    settings: &Settings,
    notify: &mut dyn FnMut(Progress),
) -> Result<(), DistillError> {
    let tokenizer = model.spec().tokenizer();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let tokens = tokenizer.encode(&texts, LONGEST)?;
    let targets = normalized(context, targets.view());
    let mut order: Vec<usize> = (0..texts.len()).collect();
    let mut random = SplitMix64::spread(settings.seed);
    let updates = (settings.epochs * texts.len().div_ceil(BATCH)) as u64;
    let (mut activations, mut step) = (Activations::default(), 0);
    for epoch in 0..settings.epochs {
        shuffle(&mut order, &mut random);
        let mut cosines = 0.0;
        for rows in order.chunks(BATCH) {
            let mut batch = TokenBatch::new();
            rows.iter().for_each(|row| batch.extend_with(&tokens, *row..*row + 1));
            let embeddings = model.forward(context, &batch, DropoutSeed::Off, &mut activations);
            let (gradient, cosine) = gradient(&embeddings, &targets, rows);
            cosines += cosine;
            model.backward(context, &batch, DropoutSeed::Off, &mut activations, gradient.view());
            step += 1;
            let learning_rate = settings.learning_rate * (1.0 - (step - 1) as f64 / updates as f64);
            model.update(context, step, learning_rate, 1.0);
        }
        notify(Progress::Epoch(epoch + 1, cosines / texts.len().max(1) as f64));
    }
    Ok(())
}

/// Returns the gradient of the mean squared distance, and the sum of the cosines.
fn gradient(embeddings: &Matrix, targets: &Matrix, rows: &[usize]) -> (Matrix, f64) {
    let mut gradient = Matrix::zeros(embeddings.rows(), embeddings.columns());
    let mut cosines = 0.0;
    for (place, row) in rows.iter().enumerate() {
        let (ours, target) = (embeddings.row(place), targets.row(*row));
        for ((d, &ours), &target) in gradient.row_mut(place).iter_mut().zip(ours).zip(target) {
            *d = 2.0 * (ours - target) / rows.len() as f32;
            cosines += f64::from(ours) * f64::from(target);
        }
    }
    (gradient, cosines)
}

/// Draws a random order (Fisher and Yates).
fn shuffle(order: &mut [usize], random: &mut SplitMix64) {
    for last in (1..order.len()).rev() {
        order.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
    }
}
