//! Folders of low-rank adapters as PEFT writes them: `adapter_config.json` and
//! `adapter_model.safetensors` or `adapter_model.bin`, with or without the modules of Sentence
//! Transformers.

use super::head::name_in_file;
use super::modules::{read_modules, transformer_folder};
use super::scoring::is_cross_encoder;
use super::tensor_file;
use super::weight_paths::{ADAPTER, adapter_path};
use super::written::{write_json, write_tensors};
use crate::json::{Fields, read_object};
use crate::lora::{AdaptedTower, Lora, adapter_name, add_product};
use crate::spec::ModelSpec;
use crate::weights::{Layout, StoredTensor, is_floating, to_floats};
use crate::{LoraSettings, ModelError};
use maana_files::MappedFile;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const CONFIG: &str = "adapter_config.json";
/// The prefix of PEFT's names.
const PREFIX: &str = "base_model.model.";

/// Returns the names or the paths of the base models of a folder of adapters: one, or with a router
/// one for each tower with adapters, in the order of the routes. None for other folders.
///
/// # Errors
/// Returns an error if the folder's files are malformed.
pub fn adapter_bases(folder: &Path) -> Result<Vec<String>, ModelError> {
    let mut bases = Vec::new();
    for place in encoder_folders(folder)? {
        let path = place.join(CONFIG);
        if let Some(json) = read_object(&path)? {
            bases.push(Fields { json: &json, path: &path }.text("base_model_name_or_path")?.to_owned());
        }
    }
    Ok(bases)
}

/// Returns the folders of the encoder, or with a router those of each tower.
fn encoder_folders(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    if !folder.join("modules.json").exists() || is_cross_encoder(folder)? {
        return Ok(vec![transformer_folder(folder)?]);
    }
    let lists = read_modules(folder, &mut Vec::new())?.lists;
    Ok(lists.into_iter().map(|list| folder.join(list.transformer)).collect())
}

/// Returns whether the folder of an encoder holds adapters.
pub(super) fn is_adapter(transformer: &Path) -> bool {
    transformer.join(CONFIG).exists()
}

/// Returns an error if a folder holds adapters, which would change every layer.
pub(super) fn refuse_adapter(transformer: &Path) -> Result<(), ModelError> {
    if !is_adapter(transformer) {
        return Ok(());
    }
    let path = transformer.join(CONFIG);
    let what = "an adapter (PEFT) in place of a whole model";
    Err(ModelError::Unsupported { path, what: what.into(), supported: "an adapter with its base model".into() })
}

/// Adds the adapters in the folder of an encoder to the parameters of its base model. Names of
/// tensors may begin with `prefix`.
///
/// # Errors
/// Returns an error if the files are malformed, do not fit the model, or ask for something that is
/// not supported.
pub(super) fn merge(folder: &Path, prefix: &str, layout: &Layout, parameters: &mut [f32]) -> Result<(), ModelError> {
    let scale = read_scale(&folder.join(CONFIG))?;
    let path = adapter_path(folder)?;
    let (file, stored) = tensor_file::open(&path)?;
    let mut tensors = BTreeMap::new();
    for (name, tensor) in &stored {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        tensors.insert(name.strip_prefix(prefix).unwrap_or(name), tensor);
    }
    for linear in &layout.linears {
        for tensor in &layout.tensors[linear.weight.tensors.clone()] {
            let [a, b] = ["A", "B"].map(|part| adapter_name(&tensor.name, part));
            let (a, b) = match (tensors.remove(&*a), tensors.remove(&*b)) {
                (None, None) => continue,
                (Some(a), Some(b)) => (a, b),
                (Some(_), None) => return Err(ModelError::invalid(&path, format!("tensor `{PREFIX}{b}` is missing"))),
                (None, Some(_)) => return Err(ModelError::invalid(&path, format!("tensor `{PREFIX}{a}` is missing"))),
            };
            let [outputs, inputs] = tensor.shape[..] else { unreachable!("the weight of a linear layer") };
            let rank = a.shape.first().copied().unwrap_or_default();
            if rank == 0 || a.shape != [rank, inputs] || b.shape != [outputs, rank] {
                let reason = format!(
                    "the adapter of `{}` has the shapes {:?} and {:?}; its base model asks for [r, {inputs}] and [{outputs}, r]",
                    tensor.name, a.shape, b.shape
                );
                return Err(ModelError::invalid(&path, reason));
            }
            let (a, b) = (floats(&file, &tensor.name, a)?, floats(&file, &tensor.name, b)?);
            add_product(&mut parameters[tensor.range.clone()], inputs, &a, &b, scale(rank));
        }
    }
    match tensors.keys().next() {
        Some(name) => Err(ModelError::invalid(
            &path,
            format!("tensor `{PREFIX}{name}` belongs to no linear layer of the base model"),
        )),
        None => file.check().map_err(ModelError::io(&path)),
    }
}

