//! Losses over several layers: values and gradients by name of the reference for each family of
//! encoders, and the same bits for mini-batches, recomputation, threads and stops.

#[path = "../../model/tests/support/mod.rs"]
mod models;
mod watch;

use maana_data::{Dataset, ReadOptions};
use maana_kernels::{Context, Matrix, Rows};
use maana_model::{Activations, DropoutSeed, Trainable, TrainingModel};
use maana_text::TokenBatch;
use maana_train::loss::Embedded;
use maana_train::{Arguments, Loss, LossArguments, Outcome, Run, TrainingSet};
use models::{floats, golden, noise, read_json, write_small};
use serde_json::Value;
use std::path::Path;
use watch::Watch;

fn open(family: &str, pooling: &str) -> TrainingModel {
    let folder = tempfile::tempdir().unwrap();
    write_small(folder.path(), family, "");
    let pooling = serde_json::json!({"embedding_dimension": 24, "pooling_mode": pooling, "include_prompt": true});
    std::fs::write(folder.path().join("1_Pooling/config.json"), pooling.to_string()).unwrap();
    models::open(folder.path())
}

/// Euclidean norm, and product with the noise of the reference.
fn summary(gradient: &[f32]) -> [f64; 2] {
    let norm = gradient.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    let product = gradient.iter().zip(noise(gradient.len(), 5)).map(|(one, other)| f64::from(*one) * f64::from(other));
    [norm, product.sum()]
}

fn assert_near(what: &str, ours: [f64; 2], theirs: &Value) {
    let theirs: [f64; 2] = serde_json::from_value(theirs.clone()).unwrap();
    for (ours, other) in ours.into_iter().zip(theirs) {
        assert!((ours - other).abs() <= 1e-5 * theirs[0].max(1.0), "{what}: {ours} instead of {other}");
    }
}

#[test]
fn losses_over_layers_have_the_values_and_gradients_of_the_reference() {
    let file = read_json(&golden("layers.json"));
    let texts: Vec<Vec<String>> = serde_json::from_value(file["columns"].clone()).unwrap();
    let (classes, rows) = (floats(&file["classes"]), texts[0].len());
    let context = Context::new(2);
    for (name, case) in file["cases"].as_object().unwrap() {
        let mut model = open(case["family"].as_str().unwrap(), case["pooling"].as_str().unwrap());
        let recipe: LossArguments = serde_json::from_value(case["recipe"].clone()).unwrap();
        let loss = recipe.build_on_layers(24, model.lower_layers(), 42).unwrap();
        if let Some(layer) = loss.trained_layer() {
            let count = layer.parameters().len();
            layer.set_parameters(&noise(count, 9).into_iter().map(|value| 0.3 * value).collect::<Vec<_>>());
        }
        let mut batch = TokenBatch::new();
        for column in &texts {
            let texts: Vec<&str> = column.iter().map(String::as_str).collect();
            batch.extend(&model.spec().tokenize(&texts).unwrap());
        }
        let layers = loss.layers(0);
        assert_eq!(layers, (0..model.lower_layers()).collect::<Vec<_>>());
        let mut keep = Activations::default();
        let embeddings = model.forward_layers(&context, &batch, DropoutSeed::Off, &layers, &mut keep);
        let views: Vec<Rows<'_>> = embeddings.iter().map(Matrix::view).collect();
        let columns: Vec<Rows<'_>> =
            views.iter().flat_map(|view| [view.range(0..rows), view.range(rows..2 * rows)]).collect();
        let mut d_columns: Vec<Matrix> = columns.iter().map(|_| Matrix::zeros(rows, 24)).collect();
        let labels = Some(Rows::new(&classes, rows, 1, 1));
        let embedded = Embedded { columns: &columns, labels, pairs: &[], pass: 0, trains: true };
        let value = loss.loss(&context, &embedded, 1.0, &mut d_columns);
        let expected = case["value"].as_f64().unwrap();
        assert!((f64::from(value) - expected).abs() <= 1e-5 * expected, "{name}: {value} instead of {expected}");

        let d_embeddings: Vec<f32> = d_columns.iter().flat_map(|column| column.data().iter().copied()).collect();
        let d_embeddings: Vec<Rows<'_>> =
            d_embeddings.chunks(2 * rows * 24).map(|layer| Rows::new(layer, 2 * rows, 24, 24)).collect();
        model.backward_layers_part(&context, &batch, DropoutSeed::Off, &layers, &mut keep, &d_embeddings);
        model.finish_parts(&context, &mut keep);
        for tensor in model.tensors() {
            let theirs = &case["gradients"][&tensor.name];
            assert_near(&format!("{name}: {}", tensor.name), summary(&model.gradients()[tensor.range.clone()]), theirs);
        }
        if let Some(layer) = loss.trained_layer() {
            let (gradients, weights) = (layer.gradients(), layer.inputs * layer.outputs);
            assert_near("classifier.weight", summary(&gradients[..weights]), &case["gradients"]["classifier.weight"]);
            assert_near("classifier.bias", summary(&gradients[weights..]), &case["gradients"]["classifier.bias"]);
        }
    }
}

