//! Teachers and guides: models whose embeddings of the training texts, or similarities of them, are
//! the labels of a loss. Every distinct text is embedded once, into a file of the run's folder.

mod labels;
mod store;

use super::error::FinetuneError;
use crate::base_model::base_model;
use crate::hub::{EventHandler, HubOptions};
use crate::open::open_with;
use crate::recipe::LocatedRecipe;
use labels::{LabelledRows, Labels, TeacherText};
use maana_data::Source;
use maana_files::{FileError, hex};
use maana_kernels::{Context, Matrix, Precision};
use maana_model::{ModelError, Role, TextEncoder, WeightStorage};
use maana_train::loss::TeacherColumns;
use maana_train::{LossArguments, LossName};
use serde_json::json;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use store::{StoreWriter, TextEmbeddings};

/// Texts that are embedded together.
const CHUNK_TEXTS: usize = 1024;

/// Models of teachers and guides with their names for the card, by the names that open them: sets
/// with the same teacher share its weights.
pub(super) type TeacherModels = HashMap<String, (TextEncoder, String)>;

/// A model whose numbers are the labels of a loss.
pub(super) struct Teacher {
    /// Name in the recipe, and its field.
    name: String,
    field: &'static str,
    /// Name for the card.
    public_name: String,
    encoder: TextEncoder,
    labels: Labels,
    /// Labelled rows, whose texts are embedded.
    sources: Mutex<Vec<Arc<dyn Source>>>,
    embeddings: Arc<OnceLock<TextEmbeddings>>,
}

impl Teacher {
    /// Opens the teacher or guide of a loss for data with `columns` text columns, if the recipe
    /// names one. Its model is taken from `models`, or added to them.
    pub(super) fn open(
        settings: &LossArguments,
        located: &LocatedRecipe,
        columns: usize,
        context: &Context,
        models: &mut TeacherModels,
        notify: &mut EventHandler<'_>,
    ) -> Result<Option<Self>, FinetuneError> {
        let (field, name) = match (&settings.teacher, &settings.guide) {
            (Some(name), _) => ("teacher", name),
            (None, Some(name)) => ("guide", name),
            (None, None) => return Ok(None),
        };
        let (encoder, public_name) = match models.entry(located.model(name)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => {
                let options = HubOptions::from_environment();
                let opened = open_with(WeightStorage::Packed, place.key(), context, Precision::F32, &options, notify)
                    .map_err(|error| FinetuneError::Fit(format!("[loss] {field} = {name:?}: {error}")))?;
                place.insert((opened.model, base_model(&opened.resolved).name)).clone()
            }
        };
        // Scores and guides compare queries with documents: each has the prompt of its role, and so
        // have all texts of a model with towers by role.
        let by_role = settings.name != LossName::Mse || !encoder.has_one_tower();
        let prompt = |column: usize| match column {
            _ if !by_role => encoder.default_prompt().to_owned(),
            0 => encoder.role_prompt(Role::Query).to_owned(),
            _ => encoder.role_prompt(Role::Document).to_owned(),
        };
        let prompts = (0..columns).map(prompt).collect();
        let dimension = encoder.dimension();
        let labels = match (settings.name, settings.teacher_columns.unwrap_or_default()) {
            (LossName::Mse, TeacherColumns::First) => Labels::First { dimension, prompts },
            (LossName::Mse, TeacherColumns::Each) | (LossName::GistEmbed, _) => Labels::Each { dimension, prompts },
            _ => Labels::Scores { similarity: encoder.similarity(), prompts },
        };
        Ok(Some(Self {
            name: name.clone(),
            field,
            public_name,
            encoder,
            labels,
            sources: Mutex::default(),
            embeddings: Arc::default(),
        }))
    }

    /// Checks that embeddings of the teacher can be targets of the model's.
    pub(super) fn check(&self, settings: &LossArguments, dimension: usize) -> Result<(), FinetuneError> {
        let theirs = self.encoder.dimension();
        if settings.name != LossName::Mse || theirs == settings.projection_dim.unwrap_or(dimension) {
            return Ok(());
        }
        let reason = match settings.projection_dim {
            Some(columns) => format!("and projection_dim is {columns}; set projection_dim = {theirs}"),
            None => format!(
                "and the model's {dimension}, but `mse` compares them column by column; set projection_dim = {theirs}, \
                 which trains a projection, or choose a teacher with {dimension}, or `margin_mse` or \
                 `distill_kl_div`, which compare scores"
            ),
        };
        Err(FinetuneError::Fit(format!(
            "[loss] teacher = {:?}: its embeddings have {theirs} columns {reason}",
            self.name
        )))
    }

