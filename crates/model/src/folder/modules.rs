//! Modules of a folder: `modules.json`.

use super::module_entry::{BEHIND_POOLING, ModuleEntry, SUPPORTED_MODULES, inside};
use super::router_config;
use super::scoring::is_cross_encoder;
use crate::ModelError;
use crate::json::{Fields, read_json, read_object};
use crate::router::Router;
use crate::spec::Folders;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The modules through which a text passes, with the folder of each.
pub(super) struct ModuleList {
    /// The folder of the transformer, or of the table of a static model.
    pub(super) transformer: PathBuf,
    /// True if a table of static embeddings takes the place of transformer and pooling.
    pub(super) is_static: bool,
    /// The folder of pooling; none where mean pooling is assumed.
    pub(super) pooling: Option<PathBuf>,
    /// The modules behind pooling.
    pub(super) rest: Vec<ModuleEntry>,
    /// True if the last module computes the scores of a cross-encoder.
    pub(super) scores: bool,
}

/// The modules of a folder: one list, or with a router one for each of its towers.
pub(super) struct Chains {
    pub(super) router: Option<Router>,
    pub(super) lists: Vec<ModuleList>,
}

/// `model_type` of folders that Model2Vec writes.
pub(super) const MODEL2VEC: &str = "model2vec";

/// Returns the list of a cross-encoder: a transformer with its head, or a transformer, pooling and
/// modules of which the last computes the scores.
pub(super) fn read_cross_encoder_modules(folder: &Path) -> Result<ModuleList, ModelError> {
    let path = folder.join("modules.json");
    let Some(json) = read_json(&path)? else { return Ok(ModuleList::plain(PathBuf::new())) };
    let (router, mut chains) = read_chains(folder, &json, &path)?;
    let chain = chains.swap_remove(0);
    let kinds: Vec<&str> = chain.iter().map(|module| module.kind.as_str()).collect();
    let is_plain = kinds == ["Transformer"];
    if router.is_none() && is_plain {
        return Ok(ModuleList::plain(chain.into_iter().next().map(|module| module.place).unwrap_or_default()));
    }
    if router.is_some() || !kinds.starts_with(&["Transformer", "Pooling"]) || kinds.last() != Some(&"Dense") {
        let what = match &router {
            Some(_) => "a cross-encoder with a Router".into(),
            None => format!("a cross-encoder of the modules {}", kinds.join(", ")),
        };
        let supported = "one Transformer, whose head is part of its own weights, or Transformer, Pooling and modules of \
                         which the last is a Dense that computes the scores";
        return Err(ModelError::Unsupported { path, what, supported: supported.into() });
    }
    Ok(ModuleList { scores: true, ..ModuleList::of(chain, &path)? })
}

/// Returns the folder of the transformer, or of the adapters or the table in its place, within a
/// folder that may have modules; with a router, of the first tower.
pub(super) fn transformer_folder(folder: &Path) -> Result<PathBuf, ModelError> {
    if !folder.join("modules.json").exists() {
        return Ok(folder.to_owned());
    }
    let list = match is_cross_encoder(folder)? {
        true => read_cross_encoder_modules(folder)?,
        false => read_modules(folder, &mut Vec::new())?.lists.swap_remove(0),
    };
    Ok(folder.join(list.transformer))
}

/// Reads the list of modules, and that of each route of a router, and checks their order.
pub(super) fn read_modules(folder: &Path, notices: &mut Vec<String>) -> Result<Chains, ModelError> {
    let path = folder.join("modules.json");
    let Some(json) = read_json(&path)? else {
        if let Some(list) = read_model2vec(folder)? {
            return Ok(Chains::of(list));
        }
        notices.push(format!(
            "{}: no modules.json, so this is a plain encoder; mean pooling without normalisation is assumed, as Sentence \
             Transformers does",
            folder.display()
        ));
        return Ok(Chains::of(ModuleList::plain(PathBuf::new())));
    };
    let (router, chains) = read_chains(folder, &json, &path)?;
    let lists = chains.into_iter().map(|chain| ModuleList::of(chain, &path)).collect::<Result<_, _>>()?;
    Ok(Chains { router, lists })
}

/// Returns the modules of a folder that Model2Vec wrote before it wrote `modules.json`, if this is
/// one.
fn read_model2vec(folder: &Path) -> Result<Option<ModuleList>, ModelError> {
    let path = folder.join("config.json");
    let Some(json) = read_object(&path)?.filter(|json| json["model_type"] == MODEL2VEC) else { return Ok(None) };
    let normalizes = Fields { json: &json, path: &path }.flag_or("normalize", false)?;
    let rest = normalizes.then(|| ModuleEntry { kind: "Normalize".into(), place: PathBuf::from("1_Normalize") });
    let rest = rest.into_iter().collect();
    Ok(Some(ModuleList { is_static: true, rest, ..ModuleList::plain(PathBuf::new()) }))
}