/// Returns the values of one matrix of the adapter of the weight `name`.
fn floats(file: &MappedFile, name: &str, tensor: &StoredTensor) -> Result<Vec<f32>, ModelError> {
    let StoredTensor { dtype, shape, .. } = tensor;
    if !is_floating(*dtype) {
        let reason = format!("an adapter of `{name}` is of type {dtype:?}; expected F32, F16, BF16 or F64");
        return Err(ModelError::invalid(file.path(), reason));
    }
    let mut values = vec![0.0; shape.iter().product()];
    to_floats(*dtype, &tensor.read(file)?, &mut values);
    if !values.iter().all(|value| value.is_finite()) {
        let reason = format!("the adapter of `{name}` holds a value that is not a number or infinite");
        return Err(ModelError::invalid(file.path(), reason));
    }
    Ok(values)
}

/// Reads the configuration. Returns the factor of the products of a rank.
fn read_scale(path: &Path) -> Result<impl Fn(usize) -> f32 + use<>, ModelError> {
    let json = read_object(path)?.unwrap_or_default();
    let fields = Fields { json: &json, path };
    let kind = fields.text("peft_type")?;
    if kind != "LORA" {
        return Err(fields.unsupported(format!("peft_type `{kind}`"), "LORA"));
    }
    for flag in ["use_dora", "fan_in_fan_out", "lora_bias", "use_qalora", "use_bdlora"] {
        if fields.flag_or(flag, false)? {
            return Err(fields.unsupported(flag, "LoRA of linear layers without variants"));
        }
    }
    for field in ["modules_to_save", "rank_pattern", "alpha_pattern", "layer_replication", "trainable_token_indices"] {
        if fields.not_empty(field) {
            return Err(fields.unsupported(field, "one rank and alpha for all layers, and no other trained modules"));
        }
    }
    if fields.present("bias") && fields.text("bias")? != "none" {
        return Err(fields.unsupported(format!("bias `{}`", fields.text("bias")?), "none"));
    }
    let alpha = fields.number_or("lora_alpha", 8.0)?;
    let by_root = fields.flag_or("use_rslora", false)?;
    Ok(move |rank: usize| (alpha / if by_root { (rank as f64).sqrt() } else { rank as f64 }) as f32)
}

/// Writes the adapters of a tower into the folder of its encoder.
pub(super) fn write(folder: &Path, lora: &Lora, tower: &AdaptedTower, spec: &ModelSpec) -> Result<(), ModelError> {
    let arena = &lora.arena;
    let tensors: Vec<_> = tower
        .tensors
        .iter()
        .map(|tensor| {
            let name = match spec.has_head_in_encoder() {
                false => tensor.name.clone(),
                true => name_in_file(spec.config.architecture, &tensor.name),
            };
            (format!("{PREFIX}{name}"), &tensor.shape[..], &arena.parameters()[tensor.range.clone()])
        })
        .collect();
    write_tensors(&folder.join(ADAPTER[0]), &tensors)?;
    let task = if spec.has_head_in_encoder() { "SEQ_CLS" } else { "FEATURE_EXTRACTION" };
    write_json(&folder.join(CONFIG), &config(&lora.settings, tower, task))
}

/// Returns the fields of PEFT's configuration that matter to its readers; others have defaults.
fn config(settings: &LoraSettings, tower: &AdaptedTower, task: &str) -> Value {
    // PEFT's own files have a whole number where alpha is one.
    let alpha = if settings.alpha.fract() == 0.0 { json!(settings.alpha as u64) } else { json!(settings.alpha) };
    json!({
        "peft_type": "LORA",
        "task_type": task,
        "base_model_name_or_path": tower.base,
        "r": settings.rank,
        "lora_alpha": alpha,
        "lora_dropout": settings.dropout,
        "target_modules": tower.targets,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "modules_to_save": null,
        "rank_pattern": {},
        "alpha_pattern": {},
        "use_dora": false,
        "use_rslora": false,
    })
}