    /// Returns the rows with the labels of the teacher, which exist after [`Teacher::compute`].
    pub(super) fn label(&self, rows: Arc<dyn Source>) -> Arc<dyn Source> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&rows));
        Arc::new(LabelledRows {
            rows,
            labels: self.labels.clone(),
            routed: self.is_routed(),
            embeddings: Arc::clone(&self.embeddings),
            teacher: self.encoder.fingerprint(),
        })
    }

    /// Returns true if the teacher has towers by role.
    fn is_routed(&self) -> bool {
        !self.encoder.has_one_tower()
    }

    /// Returns the parameter of the loss and the model's name for the card.
    pub(super) fn parameter(&self) -> (String, serde_json::Value) {
        (self.field.into(), json!(self.public_name))
    }

    /// Embeds every distinct text of the labelled rows in all epochs into `file`, or reads the file
    /// if it has them. `progress` receives the model, the texts so far and all. Returns false if it
    /// was stopped.
    pub(super) fn compute(
        &self,
        epochs: u64,
        file: &Path,
        stop: &Arc<AtomicBool>,
        progress: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<bool, FinetuneError> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let drawn = sources.iter().flat_map(|source| (1..epochs).map_while(|epoch| source.epoch(epoch)));
        let sources: Vec<Arc<dyn Source>> = sources.iter().cloned().chain(drawn).collect();
        let data: Vec<String> = sources.iter().map(|source| hex(&source.fingerprint())).collect();
        let model = hex(&self.encoder.fingerprint());
        let identity = json!({"model": model, "data": data, "epochs": epochs, "prompts": self.labels.prompts()});
        let at = || FileError::at(file);
        let embeddings = match TextEmbeddings::open(file, &identity).map_err(at())? {
            Some(embeddings) => embeddings,
            None => {
                let encoder = self.encoder.clone().with_stop(Arc::clone(stop));
                match self.embed_all(&encoder, &sources, file, &identity, progress) {
                    Err(FinetuneError::Model(ModelError::Stopped)) => return Ok(false),
                    written => written?,
                }
                let written = TextEmbeddings::open(file, &identity).map_err(at())?;
                written.ok_or_else(|| FileError::at(file)(std::io::Error::other("changed while it was written")))?
            }
        };
        let _ = self.embeddings.set(embeddings);
        Ok(true)
    }

    fn embed_all(
        &self,
        encoder: &TextEncoder,
        sources: &[Arc<dyn Source>],
        file: &Path,
        identity: &serde_json::Value,
        progress: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<(), FinetuneError> {
        let mut keys = Vec::new();
        let mut known = HashSet::new();
        self.visit(sources, &mut |text| {
            let key = store::key(&text.key_text());
            if known.insert(key) {
                keys.push(key);
            }
            Ok(())
        })?;
        let at = || FileError::at(file);
        let folder = file.parent().unwrap_or(Path::new(""));
        std::fs::create_dir_all(folder).map_err(FileError::at(folder))?;
        let total = keys.len();
        let mut writer = StoreWriter::create(file, identity, encoder.dimension(), &keys).map_err(at())?;
        let (mut done, mut chunk) = (0, Vec::new());
        progress(&self.name, 0, total);
        let mut flush = |chunk: &mut Vec<TeacherText>, done: &mut usize| -> Result<(), FinetuneError> {
            writer.write(embed(encoder, chunk)?.data()).map_err(at())?;
            *done += chunk.len();
            chunk.clear();
            progress(&self.name, *done, total);
            Ok(())
        };
        self.visit(sources, &mut |text| {
            // Keys are in the order of their texts' first occurrence.
            if keys.get(done + chunk.len()) == Some(&store::key(&text.key_text())) {
                chunk.push(text);
                if chunk.len() == CHUNK_TEXTS {
                    flush(&mut chunk, &mut done)?;
                }
            }
            Ok(())
        })?;
        flush(&mut chunk, &mut done)?;
        Ok(writer.finish().map_err(at())?)
    }

    /// Visits each text that labels need, in the order of rows.
    fn visit(
        &self,
        sources: &[Arc<dyn Source>],
        visit: &mut dyn FnMut(TeacherText) -> Result<(), FinetuneError>,
    ) -> Result<(), FinetuneError> {
        let routed = self.is_routed();
        for source in sources {
            for row in 0..source.len() {
                let texts = source.get(row)?.texts;
                self.labels.texts(&texts, routed).try_for_each(&mut *visit)?;
            }
        }
        Ok(())
    }
}

/// Embeds texts, each with its prompt in the tower of its role.
fn embed(encoder: &TextEncoder, texts: &[TeacherText]) -> Result<Matrix, FinetuneError> {
    let mut rows = Matrix::zeros(texts.len(), encoder.dimension());
    let mut groups: Vec<(Option<Role>, &str)> = Vec::new();
    for text in texts {
        if !groups.contains(&text.group()) {
            groups.push(text.group());
        }
    }
    groups.sort_by_key(|(_, prompt)| *prompt);
    for group in groups {
        let places: Vec<usize> = (0..texts.len()).filter(|&place| texts[place].group() == group).collect();
        let of_group: Vec<&str> = places.iter().map(|&place| texts[place].text.as_str()).collect();
        let (role, prompt) = group;
        let tower = role.map_or_else(|| encoder.clone(), |role| encoder.for_role(role));
        let embedded = tower.embed(&of_group, prompt)?;
        for (row, place) in places.into_iter().enumerate() {
            rows.row_mut(place).copy_from_slice(embedded.row(row));
        }
    }
    match rows.data().iter().all(|value| value.is_finite()) {
        true => Ok(rows),
        false => Err(FinetuneError::Fit("an embedding of the teacher is not finite; its weights are damaged".into())),
    }
}
