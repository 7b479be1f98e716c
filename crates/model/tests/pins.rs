//! Golden bits of every family of encoders: fingerprints, embeddings in each precision, and weights
//! after three updates with dropout. A refactoring must change none of them. Where instructions for
//! bf16 exist, bf16 has bits of its own and is left out.

mod support;

use maana_kernels::{Context, InstructionSet, Matrix, Precision};
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

fn embeddings(model: InferenceModel, context: &Context) -> Vec<f32> {
    TextEncoder::new(model, context).unwrap().embed(&TEXTS, "").unwrap().data().to_vec()
}

fn trained(folder: &Path, context: &Context, precision: Precision) -> Vec<f32> {
    let mut model = maana_model::open_for_training(folder, context, precision).unwrap().model;
    let batch = model.spec().tokenize(&TEXTS).unwrap();
    let mut activations = Activations::default();
    for step in 1..=3 {
        let dropout = DropoutSeed::On { seed: 3, pass: step, first_token: 0, first_sequence: 0 };
        let embeddings = model.forward(context, &batch, dropout, &mut activations);
        let (rows, columns) = (embeddings.rows(), embeddings.columns());
        let upstream = Matrix::from_vec(rows, columns, noise(rows * columns, step));
        model.backward(context, &batch, dropout, &mut activations, upstream.view());
        model.update(context, step, 1e-3, 1.0);
    }
    model.parameters().to_vec()
}

/// Returns the lines of a folder for one instruction set: the fingerprint, and a hash for each
/// precision of embeddings and of weights.
fn lines(folder: &Path, isa: InstructionSet) -> Vec<String> {
    let context = Context::with_instruction_set(2, isa);
    let fingerprint: String = open(folder).fingerprint()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut lines = vec![format!("fingerprint {fingerprint}")];
    for precision in [Precision::F32, Precision::Int8, Precision::Bf16] {
        if precision == Precision::Bf16 && isa.has_bf16() {
            println!("skipped: {} multiplies bf16 in a way of its own", isa.name());
            continue;
        }
        let [packed, mapped] = [WeightStorage::Packed, WeightStorage::Mapped]
            .map(|storage| embeddings(open_for_inference(folder, &context, precision, storage), &context));
        let training = maana_model::open_for_training(folder, &context, precision).unwrap().model;
        assert!(packed == mapped, "{}", isa.name());
        assert!(packed == embeddings(training.inference(), &context), "{}", isa.name());
        lines.push(format!("{} embeddings {}", precision.name(), hash(&packed)));
        if precision != Precision::Int8 {
            lines.push(format!("{} weights {}", precision.name(), hash(&trained(folder, &context, precision))));
        }
    }
    lines
}

#[test]
fn bits_of_every_family_are_pinned() {
    let pinned = include_str!("pins.txt");
    let mut missing = String::new();
    for family in ["bert", "roberta", "camembert", "xlm-roberta", "distilbert", "mpnet", "modernbert"] {
        for pooling in ["pooling_mode_mean_tokens", "pooling_mode_cls_token"] {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), family, pooling);
            for isa in InstructionSet::available() {
                let lines = lines(folder.path(), isa).into_iter().map(|line| format!("{family} {pooling} {line}"));
                for line in lines.filter(|line| !pinned.lines().any(|pin| pin == line)) {
                    missing.push_str(&format!("{}: {line}\n", isa.name()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "bits that are not those of pins.txt:\n{missing}");
}