#[test]
fn a_model_cut_behind_a_layer_has_the_embeddings_of_that_layer() {
    let (context, folder) = (Context::new(1), tempfile::tempdir().unwrap());
    write_small(folder.path(), "bert", "");
    let model = models::open(folder.path());
    let path = folder.path().join("config.json");
    let mut config = read_json(&path);
    config["num_hidden_layers"] = 1.into();
    std::fs::write(&path, config.to_string()).unwrap();
    let cut = models::open(folder.path());
    let batch = model.spec().tokenize(&["the house of the king", "water"]).unwrap();
    let layers = model.forward_layers(&context, &batch, DropoutSeed::Off, &[1], &mut Activations::default());
    let embeddings = cut.forward(&context, &batch, DropoutSeed::Off, &mut Activations::default());
    assert_eq!(layers[1].data(), embeddings.data());
    assert!(layers[0].data() != embeddings.data());
}

/// Rows of pairs with a class.
struct Data {
    /// Holds the file of the rows.
    _folder: tempfile::TempDir,
    source: Dataset,
}

impl Data {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let words = ["the house", "water", "north and south", "the king of the river", "west", "a", "the sea"];
        let row = |row: usize| {
            let text = |at: usize| format!("{} {}", words[(row * 3 + at) % 7], words[(row * row + 5 * at) % 7]);
            format!("{}\n", serde_json::json!({"one": text(0), "other": text(1), "label": row % 3}))
        };
        let file = folder.path().join("rows.jsonl");
        std::fs::write(&file, (0..23).map(row).collect::<String>()).unwrap();
        Self { source: Dataset::open(&[file], ReadOptions::default()).unwrap(), _folder: folder }
    }

    fn train(
        &self,
        model: &mut TrainingModel,
        recipe: &str,
        arguments: &Arguments,
        threads: usize,
        watch: &mut Watch,
        folder: Option<(&Path, bool)>,
    ) -> Outcome {
        let settings: LossArguments = serde_json::from_str(recipe).unwrap();
        let loss: Box<dyn Loss> = settings.build_on_layers(24, model.lower_layers(), arguments.seed).unwrap();
        let (context, tokenizer) = (Context::new(threads), model.spec().tokenizer());
        let sets = [TrainingSet::new(&self.source, &*loss)];
        let run = Run {
            folder: folder.map(|(folder, _)| folder),
            resume: folder.is_some_and(|(_, resume)| resume),
            ..Run::new(&context, &sets, |texts: &[&str]| tokenizer.encode(texts, 30), arguments)
        };
        run.train(model, watch).unwrap()
    }
}

const RANKING: &str = r#"{"name": "multiple_negatives_ranking", "matryoshka_dims": [24, 8], "n_dims_per_step": 1,
    "adaptive_layers": {"n_layers_per_step": 1}}"#;
const SOFTMAX: &str = r#"{"name": "softmax", "num_labels": 3, "adaptive_layers": {"n_layers_per_step": "all"}}"#;

fn arguments() -> Arguments {
    Arguments {
        max_steps: Some(5),
        batch_size: 7,
        gradient_accumulation_steps: 2,
        learning_rate: 2e-3,
        log_every: 1.into(),
        ..Arguments::default()
    }
}

fn bits(model: &TrainingModel) -> Vec<u32> {
    model.parameters().iter().map(|value| value.to_bits()).collect()
}

#[test]
fn layers_give_the_same_bits_in_mini_batches_recomputed_and_with_any_number_of_threads() {
    let data = Data::new();
    for (family, pooling) in [("bert", "mean"), ("bert", "cls"), ("mpnet", "mean"), ("modernbert", "cls")] {
        for recipe in [RANKING, SOFTMAX] {
            let run = |arguments: &Arguments, threads: usize, recompute: bool| {
                let mut model = open(family, pooling);
                model.set_gradient_checkpointing(recompute);
                data.train(&mut model, recipe, arguments, threads, &mut Watch::default(), None);
                bits(&model)
            };
            let whole = run(&arguments(), 1, false);
            assert!(whole != bits(&open(family, pooling)));
            assert!(run(&arguments(), 3, true) == whole, "{family}: recomputed");
            let in_parts = Arguments { mini_batch_size: Some(3), ..arguments() };
            assert!(run(&in_parts, 2, false) == whole, "{family}: in mini-batches");
        }
    }
}

#[test]
fn stopped_after_every_micro_batch_a_run_over_layers_ends_with_the_same_bits() {
    let data = Data::new();
    for recipe in [RANKING, SOFTMAX] {
        let mut whole = open("bert", "mean");
        data.train(&mut whole, recipe, &arguments(), 2, &mut Watch::default(), None);
        let folder = tempfile::tempdir().unwrap();
        for call in 0.. {
            let mut model = open("bert", "mean");
            let mut watch = Watch { stop_after: Some(1), ..Watch::default() };
            let to = Some((folder.path(), call > 0));
            if let Outcome::Finished(_) = data.train(&mut model, recipe, &arguments(), 1, &mut watch, to) {
                assert!(bits(&model) == bits(&whole), "{recipe}");
                break;
            }
        }
    }
}

#[test]
fn models_without_lower_layers_are_refused_by_name() {
    let settings: LossArguments = serde_json::from_str(RANKING).unwrap();
    let Err(error) = settings.build(24, 42) else { panic!("a loss over layers that do not exist") };
    assert!(error.to_string().contains("`adaptive_layers`") && error.to_string().contains("Router"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    models::copy_folder(&golden("router"), folder.path());
    models::copy_folder(&golden("tiny-bert"), &folder.path().join("document_0_Transformer"));
    assert_eq!(models::open(folder.path()).lower_layers(), 0, "a model with a Router");
}