/// Reads the modules through which a text passes, with a router those of each tower.
fn read_chains(
    folder: &Path,
    json: &Value,
    path: &Path,
) -> Result<(Option<Router>, Vec<Vec<ModuleEntry>>), ModelError> {
    let entries = json.as_array().ok_or_else(|| ModelError::invalid(path, "expected a list of modules"))?;
    let mut chains = vec![Vec::new()];
    let mut router = None;
    let mut names = HashSet::new();
    for entry in entries {
        // Modules of one name replace one another in the reference.
        if let Some(name) = entry.get("name").filter(|name| !names.insert(name.to_string())) {
            return Err(ModelError::invalid(path, format!("two modules have the name {name}")));
        }
        let fields = Fields { json: entry, path };
        // Model2Vec calls the folder itself `.`.
        let place = PathBuf::from(Some(fields.text("path")?).filter(|path| *path != ".").unwrap_or_default());
        let class = fields.text("type")?;
        if !is_router(class) {
            let module = ModuleEntry::new(class, place, path)?;
            chains.iter_mut().for_each(|chain| chain.push(module.clone()));
            continue;
        }
        if router.is_some() {
            return Err(fields.unsupported("a second Router", "one Router"));
        }
        let routes = router_config::read(folder, &inside(place, path)?)?;
        let before = chains.remove(0);
        chains = routes.modules.into_iter().map(|own| before.iter().cloned().chain(own).collect()).collect();
        router = Some(routes.router);
    }
    Ok((router, chains))
}

/// Returns true for the class of routers, whose name was `Asym` before version 5.
fn is_router(class: &str) -> bool {
    let kind = class.rsplit('.').next().unwrap_or_default();
    class.starts_with("sentence_transformers.") && ["Router", "Asym"].contains(&kind)
}

impl ModuleList {
    /// Returns the list of a transformer in the folder `transformer` without modules behind it.
    fn plain(transformer: PathBuf) -> Self {
        Self { transformer, is_static: false, pooling: None, rest: Vec::new(), scores: false }
    }

    /// Checks the order of the modules of one text.
    fn of(mut modules: Vec<ModuleEntry>, path: &Path) -> Result<Self, ModelError> {
        let kinds: Vec<&str> = modules.iter().map(|module| module.kind.as_str()).collect();
        let is_static = kinds.first() == Some(&"StaticEmbedding");
        let before = if is_static { 1 } else { 2 };
        let in_order = (is_static || kinds.starts_with(&["Transformer", "Pooling"]))
            && kinds[before..].iter().all(|kind| BEHIND_POOLING.contains(kind));
        if !in_order {
            let what = format!("the order of modules {}", kinds.join(", "));
            return Err(ModelError::Unsupported { path: path.into(), what, supported: SUPPORTED_MODULES.into() });
        }
        let rest = modules.split_off(before);
        let mut places = modules.into_iter().map(|module| module.place);
        let transformer = places.next().unwrap_or_default();
        Ok(Self { transformer, is_static, pooling: places.next(), rest, scores: false })
    }
}

impl Chains {
    /// Returns the chains of a model without a router.
    pub(super) fn of(list: ModuleList) -> Self {
        Self { router: None, lists: vec![list] }
    }

    /// Returns true if texts of each role have modules of their own.
    pub(super) fn has_router(&self) -> bool {
        self.router.is_some()
    }

    /// Returns the list of modules of a folder without a router.
    pub(super) fn single(mut self, folder: &Path) -> Result<ModuleList, ModelError> {
        match self.router {
            None => Ok(self.lists.remove(0)),
            Some(_) => Err(ModelError::Unsupported {
                path: folder.join("modules.json"),
                what: "an adapter of a model with a Router".into(),
                supported: "adapters of models without one".into(),
            }),
        }
    }

    /// Returns the folders in which the parts of each tower are written.
    pub(super) fn folders(&self) -> Vec<Folders> {
        let Some(router) = &self.router else {
            let kinds = self.lists.iter().flat_map(|list| &list.rest).map(|module| module.kind.as_str());
            return vec![Folders::plain(kinds)];
        };
        // Towers that share a module share its folder.
        let mut known: HashMap<&Path, String> = HashMap::new();
        let mut folders = Vec::new();
        for (route, list) in router.routes.iter().zip(&self.lists) {
            let mut name = |number: usize, kind: &str, place| {
                known.entry(place).or_insert_with(|| format!("{route}_{number}_{kind}")).clone()
            };
            let kind = if list.is_static { "StaticEmbedding" } else { "Transformer" };
            let before = if list.is_static { 1.. } else { 2.. };
            folders.push(Folders {
                encoder: name(0, kind, &*list.transformer),
                pooling: list.pooling.as_ref().map_or_else(String::new, |place| name(1, "Pooling", place)),
                modules: before
                    .zip(&list.rest)
                    .map(|(number, module)| name(number, &module.kind, &module.place))
                    .collect(),
            });
        }
        folders
    }
}
