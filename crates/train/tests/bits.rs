//! The bits of embeddings and of trained weights: the same on every instruction set, operating
//! system and number of threads. The tests run on every instruction set that the machine has, and
//! `cargo xtask emulate neon` runs them on an emulated Arm processor. After an intended change of
//! bits the new hashes are in the messages of the failures.

use maana_data::{Dataset, ReadOptions};
use maana_kernels::{Context, InstructionSet, Precision};
use maana_model::{TextEncoder, TrainingModel, WeightStorage};
use maana_train::{
    Arguments, BatchSampler, Failure, LossArguments, LossName, Observer, Outcome, Run, Schedule, TrainingSet,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const EMBEDDINGS_F32: &str = "6a5c670331ee2cd5a401ad6f59f78980db05d0a1f6222ef5b97f70ed2597c61f";
const EMBEDDINGS_BF16: &str = "dfdc4e4a7c78311244e205c0f809dedc4d9a55f0208de3d0eda6f57ff032bdc7";
const EMBEDDINGS_INT8: &str = "80e652d4cf5d47fa637c7c8ec54a4d835dad5a69348eebbf0b2d855008fd5abb";
const WEIGHTS_PAIRS: &str = "6d48b40516f2818660d49d29c0217924088f171824726067d4b7d4d61a88242b";
const WEIGHTS_SCORES: &str = "573beb3d32fee00da927a6d780c22345ede460072a3ff2b74bfe4906db77295c";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(name)).unwrap()).unwrap()
}

