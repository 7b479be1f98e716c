//! Gradients of the whole model: against finite differences in f64, and the same bits for any
//! number of threads.

mod support;

use maana_kernels::{Context, InstructionSet, Matrix, Precision};
use maana_model::{Activations, DropoutSeed, PassLimit, Trainable, TrainingModel};
use maana_text::TokenBatch;
use serde_json::json;
use support::plain::{Plain, PlainPooling};
use support::{backward, copy_folder, golden, noise, nudge, open, tiny, write_small};

const TEXTS: [&str; 4] = ["the house of the king", "", "water", "north and south and east and west"];

fn upstream(rows: usize, columns: usize) -> Matrix {
    Matrix::from_vec(rows, columns, noise(rows * columns, 3))
}

fn gradients(model: &mut TrainingModel, batch: &TokenBatch, threads: usize, dropout: DropoutSeed) -> Vec<f32> {
    let context = Context::new(threads);
    let mut keep = Activations::default();
    let embeddings = model.forward(&context, batch, dropout, &mut keep);
    let d_embeddings = upstream(embeddings.rows(), embeddings.columns());
    backward(model, &context, batch, dropout, &mut keep, d_embeddings.view())
}

fn check_against_finite_differences(model: &mut TrainingModel, pooling: PlainPooling) {
    let batch = model.spec().tokenize(&TEXTS).unwrap();
    let ours = gradients(model, &batch, 2, DropoutSeed::Off);
    let d_embeddings = upstream(TEXTS.len(), model.dimension());
    let mut plain = Plain::of(model, pooling);
    let value = |plain: &Plain| -> f64 {
        (0..batch.sequences())
            .map(|row| {
                let embedding = plain.embed(batch.sequence(row));
                embedding.iter().zip(d_embeddings.row(row)).map(|(e, d)| e * f64::from(*d)).sum::<f64>()
            })
            .sum()
    };
    let mut compared = 0;
    for tensor in model.tensors() {
        // The largest gradient of the tensor, and some places spread over it.
        let largest = tensor.range.clone().max_by(|a, b| ours[*a].abs().total_cmp(&ours[*b].abs())).unwrap();
        let spread = (0..4).map(|part| tensor.range.start + part * (tensor.range.len() - 1) / 3);
        for index in spread.chain([largest]) {
            let kept = plain.parameters[index];
            let step = 1e-5;
            plain.parameters[index] = kept + step;
            let above = value(&plain);
            plain.parameters[index] = kept - step;
            let below = value(&plain);
            plain.parameters[index] = kept;
            let expected = (above - below) / (2.0 * step);
            let tolerance = 1e-5 + 1e-4 * expected.abs();
            assert!(
                (f64::from(ours[index]) - expected).abs() < tolerance,
                "{} at {}: {} is not {expected}",
                tensor.name,
                index - tensor.range.start,
                ours[index]
            );
            compared += 1;
        }
    }
    println!("{compared} gradients agree with finite differences");
}

#[test]
fn tiny_bert_with_cls_pooling() {
    check_against_finite_differences(&mut tiny(), PlainPooling::Cls);
}

#[test]
fn every_family_with_mean_pooling() {
    for model_type in ["bert", "roberta", "camembert", "xlm-roberta", "distilbert", "mpnet", "modernbert"] {
        let folder = tempfile::tempdir().unwrap();
        write_small(folder.path(), model_type, "");
        check_against_finite_differences(&mut open(folder.path()), PlainPooling::Mean);
    }
}

#[test]
fn every_activation() {
    for name in ["gelu_new", "relu", "silu", "tanh", "sigmoid", "linear"] {
        let folder = tempfile::tempdir().unwrap();
        write_small(folder.path(), "bert", "");
        let path = folder.path().join("config.json");
        let mut config = support::read_json(&path);
        config["hidden_act"] = name.into();
        std::fs::write(&path, config.to_string()).unwrap();
        check_against_finite_differences(&mut open(folder.path()), PlainPooling::Mean);
    }
}

fn long_batch(model: &TrainingModel) -> TokenBatch {
    let texts: Vec<String> = (0..40usize).map(|i| "the house of water ".repeat(i % 9)).collect();
    model.spec().tokenize(&texts.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
}

#[test]
fn gradients_are_the_same_bits_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    write_small(folder.path(), "bert", "");
    for mut model in [tiny(), open(folder.path())] {
        let batch = long_batch(&model);
        for dropout in [DropoutSeed::Off, DropoutSeed::On { seed: 42, pass: 5, first_token: 0, first_sequence: 0 }] {
            let one = gradients(&mut model, &batch, 1, dropout);
            assert!(one.iter().any(|value| *value != 0.0));
            for threads in [2, 3] {
                assert!(gradients(&mut model, &batch, threads, dropout) == one, "{threads} threads");
            }
        }
    }
}

