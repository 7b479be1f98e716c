//! Opening a model folder. Everything is checked before it is used, as a folder may come from
//! anybody.

use super::adapter;
use super::folder_parts::{FolderParts, Opened, check_folder};
use super::head::HeadSettings;
use super::modules::transformer_folder;
use super::tower::tokenizer_class;
use super::tower_weights::WeightStorage;
use crate::inference_model::InferenceModel;
use crate::json::read_object;
use crate::training_model::TrainingModel;
use crate::{EncoderConfig, ModelError};
use maana_kernels::{Context, Precision};
use maana_text::Tokenizer;
use std::path::Path;

/// Opens a folder of Sentence Transformers 2 to 6, or a plain Hugging Face encoder folder, to
/// train.
///
/// # Errors
/// Returns an error if a file is missing, damaged or hostile, or asks for something that is not
/// supported.
pub fn open_for_training(
    folder: &Path,
    context: &Context,
    precision: Precision,
) -> Result<Opened<TrainingModel>, ModelError> {
    let mut notices = Vec::new();
    let parts = FolderParts::read(folder, None, &mut notices)?;
    parts.open_for_training(context, precision, notices)
}

/// Opens a folder to train as a cross-encoder. A folder of a cross-encoder keeps its head. Of any
/// other, the encoder gets a new head with random weights, in place of its modules and prompts.
///
/// # Errors
/// As [`open_for_training`], or if the folder has a head of another number of labels.
pub fn open_for_scoring(
    folder: &Path,
    context: &Context,
    precision: Precision,
    head: &HeadSettings,
) -> Result<Opened<TrainingModel>, ModelError> {
    let mut notices = Vec::new();
    let parts = FolderParts::read(folder, Some(head), &mut notices)?;
    parts.open_for_training(context, precision, notices)
}

/// Opens a folder as [`open_for_training`] does, to encode.
///
/// # Errors
/// As [`open_for_training`].
pub fn open_for_inference(
    folder: &Path,
    context: &Context,
    precision: Precision,
    storage: WeightStorage,
) -> Result<Opened<InferenceModel>, ModelError> {
    let mut notices = Vec::new();
    let parts = FolderParts::read(folder, None, &mut notices)?;
    let (tokenizers, towers) = parts.read_tokenizers_and(|| parts.read_for_inference(context, precision, storage))?;
    let (loaded, weights): (Vec<_>, Vec<_>) = towers.into_iter().unzip();
    let router = parts.router.clone();
    let specs = parts.into_specs(tokenizers, loaded, &mut notices)?;
    let towers = specs.into_iter().zip(weights).map(|(spec, weights)| InferenceModel::new(spec, weights)).collect();
    Ok(Opened { model: InferenceModel::of_towers(towers, router), notices })
}

/// Returns a static model to be trained from scratch, with the tokenizer of the model in a folder.
///
/// # Errors
/// Returns an error if the folder has no tokenizer, or the number of columns is invalid.
pub fn new_static(folder: &Path, columns: usize, seed: u64) -> Result<TrainingModel, ModelError> {
    check_folder(folder)?;
    TrainingModel::random_static(bare_tokenizer(&transformer_folder(folder)?)?, columns, seed)
}

/// Returns the tokenizer of a folder without special tokens. One without `tokenizer.json` is that
/// of an encoder.
fn bare_tokenizer(folder: &Path) -> Result<Tokenizer, ModelError> {
    let path = folder.join("config.json");
    match read_object(&path)? {
        Some(config) if !folder.join("tokenizer.json").exists() => {
            let architecture = EncoderConfig::from_json(&config, &path)?.architecture;
            let tokenizer = Tokenizer::open(folder, tokenizer_class(architecture, &config), false)?;
            Ok(Tokenizer::from_bytes_bare(tokenizer.file_bytes().to_vec(), tokenizer.path())?)
        }
        _ => Ok(Tokenizer::open_bare(folder)?),
    }
}

/// Opens a folder of low-rank adapters as PEFT writes it, merged into its base models, which lie in
/// the folders `bases`, in the order of [`crate::adapter_bases`].
///
/// # Errors
/// As [`open_for_training`], for all folders.
pub fn open_adapter(
    folder: &Path,
    bases: &[impl AsRef<Path>],
    context: &Context,
    precision: Precision,
) -> Result<Opened<TrainingModel>, ModelError> {
    let mut notices = Vec::new();
    let bases: Vec<&Path> = bases.iter().map(AsRef::as_ref).collect();
    let (parts, adapted) = match &bases[..] {
        [base] if !FolderParts::has_router(folder)? => FolderParts::read_adapter(folder, base, &mut notices)?,
        _ => FolderParts::read_adapted_towers(folder, &bases, &mut notices)?,
    };
    let Opened { mut model, notices } = parts.open_for_training(context, precision, notices)?;
    for (tower, place) in adapted {
        let prefix = model.towers[tower].spec.config().architecture.prefix();
        model.merge_adapter(tower, |layout, parameters| adapter::merge(&place, prefix, layout, parameters))?;
    }
    Ok(Opened { model, notices })
}
