//! A folder without its tokenizers and its weights: the towers of its model. Reading and opening
//! them in turn makes the model.

use super::adapter::{is_adapter, refuse_adapter};
use super::head::HeadSettings;
use super::kind::Kind;
use super::module_parts::PlacedModules;
use super::modules::transformer_folder;
use super::tower::{Loaded, TowerParts};
use super::tower_weights::{EncoderFiles, WeightStorage};
use crate::ModelError;
use crate::activations::Passes;
use crate::encoders::Network;
use crate::inference_model::InferenceParts;
use crate::router::Router;
use crate::spec::ModelSpec;
use crate::training_model::TrainingModel;
use crate::weights::{ParameterArena, Scope, Tensor, named_within};
use maana_kernels::{Context, Precision};
use maana_text::Tokenizer;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A model, and the assumptions that were made to read it.
pub struct Opened<M> {
    /// The model.
    pub model: M,
    /// Sentences about assumptions, for the person who opens the model.
    pub notices: Vec<String>,
}

/// A folder without its tokenizers and its weights.
pub(super) struct FolderParts {
    pub(super) router: Option<Router>,
    /// One tower, or those of the router.
    towers: Vec<TowerParts>,
}

impl FolderParts {
    /// Reads a folder as it is, or with settings of a head as a cross-encoder.
    pub(super) fn read(
        folder: &Path,
        head: Option<&HeadSettings>,
        notices: &mut Vec<String>,
    ) -> Result<Self, ModelError> {
        check_folder(folder)?;
        let (kind, chains) = Kind::read(folder, head, notices)?;
        let mut towers = Vec::new();
        for (list, folders) in chains.lists.iter().zip(chains.folders()) {
            let transformer = folder.join(&list.transformer);
            refuse_adapter(&transformer)?;
            towers.push(TowerParts::read(folder, kind, (list, folders), [&transformer, &transformer], notices)?);
        }
        let parts = Self { router: chains.router, towers };
        parts.check_dimensions(folder)?;
        Ok(parts)
    }

    /// Opens the model to train.
    pub(super) fn open_for_training(
        self,
        context: &Context,
        precision: Precision,
        mut notices: Vec<String>,
    ) -> Result<Opened<TrainingModel>, ModelError> {
        let (tokenizers, (loaded, starts, arena)) = self.read_tokenizers_and(|| self.read_for_training(context))?;
        let router = self.router.clone();
        let specs = self.into_specs(tokenizers, loaded, &mut notices)?;
        let model = TrainingModel::new(specs.into_iter().zip(starts).collect(), router, arena, precision);
        Ok(Opened { model, notices })
    }

    /// Returns whether a folder has a router.
    pub(super) fn has_router(folder: &Path) -> Result<bool, ModelError> {
        check_folder(folder)?;
        Ok(Kind::read(folder, None, &mut Vec::new())?.1.has_router())
    }

    /// Reads a folder with a router in which some encoders are adapters of models in the folders
    /// `bases`. Returns the towers with adapters and their folders, those that share an encoder
    /// once.
    pub(super) fn read_adapted_towers(
        folder: &Path,
        bases: &[&Path],
        notices: &mut Vec<String>,
    ) -> Result<(Self, Vec<(usize, PathBuf)>), ModelError> {
        let (kind, chains) = Kind::read(folder, None, notices)?;
        let (mut towers, mut adapted, mut bases) = (Vec::new(), Vec::<(usize, PathBuf)>::new(), bases.iter());
        for (number, (list, folders)) in chains.lists.iter().zip(chains.folders()).enumerate() {
            let own = folder.join(&list.transformer);
            let mut transformer = own.clone();
            if is_adapter(&own) {
                let base = bases.next().ok_or_else(|| ModelError::Missing {
                    path: own.clone(),
                    remedy: "Give the base model of each tower with adapters".into(),
                })?;
                check_folder(base)?;
                transformer = transformer_folder(base)?;
                refuse_adapter(&transformer)?;
                if adapted.iter().all(|(_, known)| *known != own) {
                    adapted.push((number, own.clone()));
                }
            }
            towers.push(TowerParts::read(folder, kind, (list, folders), [&transformer, &own], notices)?);
        }
        let parts = Self { router: chains.router, towers };
        parts.check_dimensions(folder)?;
        Ok((parts, adapted))
    }