fn hash(values: &[f32]) -> String {
    let mut hasher = Sha256::new();
    values.iter().for_each(|value| hasher.update(value.to_le_bytes()));
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks the hash of the values that `compute` returns on every instruction set that the machine
/// has.
fn check(what: &str, expected: &str, compute: impl Fn(&Context) -> Vec<f32>) {
    for isa in InstructionSet::available() {
        let found = hash(&compute(&Context::with_instruction_set(2, isa)));
        assert_eq!(found, expected, "{what} on {}: other bits than everywhere else", isa.name());
        println!("bits of {what}: {} checked", isa.name());
    }
}

/// Returns the embeddings of the golden texts, which include an empty and a long one.
fn embeddings(context: &Context, precision: Precision) -> Vec<f32> {
    let golden_file = json("tiny_encode.json");
    let texts: Vec<&str> =
        golden_file["rows"].as_array().unwrap().iter().map(|row| row["text"].as_str().unwrap()).collect();
    let folder = golden("tiny-bert");
    let opened = maana_model::open_for_inference(&folder, context, precision, WeightStorage::Packed).unwrap();
    TextEncoder::new(opened.model, context).unwrap().embed(&texts, "").unwrap().data().to_vec()
}

#[test]
fn embeddings_in_f32_are_the_same_bits_everywhere() {
    check("embeddings in f32", EMBEDDINGS_F32, |context| embeddings(context, Precision::F32));
}

#[test]
fn embeddings_in_int8_are_the_same_bits_everywhere() {
    check("embeddings in int8", EMBEDDINGS_INT8, |context| embeddings(context, Precision::Int8));
}

/// Instructions for bf16 add two products before they round, and treat subnormal numbers as 0.
#[test]
fn embeddings_in_bf16_are_the_same_bits_without_instructions_for_bf16() {
    for isa in InstructionSet::available() {
        let found = hash(&embeddings(&Context::with_instruction_set(2, isa), Precision::Bf16));
        if isa.has_bf16() {
            assert_ne!(found, EMBEDDINGS_BF16, "instructions for bf16 round as others do: say so in ARCHITECTURE.md");
        } else {
            assert_eq!(found, EMBEDDINGS_BF16, "embeddings in bf16 on {}: other bits than elsewhere", isa.name());
            println!("bits of embeddings in bf16: {} checked", isa.name());
        }
    }
}

struct Silent;

impl Observer<TrainingModel> for Silent {
    fn evaluate(&mut self, _: &TrainingModel, _: u64, _: f64) -> Result<Vec<(String, f64)>, Failure> {
        Ok(Vec::new())
    }

    fn save_model(&mut self, _: &TrainingModel, _: &Path) -> Result<(), Failure> {
        Ok(())
    }
}

/// Returns the parameters of tiny-bert, with dropout, after a few updates on the rows, with the
/// changed arguments.
fn trained(context: &Context, rows: &[Value], loss: &LossArguments, change: impl Fn(&mut Arguments)) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    for name in
        ["model.safetensors", "modules.json", "tokenizer.json", "tokenizer_config.json", "1_Pooling/config.json"]
    {
        std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        std::fs::copy(golden("tiny-bert").join(name), folder.path().join(name)).unwrap();
    }
    std::fs::create_dir(folder.path().join("2_Normalize")).unwrap();
    let mut config = json("tiny-bert/config.json");
    for name in ["hidden_dropout_prob", "attention_probs_dropout_prob"] {
        config[name] = 0.1.into();
    }
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let file = folder.path().join("rows.jsonl");
    std::fs::write(&file, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();

    let source = Dataset::open(&[file], ReadOptions::default()).unwrap();
    let mut model = maana_model::open_for_training(folder.path(), context, Precision::F32).unwrap().model;
    let mut arguments = Arguments {
        max_steps: Some(8),
        batch_size: 6,
        gradient_accumulation_steps: 2,
        learning_rate: 2e-3,
        weight_decay: 0.01,
        warmup_steps: 2,
        schedule: Schedule::Cosine,
        batch_sampler: BatchSampler::NoDuplicates,
        ..Arguments::default()
    };
    change(&mut arguments);
    model.set_gradient_checkpointing(arguments.gradient_checkpointing);
    let (loss, tokenizer) = (loss.build(64, arguments.seed).unwrap(), model.spec().tokenizer());
    let tokenize = |texts: &[&str]| tokenizer.encode(texts, 128);
    let sets = [TrainingSet::new(&source, loss.as_ref())];
    let run = Run::new(context, &sets, tokenize, &arguments);
    let outcome = run.train(&mut model, &mut Silent).unwrap();
    assert!(matches!(outcome, Outcome::Finished(record) if record.steps == 8));
    model.parameters().to_vec()
}

#[test]
fn weights_after_training_on_pairs_are_the_same_bits_everywhere() {
    let (rows, loss) = pairs();
    check("weights trained on pairs", WEIGHTS_PAIRS, |context| trained(context, &rows, &loss, |_| {}));
}

/// Mini-batches and recomputed layers change no bit, with dropout.
#[test]
fn weights_after_training_in_mini_batches_are_the_same_bits_everywhere() {
    let (rows, loss) = pairs();
    let check = |what: &str, change: &dyn Fn(&mut Arguments)| {
        check(what, WEIGHTS_PAIRS, |context| trained(context, &rows, &loss, change));
    };
    for size in [1, 3, 7] {
        check("weights trained in mini-batches", &|arguments| arguments.mini_batch_size = Some(size));
    }
    check("weights trained in mini-batches of tokens", &|arguments| arguments.mini_batch_tokens = Some(60));
    check("weights trained with recomputed layers", &|arguments| arguments.gradient_checkpointing = true);
    check("weights trained with both", &|arguments| {
        (arguments.mini_batch_size, arguments.gradient_checkpointing) = (Some(4), true);
    });
}

fn pairs() -> (Vec<Value>, LossArguments) {
    let loss = LossArguments {
        matryoshka_dims: Some(vec![64, 32, 16]),
        ..LossArguments::new(LossName::MultipleNegativesRanking)
    };
    (json("st301/run.json")["rows"].as_array().unwrap().clone(), loss)
}

#[test]
fn weights_after_training_on_scores_are_the_same_bits_everywhere() {
    let rows = json("st301/run.json")["rows"].as_array().unwrap().clone();
    let scored = |(number, row): (usize, &Value)| {
        let score = (number * 7 % 11) as f64 / 10.0;
        serde_json::json!({"sentence1": row["anchor"], "sentence2": row["positive"], "score": score})
    };
    let rows: Vec<Value> = rows.iter().enumerate().map(scored).collect();
    let loss = LossArguments::new(LossName::Cosent);
    check("weights trained on scores", WEIGHTS_SCORES, |context| {
        trained(context, &rows, &loss, |arguments| arguments.schedule = Schedule::Linear)
    });
}
