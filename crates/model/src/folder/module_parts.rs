//! Pooling and the modules behind it, with their parameters.

use super::head::NewWeights;
use super::module_config::{EMBEDDING, SCORES, read_module, read_pooling};
use super::module_entry::ModuleEntry;
use super::modules::ModuleList;
use super::weight_files::WeightFiles;
use crate::blocks::{Pooling, SentenceModule};
use crate::spec::Folders;
use crate::weights::{Tensor, named_within};
use crate::{EncoderConfig, ModelError};
use maana_kernels::{Context, PoolingMode};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Pooling and the modules behind it.
#[derive(Clone)]
pub(super) struct ModuleParts {
    pub(super) pooling: Pooling,
    pub(super) modules: Vec<SentenceModule>,
    /// The folder of each module; none of a head, whose parameters lie in the encoder's files.
    places: Vec<PathBuf>,
    /// The folders in which the parts are written.
    pub(super) folders: Folders,
    /// Weights of a new head.
    new_weights: Option<NewWeights>,
}

/// Modules whose parameters have a place in an arena, by their folders: towers may share them.
pub(super) type PlacedModules = HashMap<PathBuf, SentenceModule>;

impl ModuleParts {
    /// Reads the configuration of all modules.
    pub(super) fn read(
        folder: &Path,
        list: &ModuleList,
        folders: Folders,
        config: &EncoderConfig,
    ) -> Result<Self, ModelError> {
        let pooling = match &list.pooling {
            Some(place) => read_pooling(&folder.join(place).join("config.json"), config.hidden)?,
            None => Pooling { modes: vec![PoolingMode::Mean], include_prompt: true },
        };
        let mut width = pooling.modes.len() * config.hidden;
        let (mut modules, mut places) = (Vec::new(), Vec::new());
        for (index, ModuleEntry { kind, place }) in list.rest.iter().enumerate() {
            let place = folder.join(place);
            let is_last = index + 1 == list.rest.len();
            let output = if list.scores && is_last { SCORES } else { EMBEDDING };
            let module = read_module(kind, &place.join("config.json"), (width, output), index)?;
            width = module.outputs(width);
            modules.push(module);
            places.push(place);
        }
        Ok(Self { pooling, modules, places, folders, new_weights: None })
    }

    /// Returns the head of a cross-encoder. Where it is new, tensors that the encoder's files lack
    /// have `new_weights`.
    pub(super) fn of_head((pooling, modules): (Pooling, Vec<SentenceModule>), new_weights: Option<NewWeights>) -> Self {
        let folders = Folders::plain(std::iter::empty());
        Self { pooling, modules, places: Vec::new(), folders, new_weights }
    }

    /// Returns an error if pooling leaves out prompts: the prompt of a cross-encoder is a part of
    /// its pair.
    pub(super) fn refuse_excluded_prompt(&self, folder: &Path) -> Result<(), ModelError> {
        if self.pooling.include_prompt {
            return Ok(());
        }
        let what = "include_prompt false in a cross-encoder".into();
        Err(ModelError::Unsupported { path: folder.into(), what, supported: "include_prompt true".into() })
    }

    /// Returns whether the head is new.
    pub(super) fn is_new_head(&self) -> bool {
        self.new_weights.is_some()
    }

    /// Number of columns behind the last module, for an encoder of this width.
    pub(super) fn dimension(&self, hidden: usize) -> usize {
        let pooled = self.pooling.modes.len() * hidden;
        self.modules.iter().fold(pooled, |columns, module| module.outputs(columns))
    }

    /// Checks that the files hold the tensors of the modules, before memory is allocated for them.
    pub(super) fn check(&self, encoder: &WeightFiles) -> Result<(), ModelError> {
        self.each_with_tensors(encoder, |_, files, tensors| files.check(&self.in_files(files, &tensors)))
    }

    /// Assigns the parameters of the modules their ranges in the arena, from `start`, or those that
    /// they have already; returns the end.
    pub(super) fn place(&mut self, start: usize, placed: &mut PlacedModules) -> usize {
        let mut end = start;
        for (index, module) in self.modules.iter_mut().enumerate() {
            let place = self.places.get(index);
            match place.and_then(|place| placed.get(place)) {
                Some(known) => *module = known.clone(),
                None => {
                    end = module.place(end);
                    placed.extend(place.map(|place| (place.clone(), module.clone())));
                }
            }
        }
        end
    }

    /// Reads the parameters of the modules into the arena. Returns their tensors, with the names
    /// of their folders in front.
    pub(super) fn read_parameters(
        &self,
        context: &Context,
        encoder: &WeightFiles,
        parameters: &mut [f32],
    ) -> Result<Vec<Tensor>, ModelError> {
        let mut all = Vec::new();
        self.each_with_tensors(encoder, |index, files, tensors| {
            let read = self.in_files(files, &tensors);
            files.fill(context, &read, parameters)?;
            if let Some(weights) = &self.new_weights {
                let new = tensors.iter().filter(|tensor| !read.contains(tensor));
                new.for_each(|tensor| weights.draw(tensor, &mut parameters[tensor.range.clone()]));
            }
            let folder =
                if self.modules[index].is_in_encoder() { &self.folders.encoder } else { &self.folders.modules[index] };
            all.extend(named_within(folder, tensors));
            Ok(())
        })?;
        Ok(all)
    }

    /// Returns the tensors of a module that are read: all, but of a new head those that the files
    /// have.
    fn in_files(&self, files: &WeightFiles, tensors: &[Tensor]) -> Vec<Tensor> {
        tensors.iter().filter(|tensor| !self.is_new_head() || files.contains(tensor)).cloned().collect()
    }

    /// Lists the parameters that lie in the encoder's own files.
    pub(super) fn tensors_in_encoder(&self) -> impl Iterator<Item = Tensor> {
        self.modules.iter().filter(|module| module.is_in_encoder()).flat_map(SentenceModule::tensors)
    }

    /// Calls `each` with the number, the files and the tensors of every module that has parameters.
    fn each_with_tensors(
        &self,
        encoder: &WeightFiles,
        mut each: impl FnMut(usize, &WeightFiles, Vec<Tensor>) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        for (index, module) in self.modules.iter().enumerate() {
            let tensors = module.tensors();
            if tensors.is_empty() {
                continue;
            }
            if module.is_in_encoder() {
                each(index, encoder, tensors)?;
            } else {
                each(index, &WeightFiles::open(&self.places[index], "")?, tensors)?;
            }
        }
        Ok(())
    }
}
