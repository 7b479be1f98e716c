//! Loss and gradients behind prompts equal those of the reference, for every pooling mode, with and
//! without the tokens of the prompt.

use maana_kernels::{Context, Matrix, Precision, Rows};
use maana_model::{Activations, DropoutSeed, Trainable, TrainingModel};
use maana_text::TokenBatch;
use maana_train::loss::Embedded;
use maana_train::{LossArguments, LossName};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(name)
}

/// Opens the small model with this pooling.
fn open(context: &Context, case: &Value) -> TrainingModel {
    let folder = tempfile::tempdir().unwrap();
    for part in ["", "1_Pooling", "2_Normalize"] {
        std::fs::create_dir_all(folder.path().join(part)).unwrap();
        for entry in std::fs::read_dir(golden("tiny-bert").join(part)).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), folder.path().join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    let pooling = serde_json::json!({
        "embedding_dimension": 64, "pooling_mode": case["pooling_mode"], "include_prompt": case["include_prompt"],
    });
    std::fs::write(folder.path().join("1_Pooling/config.json"), pooling.to_string()).unwrap();
    maana_model::open_for_training(folder.path(), context, Precision::F32).unwrap().model
}

#[test]
fn gradients_behind_prompts_equal_the_reference() {
    let golden: Value = serde_json::from_slice(&std::fs::read(golden("prompts.json")).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    let context = Context::new(2);
    for case in cases {
        let what = format!("{}, include_prompt {}", case["pooling_mode"], case["include_prompt"]);
        let mut model = open(&context, case);
        let mut batch = TokenBatch::new();
        for (number, column) in ["anchor", "positive"].into_iter().enumerate() {
            let prompt = model.spec().prompt(golden["prompts"][column].as_str().unwrap()).unwrap();
            let texts: Vec<&str> =
                golden["rows"].as_array().unwrap().iter().map(|row| row[column].as_str().unwrap()).collect();
            let tokens = prompt.tokenize(&texts, |texts| model.spec().tokenize(texts)).unwrap();
            let lengths: Vec<usize> = (0..tokens.sequences()).map(|text| tokens.length(text)).collect();
            assert_eq!(serde_json::json!(lengths), case["lengths"][number]);
            assert_eq!(serde_json::json!(tokens.prompt_lengths[0]), case["prompt_lengths"][number]);
            batch.extend(&tokens);
        }
        let mut keep = Activations::default();
        let embeddings = model.forward(&context, &batch, DropoutSeed::Off, &mut keep);
        let rows = batch.sequences() / 2;
        let columns: Vec<Rows<'_>> =
            (0..2).map(|column| embeddings.view().range(column * rows..(column + 1) * rows)).collect();
        let mut d_columns = vec![Matrix::zeros(rows, 64), Matrix::zeros(rows, 64)];
        let loss = LossArguments::new(LossName::MultipleNegativesRanking).build(64, 1).unwrap();
        let embedded = Embedded { columns: &columns, labels: None, pairs: &[], pass: 0, trains: true };
        let value = loss.loss(&context, &embedded, 1.0, &mut d_columns);
        let expected = case["loss"].as_f64().unwrap();
        assert!((f64::from(value) - expected).abs() < 1e-5 * expected, "{what}: loss {value} instead of {expected}");

        let d_embeddings: Vec<f32> = d_columns.iter().flat_map(|column| column.data().to_vec()).collect();
        let d_embeddings = Rows::new(&d_embeddings, 2 * rows, 64, 64);
        model.backward(&context, &batch, DropoutSeed::Off, &mut keep, d_embeddings);
        for (name, expected) in case["gradients"].as_object().unwrap() {
            let tensor = model.tensors().iter().find(|tensor| tensor.name.ends_with(name.as_str())).unwrap();
            let found = &model.gradients()[tensor.range.clone()];
            let expected: Vec<f64> = serde_json::from_value(expected.clone()).unwrap();
            let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            assert!(largest > 1e-3, "{what}: {name} has a gradient");
            for (found, expected) in found.iter().zip(&expected) {
                let error = (f64::from(*found) - expected).abs();
                assert!(error < 1e-5 * largest.max(1.0), "{what}: {name} {found} instead of {expected}");
            }
        }
    }
}