    /// Reads the modules and settings of the folder of adapters if it has any, else those of the
    /// base model. Returns the tower and the folder of its adapters.
    pub(super) fn read_adapter(
        folder: &Path,
        base: &Path,
        notices: &mut Vec<String>,
    ) -> Result<(Self, Vec<(usize, PathBuf)>), ModelError> {
        check_folder(folder)?;
        check_folder(base)?;
        let has_modules = folder.join("modules.json").exists();
        // A base model without modules is an assumption only if the adapters have none either.
        let mut of_base = Vec::new();
        let (mut kind, chains) = Kind::read(base, None, &mut of_base)?;
        let mut folders = chains.folders().remove(0);
        let mut list = chains.single(base)?;
        let transformer = base.join(&list.transformer);
        refuse_adapter(&transformer)?;
        let (mut own, mut place) = (transformer.clone(), base);
        if has_modules {
            let (of_adapters, chains) = Kind::read(folder, None, notices)?;
            (kind, folders, list) = (of_adapters, chains.folders().remove(0), chains.single(folder)?);
            (own, place) = (folder.join(&list.transformer), folder);
        } else {
            notices.append(&mut of_base);
        }
        let tower = TowerParts::read(place, kind, (&list, folders), [&transformer, &own], notices)?;
        Ok((Self { router: None, towers: vec![tower] }, vec![(0, transformer_folder(folder)?)]))
    }

    /// Checks that the embeddings of all towers can be compared.
    fn check_dimensions(&self, folder: &Path) -> Result<(), ModelError> {
        let Some(router) = &self.router else { return Ok(()) };
        let columns = self.towers.iter().map(|tower| tower.modules.dimension(tower.config.hidden));
        let columns: Vec<(&String, usize)> = router.routes.iter().zip(columns).collect();
        match columns.iter().find(|(_, dimension)| *dimension != columns[0].1) {
            None => Ok(()),
            Some((route, dimension)) => {
                let (first, expected) = columns[0];
                let reason = format!(
                    "the route `{route}` gives {dimension} columns and `{first}` {expected}, so that their embeddings \
                     cannot be compared; end one of them with a Dense"
                );
                Err(ModelError::invalid(folder.join("modules.json"), reason))
            }
        }
    }

    /// Returns the first tower that has the same encoder as tower `number`.
    fn with_encoder_of(&self, number: usize) -> usize {
        let own = &self.towers[number].own;
        self.towers.iter().position(|tower| tower.own == *own).unwrap_or(number)
    }

