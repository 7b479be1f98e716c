//! Helpers of the integration tests: golden files, made-up folders, and the encoder once more in
//! plain f64.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub mod plain;
mod plain_modern_bert;

use maana_kernels::{Context, Precision, Rows};
use maana_model::{
    Activations, DropoutSeed, InferenceModel, Opened, StatePart, Trainable, TrainingModel, WeightStorage,
};
use maana_text::TokenBatch;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(name)
}

pub fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub fn open(folder: &Path) -> TrainingModel {
    let Opened { model, .. } = maana_model::open_for_training(folder, &Context::new(1), Precision::F32).unwrap();
    model
}

/// Opens a folder to encode.
pub fn open_for_inference(
    folder: &Path,
    context: &Context,
    precision: Precision,
    storage: WeightStorage,
) -> InferenceModel {
    maana_model::open_for_inference(folder, context, precision, storage).unwrap().model
}

/// The gradients of one backward pass.
pub fn backward(
    model: &mut TrainingModel,
    context: &Context,
    batch: &TokenBatch,
    dropout: DropoutSeed,
    activations: &mut Activations,
    d_embeddings: Rows<'_>,
) -> Vec<f32> {
    model.clear_gradients();
    model.backward(context, batch, dropout, activations, d_embeddings);
    model.gradients().to_vec()
}

/// Adds `step` to one parameter.
pub fn nudge(model: &mut TrainingModel, index: usize, step: f32) {
    let value = model.parameters()[index] + step;
    model.write_state(StatePart::Parameters, index, &[value]);
}

pub fn tiny() -> TrainingModel {
    open(&golden("tiny-bert"))
}

/// Copies a folder that holds folders at most one deep.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A tensor of a safetensors file that a test writes by hand.
#[derive(Clone)]
pub struct RawTensor {
    pub dtype: &'static str,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

pub fn f32_tensor(shape: &[usize], values: &[f32]) -> RawTensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    RawTensor { dtype: "F32", shape: shape.to_vec(), bytes }
}