#[test]
fn dropout_depends_only_on_seed_and_pass() {
    let folder = tempfile::tempdir().unwrap();
    write_small(folder.path(), "bert", "");
    let model = open(folder.path());
    let (batch, context) = (long_batch(&model), Context::new(2));
    let mut keep = Activations::default();
    let mut embed = |noise| model.forward(&context, &batch, noise, &mut keep);
    let first = embed(DropoutSeed::On { seed: 1, pass: 1, first_token: 0, first_sequence: 0 });
    assert_eq!(first, embed(DropoutSeed::On { seed: 1, pass: 1, first_token: 0, first_sequence: 0 }));
    for other in [
        DropoutSeed::Off,
        DropoutSeed::On { seed: 2, pass: 1, first_token: 0, first_sequence: 0 },
        DropoutSeed::On { seed: 1, pass: 2, first_token: 0, first_sequence: 0 },
    ] {
        assert_ne!(first, embed(other));
    }
}

/// Embeddings and gradients of a batch that is computed in parts, as a training step does.
fn in_parts(
    model: &mut TrainingModel,
    context: &Context,
    batch: &TokenBatch,
    d_embeddings: &Matrix,
    limit: PassLimit,
) -> (Vec<u32>, Vec<u32>) {
    let mut keep = Activations::default();
    model.clear_gradients();
    let mut embeddings = Vec::new();
    for sequences in limit.parts(&batch.offsets, model.part_multiple()) {
        let part = batch.part(sequences.clone());
        let first_token = batch.offsets[sequences.start] as u64;
        let dropout = DropoutSeed::On { seed: 3, pass: 4, first_token, first_sequence: sequences.start as u64 };
        embeddings.extend(model.forward(context, &part, dropout, &mut keep).data().iter().map(|value| value.to_bits()));
        model.backward_part(context, &part, dropout, &mut keep, d_embeddings.view().range(sequences));
    }
    model.finish_parts(context, &mut keep);
    (embeddings, model.gradients().iter().map(|value| value.to_bits()).collect())
}

/// Dropout masks belong to a token's place in the whole batch, and every gradient is summed in one
/// order: parts of any size, any number of threads and recomputed layers change no bit, on every
/// instruction set and in both precisions, for mean pooling and for a last layer that computes
/// only one token of each text.
#[test]
fn parts_of_a_batch_have_the_same_bits_as_the_batch_at_once() {
    let cls = json!({"word_embedding_dimension": 24, "pooling_mode_cls_token": true});
    for (family, pooling) in
        [("bert", None), ("bert", Some(&cls)), ("mpnet", None), ("modernbert", None), ("modernbert", Some(&cls))]
    {
        let folder = tempfile::tempdir().unwrap();
        write_small(folder.path(), family, "");
        if let Some(pooling) = pooling {
            std::fs::write(folder.path().join("1_Pooling/config.json"), pooling.to_string()).unwrap();
        }
        let mut model = open(folder.path());
        let batch = long_batch(&model);
        let d_embeddings = upstream(batch.sequences(), model.dimension());
        for (isa, precision) in
            InstructionSet::available().into_iter().flat_map(|isa| [Precision::F32, Precision::Bf16].map(|p| (isa, p)))
        {
            model.set_precision(precision);
            model.set_gradient_checkpointing(false);
            let context = Context::with_instruction_set(1, isa);
            let whole = in_parts(&mut model, &context, &batch, &d_embeddings, PassLimit::default());
            assert!(whole.1.iter().any(|bits| *bits != 0));
            let all = PassLimit::default();
            let sizes = [1, 3, 7, 39].map(|sequences| PassLimit { sequences, ..all });
            let limits = sizes.into_iter().chain([all, PassLimit { tokens: 50, ..all }]);
            for ((index, limit), recompute) in limits.enumerate().flat_map(|limit| [(limit, false), (limit, true)]) {
                model.set_gradient_checkpointing(recompute);
                let context = Context::with_instruction_set(1 + index % 2, isa);
                let parts = in_parts(&mut model, &context, &batch, &d_embeddings, limit);
                let what = format!("{family} {} {precision:?} {recompute} {limit:?}", isa.name());
                assert!(parts.0 == whole.0, "embeddings: {what}");
                assert!(parts.1 == whole.1, "gradients: {what}");
            }
        }
    }
}

