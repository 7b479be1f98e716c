//! Golden bits of every family of encoders: fingerprints, embeddings in each precision, and weights
//! after three updates with dropout. A refactoring must change none of them. Where instructions for
//! bf16 exist, bf16 has bits of its own and is left out.

mod support;

use maana_kernels::{AdamW, Context, InstructionSet, Matrix, Precision};
use maana_model::{Activations, DropoutSeed, InferenceModel, TextEncoder, Trainable, WeightStorage};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::Path;
use support::{noise, open, open_for_inference, write_small};

const TEXTS: [&str; 5] =
    ["the house of the king", "", "water", "north and south and east and west", "far away from here now"];

fn hash(values: &[f32]) -> String {
    let mut hasher = Sha256::new();
    values.iter().for_each(|value| hasher.update(value.to_le_bytes()));
    hasher.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(folder: &Path, family: &str, pooling: &str) {
    write_small(folder, family, "");
    let pooling = json!({"word_embedding_dimension": 24, "pooling_mode_mean_tokens": false, pooling: true});
    std::fs::write(folder.join("1_Pooling/config.json"), pooling.to_string()).unwrap();
}

fn embeddings(model: InferenceModel) -> Vec<f32> {
    TextEncoder::new(model, &Context::new(2)).unwrap().embed(&TEXTS, "").unwrap().data().to_vec()
}

fn trained(folder: &Path, precision: Precision) -> Vec<f32> {
    let context = Context::new(2);
    let mut model = maana_model::open_for_training(folder, &context, precision).unwrap().model;
    let batch = model.spec().tokenize(&TEXTS).unwrap();
    let mut activations = Activations::default();
    for step in 1..=3 {
        let dropout = DropoutSeed::On { seed: 3, pass: step, first_token: 0 };
        let embeddings = model.forward(&context, &batch, dropout, &mut activations);
        let (rows, columns) = (embeddings.rows(), embeddings.columns());
        let upstream = Matrix::from_vec(rows, columns, noise(rows * columns, step));
        model.backward(&context, &batch, dropout, &mut activations, upstream.view());
        let settings = AdamW { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, step };
        model.update(&context, &settings, 1.0);
    }
    model.parameters().to_vec()
}

#[test]
fn bits_of_every_family_are_pinned() {
    let mut found = String::new();
    for family in ["bert", "roberta", "camembert", "xlm-roberta", "distilbert", "mpnet"] {
        for pooling in ["pooling_mode_mean_tokens", "pooling_mode_cls_token"] {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), family, pooling);
            let fingerprint = open(folder.path()).fingerprint();
            let fingerprint: String = fingerprint[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            found.push_str(&format!("{family} {pooling} fingerprint {fingerprint}\n"));
            for precision in [Precision::F32, Precision::Int8, Precision::Bf16] {
                if precision == Precision::Bf16 && InstructionSet::active().has_bf16() {
                    println!("skipped: {} multiplies bf16 in a way of its own", InstructionSet::active().name());
                    continue;
                }
                let context = Context::new(2);
                let [packed, mapped] = [WeightStorage::Packed, WeightStorage::Mapped]
                    .map(|storage| embeddings(open_for_inference(folder.path(), &context, precision, storage)));
                let training = maana_model::open_for_training(folder.path(), &context, precision).unwrap().model;
                assert!(packed == mapped, "{family}");
                assert!(packed == embeddings(training.inference()), "{family}");
                let name = precision.name();
                found.push_str(&format!("{family} {pooling} {name} embeddings {}\n", hash(&packed)));
                if precision != Precision::Int8 {
                    let weights = hash(&trained(folder.path(), precision));
                    found.push_str(&format!("{family} {pooling} {name} weights {weights}\n"));
                }
            }
        }
    }
    let pinned = include_str!("pins.txt");
    let missing: Vec<&str> = found.lines().filter(|line| !pinned.lines().any(|pin| pin == *line)).collect();
    assert!(
        missing.is_empty(),
        "bits that are not those of pins.txt on {}:\n{}",
        InstructionSet::active().name(),
        missing.join("\n")
    );
}