/// Writes a safetensors file byte by byte, independently of the library that reads it.
pub fn write_safetensors(path: &Path, tensors: &BTreeMap<String, RawTensor>) {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, tensor) in tensors {
        let start = data.len();
        data.extend_from_slice(&tensor.bytes);
        header.insert(
            name.clone(),
            json!({"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, data.len()]}),
        );
    }
    let mut header = serde_json::to_vec(&header).unwrap();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(data);
    std::fs::write(path, bytes).unwrap();
}

/// Every tensor of a safetensors file as f32.
pub fn read_safetensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = std::fs::read(path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let floats = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    tensors.tensors().into_iter().map(|(name, view)| (name, (view.shape().to_vec(), floats(view.data())))).collect()
}

/// Numbers between -1 and 1 that are the same everywhere.
pub fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// The `config.json` of a small encoder of the given family, with the vocabulary of tiny-bert.
pub fn small_config(model_type: &str) -> Value {
    match model_type {
        "distilbert" => json!({"model_type": model_type, "vocab_size": 2000, "dim": 24, "n_layers": 2, "n_heads": 3,
            "hidden_dim": 40, "max_position_embeddings": 40, "dropout": 0.1, "attention_dropout": 0.1,
            "activation": "gelu"}),
        // Texts are longer than the window.
        "modernbert" => json!({"model_type": model_type, "vocab_size": 2000, "hidden_size": 24, "num_hidden_layers": 3,
            "num_attention_heads": 3, "intermediate_size": 40, "max_position_embeddings": 40, "pad_token_id": 0,
            "local_attention": 8, "layer_types": ["full_attention", "sliding_attention", "full_attention"],
            "norm_bias": true, "attention_bias": true, "embedding_dropout": 0.1, "attention_dropout": 0.1,
            "mlp_dropout": 0.1}),
        _ => json!({"model_type": model_type, "vocab_size": 2000, "hidden_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 3, "intermediate_size": 40, "max_position_embeddings": 40, "relative_attention_num_buckets": 32, "type_vocab_size":
            if model_type == "bert" { 2 } else { 1 }, "pad_token_id": if model_type == "bert" { 0 } else { 1 },
            "hidden_act": "gelu", "layer_norm_eps": 1e-5, "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1}),
    }
}

/// Names and shapes of the tensors of [`small_config`], written down independently of the code
/// under test.
pub fn small_tensors(model_type: &str) -> BTreeMap<String, Vec<usize>> {
    let (h, i) = (24, 40);
    let mut tensors = BTreeMap::new();
    let mut add = |name: String, shape: &[usize]| tensors.insert(name, shape.to_vec());
    if model_type == "modernbert" {
        add("embeddings.tok_embeddings.weight".into(), &[2000, h]);
        let mut with_bias = |name: &str, shape: &[usize]| {
            add(format!("{name}.weight"), shape);
            add(format!("{name}.bias"), &shape[..1]);
        };
        with_bias("embeddings.norm", &[h]);
        with_bias("final_norm", &[h]);
        for layer in 0..3 {
            with_bias(&format!("layers.{layer}.attn.Wqkv"), &[3 * h, h]);
            with_bias(&format!("layers.{layer}.attn.Wo"), &[h, h]);
            with_bias(&format!("layers.{layer}.mlp_norm"), &[h]);
            if layer > 0 {
                with_bias(&format!("layers.{layer}.attn_norm"), &[h]);
            }
        }
        for layer in 0..3 {
            add(format!("layers.{layer}.mlp.Wi.weight"), &[2 * i, h]);
            add(format!("layers.{layer}.mlp.Wo.weight"), &[h, i]);
        }
        return tensors;
    }
    add("embeddings.word_embeddings.weight".into(), &[2000, h]);
    add("embeddings.position_embeddings.weight".into(), &[40, h]);
    match model_type {
        "bert" => add("embeddings.token_type_embeddings.weight".into(), &[2, h]),
        "distilbert" | "mpnet" => None,
        _ => add("embeddings.token_type_embeddings.weight".into(), &[1, h]),
    };
    add("embeddings.LayerNorm.weight".into(), &[h]);
    add("embeddings.LayerNorm.bias".into(), &[h]);
    if model_type == "mpnet" {
        add("encoder.relative_attention_bias.weight".into(), &[32, 3]);
    }
    for layer in 0..2 {
        let parts: [(&str, &[usize]); 8] = if model_type == "mpnet" {
            [
                ("encoder.layer.N.attention.attn.q", &[h, h]),
                ("encoder.layer.N.attention.attn.k", &[h, h]),
                ("encoder.layer.N.attention.attn.v", &[h, h]),
                ("encoder.layer.N.attention.attn.o", &[h, h]),
                ("encoder.layer.N.attention.LayerNorm", &[h]),
                ("encoder.layer.N.intermediate.dense", &[i, h]),
                ("encoder.layer.N.output.dense", &[h, i]),
                ("encoder.layer.N.output.LayerNorm", &[h]),
            ]
        } else if model_type == "distilbert" {
            [
                ("transformer.layer.N.attention.q_lin", &[h, h]),
                ("transformer.layer.N.attention.k_lin", &[h, h]),
                ("transformer.layer.N.attention.v_lin", &[h, h]),
                ("transformer.layer.N.attention.out_lin", &[h, h]),
                ("transformer.layer.N.sa_layer_norm", &[h]),
                ("transformer.layer.N.ffn.lin1", &[i, h]),
                ("transformer.layer.N.ffn.lin2", &[h, i]),
                ("transformer.layer.N.output_layer_norm", &[h]),
            ]
        } else {
            [
                ("encoder.layer.N.attention.self.query", &[h, h]),
                ("encoder.layer.N.attention.self.key", &[h, h]),
                ("encoder.layer.N.attention.self.value", &[h, h]),
                ("encoder.layer.N.attention.output.dense", &[h, h]),
                ("encoder.layer.N.attention.output.LayerNorm", &[h]),
                ("encoder.layer.N.intermediate.dense", &[i, h]),
                ("encoder.layer.N.output.dense", &[h, i]),
                ("encoder.layer.N.output.LayerNorm", &[h]),
            ]
        };
        for (name, shape) in parts {
            let name = name.replacen("N.", &format!("{layer}."), 1);
            add(format!("{name}.weight"), shape);
            add(format!("{name}.bias"), &shape[..1]);
        }
    }
    tensors
}

/// Writes a folder with a small encoder of the given family: mean pooling and normalisation.
pub fn write_small(folder: &Path, model_type: &str, prefix: &str) {
    std::fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    let write = |name: &str, json: Value| std::fs::write(folder.join(name), json.to_string()).unwrap();
    write("config.json", small_config(model_type));
    write(
        "modules.json",
        json!([
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ]),
    );
    write("1_Pooling/config.json", json!({"word_embedding_dimension": 24, "pooling_mode_mean_tokens": true}));
    write("sentence_bert_config.json", json!({"max_seq_length": 30, "do_lower_case": false}));
    std::fs::copy(golden("tiny-bert/tokenizer.json"), folder.join("tokenizer.json")).unwrap();
    let mut tensors = BTreeMap::new();
    for (number, (name, shape)) in small_tensors(model_type).into_iter().enumerate() {
        let norm = name.contains("LayerNorm.weight") || name.ends_with("norm.weight");
        let values: Vec<f32> = noise(shape.iter().product(), number as u64 + 7)
            .into_iter()
            .map(|value| if norm { 1.0 + 0.2 * value } else { 0.3 * value })
            .collect();
        tensors.insert(format!("{prefix}{name}"), f32_tensor(&shape, &values));
    }
    write_safetensors(&folder.join("model.safetensors"), &tensors);
}

/// The numbers of a JSON list, or of lists of lists, in order.
pub fn floats(json: &Value) -> Vec<f32> {
    match json {
        Value::Array(items) => items.iter().flat_map(floats).collect(),
        number => vec![number.as_f64().unwrap() as f32],
    }
}

/// Checks that numbers differ from those of the reference by less than 1e-5, and those greater than
/// 1 by less than this part.
pub fn assert_close(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let difference = (ours - theirs).abs() / theirs.abs().max(1.0);
        assert!(difference < 1e-5, "{what}[{index}] is {ours} instead of {theirs}");
    }
}

/// As [`assert_close`], also for numbers greater than 1.
pub fn assert_close_absolutely(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let farthest = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(farthest < 1e-5, "{what} differs by {farthest}");
}