    /// Reads the tokenizers on a thread of their own while `read` reads the weights: each takes
    /// much of the time of opening.
    pub(super) fn read_tokenizers_and<W>(
        &self,
        read: impl FnOnce() -> Result<W, ModelError>,
    ) -> Result<(Vec<Arc<Tokenizer>>, W), ModelError> {
        let (tokenizers, weights) = std::thread::scope(|scope| {
            let open = || self.read_tokenizers();
            let thread = std::thread::Builder::new().spawn_scoped(scope, open);
            let weights = read();
            // Where the system refuses a thread, this one does both.
            let tokenizers = thread.map_or_else(
                |_| open(),
                |thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
            (tokenizers, weights)
        });
        Ok((tokenizers?, weights?))
    }

    /// Reads the tokenizer of each tower; those with one encoder share it.
    fn read_tokenizers(&self) -> Result<Vec<Arc<Tokenizer>>, ModelError> {
        let mut tokenizers: Vec<Arc<Tokenizer>> = Vec::new();
        for (number, tower) in self.towers.iter().enumerate() {
            let first = self.with_encoder_of(number);
            let tokenizer =
                if first < number { Arc::clone(&tokenizers[first]) } else { Arc::new(tower.read_tokenizer()?) };
            tokenizers.push(tokenizer);
        }
        Ok(tokenizers)
    }

    /// Reads all parameters into one arena. Returns the towers with the places of their encoders.
    fn read_for_training(&self, context: &Context) -> Result<(Vec<Loaded>, Vec<usize>, ParameterArena), ModelError> {
        let (mut encoders, mut starts, mut end) = (Vec::new(), Vec::new(), 0);
        for (number, tower) in self.towers.iter().enumerate() {
            let first = self.with_encoder_of(number);
            if first == number {
                let files = tower.weight_files()?;
                let layout = Network::behind(end, &tower.config, Scope::All, Passes::Inference).parameters;
                tower.check_weights(&files, &layout)?;
                starts.push(end);
                end = layout.elements;
                encoders.push(Arc::new(EncoderFiles { files, layout }));
            } else {
                starts.push(starts[first]);
                encoders.push(Arc::clone(&encoders[first]));
            }
        }
        let (mut placed, mut towers) = (PlacedModules::new(), Vec::new());
        for (tower, encoder) in self.towers.iter().zip(&encoders) {
            tower.modules.check(&encoder.files)?;
            let mut modules = tower.modules.clone();
            end = modules.place(end, &mut placed);
            towers.push(modules);
        }
        let (mut parameters, mut tensors) = (vec![0.0; end], Vec::<Tensor>::new());
        for (number, (tower, encoder)) in towers.iter().zip(&encoders).enumerate() {
            if self.with_encoder_of(number) == number {
                self.towers[number].fill(context, encoder, &mut parameters)?;
                tensors.extend(named_within(&tower.folders.encoder, encoder.layout.tensors.iter().cloned()));
            }
        }
        for (modules, encoder) in towers.iter().zip(&encoders) {
            let own = modules.read_parameters(context, &encoder.files, &mut parameters)?;
            // Modules that towers share are listed once.
            own.into_iter().for_each(|tensor| {
                if !tensors.contains(&tensor) {
                    tensors.push(tensor);
                }
            });
        }
        let loaded = towers
            .into_iter()
            .zip(&encoders)
            .zip(&self.towers)
            .map(|((modules, encoder), tower)| tower.loaded(modules, encoder));
        let loaded = loaded.collect::<Result<_, _>>()?;
        encoders.iter().try_for_each(|encoder| encoder.files.check_unchanged())?;
        Ok((loaded, starts, ParameterArena::new(tensors, parameters)))
    }

    pub(super) fn read_for_inference(
        &self,
        context: &Context,
        precision: Precision,
        storage: WeightStorage,
    ) -> Result<Vec<(Loaded, InferenceParts)>, ModelError> {
        let mut encoders = Vec::new();
        for (number, tower) in self.towers.iter().enumerate() {
            let first = self.with_encoder_of(number);
            if first == number {
                let (files, encoder) = tower.read_encoder(context, precision, storage)?;
                encoders.push((Arc::new(files), Arc::new(encoder)));
            } else {
                encoders.push(encoders[first].clone());
            }
        }
        let towers = self.towers.iter().zip(&encoders).map(|(tower, (files, encoder))| {
            tower.modules.check(&files.files)?;
            let mut modules = tower.modules.clone();
            let mut parameters = vec![0.0; modules.place(0, &mut PlacedModules::new())];
            let module_tensors = modules.read_parameters(context, &files.files, &mut parameters)?;
            let loaded = tower.loaded(modules, files)?;
            let parts = InferenceParts { encoder: Arc::clone(encoder), modules: Arc::new(parameters), module_tensors };
            Ok((loaded, parts))
        });
        let towers = towers.collect::<Result<_, ModelError>>()?;
        encoders.iter().try_for_each(|(encoder, _)| encoder.files.check_unchanged())?;
        Ok(towers)
    }

    /// Puts the towers together, but for their weights.
    pub(super) fn into_specs(
        self,
        tokenizers: Vec<Arc<Tokenizer>>,
        loaded: Vec<Loaded>,
        notices: &mut Vec<String>,
    ) -> Result<Vec<ModelSpec>, ModelError> {
        let towers = self.towers.into_iter().zip(tokenizers).zip(loaded);
        let specs = towers.map(|((tower, tokenizer), loaded)| tower.into_spec(tokenizer, loaded, notices)).collect();
        // Towers with one encoder give the same notices.
        let mut known = HashSet::new();
        notices.retain(|notice| known.insert(notice.clone()));
        specs
    }
}

pub(super) fn check_folder(folder: &Path) -> Result<(), ModelError> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(ModelError::Missing { path: folder.into(), remedy: "Give the folder of a model".into() })
}