/// With dropout on, the gradient must be that of the very forward pass that was made: the masks are
/// the same in both.
#[test]
fn gradients_with_dropout_follow_the_pass_that_was_made() {
    let folder = tempfile::tempdir().unwrap();
    write_small(folder.path(), "bert", "");
    let mut model = open(folder.path());
    let (batch, context, noise) = (
        model.spec().tokenize(&TEXTS).unwrap(),
        Context::new(1),
        DropoutSeed::On { seed: 9, pass: 2, first_token: 0, first_sequence: 0 },
    );
    let ours = gradients(&mut model, &batch, 1, noise);
    let d_embeddings = upstream(TEXTS.len(), model.dimension());
    let mut keep = Activations::default();
    let mut value = |model: &mut TrainingModel, index: usize, step: f32| -> f64 {
        nudge(model, index, step);
        let embeddings = model.forward(&context, &batch, noise, &mut keep);
        nudge(model, index, -step);
        embeddings.data().iter().zip(d_embeddings.data()).map(|(e, d)| f64::from(*e) * f64::from(*d)).sum()
    };
    let tensors = model.tensors().to_vec();
    for tensor in tensors.iter().filter(|tensor| tensor.range.len() > 64) {
        let index = tensor.range.clone().max_by(|a, b| ours[*a].abs().total_cmp(&ours[*b].abs())).unwrap();
        let step = 4e-3;
        let expected = (value(&mut model, index, step) - value(&mut model, index, -step)) / (2.0 * f64::from(step));
        let difference = (f64::from(ours[index]) - expected).abs();
        assert!(difference < 2e-3 + 0.03 * expected.abs(), "{}: {} is not {expected}", tensor.name, ours[index]);
    }
}

/// A model whose embedding is one token computes only that token to the end of its last layer. The
/// same model with the mean of all tokens in addition, which no gradient reaches, computes
/// everything.
#[test]
fn a_selected_token_has_the_same_gradients_as_among_all() {
    let (batch_texts, context) = (TEXTS.map(|text| text.repeat(3)), Context::new(2));
    for key in ["pooling_mode_cls_token", "pooling_mode_lasttoken"] {
        let pooled = |mean: bool| {
            let folder = tempfile::tempdir().unwrap();
            copy_folder(&golden("tiny-bert"), folder.path());
            let pooling = json!({"word_embedding_dimension": 64, "pooling_mode_mean_tokens": mean, key: true});
            std::fs::write(folder.path().join("1_Pooling/config.json"), pooling.to_string()).unwrap();
            let modules = json!([
                {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            ]);
            std::fs::write(folder.path().join("modules.json"), modules.to_string()).unwrap();
            open(folder.path())
        };
        let (mut alone, mut among) = (pooled(false), pooled(true));
        let batch = alone.spec().tokenize(&batch_texts.each_ref().map(String::as_str)).unwrap();
        let d_embeddings = upstream(batch.sequences(), 64);
        for (precision, tolerance) in [(Precision::F32, 0.0), (Precision::Bf16, 1e-2)] {
            let dropout = DropoutSeed::On { seed: 5, pass: 6, first_token: 0, first_sequence: 0 };
            let learn = |model: &mut TrainingModel| {
                model.set_precision(precision);
                let mut keep = Activations::default();
                let mut gradients = Vec::new();
                // The second pass finds the memory of the first.
                for _ in 0..2 {
                    let embeddings = model.forward(&context, &batch, dropout, &mut keep);
                    let mut d = Matrix::zeros(embeddings.rows(), embeddings.columns());
                    // Of several modes side by side the reference's order puts the first token
                    // before the mean, the last behind.
                    let first = if key == "pooling_mode_lasttoken" { embeddings.columns() - 64 } else { 0 };
                    for (row, d) in d.data_mut().chunks_exact_mut(embeddings.columns()).enumerate() {
                        d[first..first + 64].copy_from_slice(d_embeddings.row(row));
                    }
                    gradients = backward(model, &context, &batch, dropout, &mut keep, d.view());
                }
                gradients
            };
            let (alone, among) = (learn(&mut alone), learn(&mut among));
            let largest = among.iter().fold(0.0f32, |largest, g| largest.max(g.abs()));
            assert!(largest > 0.01, "gradients of {largest}");
            for (place, (alone, among)) in alone.iter().zip(&among).enumerate() {
                assert!(
                    (alone - among).abs() <= tolerance * largest,
                    "{key} {precision:?} at {place}: {alone}, {among}"
                );
            }
        }
    }
}
