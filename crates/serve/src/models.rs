//! The models that are served, by name: the first from the start, the others when they are first asked for, and let go again
//! where memory is limited and they were not used for longest.

use crate::error::ServeError;
use crate::fault::{Fault, Kind};
use crate::log::Log;
use crate::settings::{Dims, Settings, Source};
use maana::card::matryoshka_dims;
use maana::classify::{self, Classifier};
use maana::kernels::{Context, Precision};
use maana::model::{ModelError, Role, RolePrompts, TextEncoder, WeightStorage};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// A model in memory, and what may be asked of it.
pub(crate) struct Model {
    /// Which of the server's models it is.
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) sentence: TextEncoder,
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Columns of an embedding before any is left out.
    pub(crate) columns: usize,
    /// Columns of an embedding where nothing else is asked for.
    pub(crate) dimension: usize,
    /// The dimensions that may be asked for, largest first.
    pub(crate) dims: Vec<usize>,
    /// Whether any other may be, too.
    pub(crate) any_dimension: bool,
    pub(crate) default_prompt: String,
    pub(crate) query_prompt: String,
    pub(crate) document_prompt: String,
    pub(crate) head: Option<Classifier>,
}

/// What settings say of the first model alone.
#[derive(Default)]
pub(crate) struct Particulars {
    /// The dimensions that may be asked for.
    dims: Dims,
    /// A classifier that is not in the model's folder.
    head: Option<PathBuf>,
    /// What stands before queries: the name of a prompt, a text or `none`.
    query_prompt: Option<String>,
    /// What stands before documents.
    document_prompt: Option<String>,
}

impl Model {
    /// Reads a model.
    pub(crate) fn open(
        number: usize,
        source: &Source,
        context: &Context,
        precision: Precision,
        particulars: &Particulars,
        log: &Log,
    ) -> Result<Self, ServeError> {
        let opened =
            maana::open::open(WeightStorage::Packed, &source.place, context, precision, &mut |notice| log.note(notice));
        let opened = opened.map_err(|error| ServeError::Model { name: source.name.clone(), source: error.into() })?;
        let (sentence, folder) = (opened.model, opened.resolved.folder);
        let wrong = |error| ServeError::Model {
            name: source.name.clone(),
            source: Box::new(maana::open::OpenError::Model(error)),
        };
        let embedder = sentence.clone();
        let Particulars { dims, head, query_prompt, document_prompt } = particulars;
        let prompt = |asked: &Option<String>| asked.as_deref().map(|asked| embedder.prompt_or_text(asked)).transpose();
        let query = prompt(query_prompt).map_err(wrong)?;
        let prompts = RolePrompts { query, document: prompt(document_prompt).map_err(wrong)? };
        let embedder = embedder.with_prompts(prompts);
        for told in [Role::Query, Role::Document].into_iter().filter_map(|role| embedder.describe_prompt(role)) {
            log.note(&format!("model `{}`: {told}", source.name));
        }
        let columns = sentence.spec().dimension();
        let dimension = sentence.spec().settings().truncate_dim.unwrap_or(columns);
        let [default_prompt, query_prompt, document_prompt] =
            [embedder.default_prompt(), embedder.role_prompt(Role::Query), embedder.role_prompt(Role::Document)]
                .map(str::to_owned);
        let head = open_head(&folder, head.as_deref(), &embedder)?;
        let (dims, any_dimension) = allowed(dims, &folder, columns, dimension)?;
        Ok(Self {
            number,
            name: source.name.clone(),
            folder,
            columns,
            dimension,
            dims,
            any_dimension,
            default_prompt,
            query_prompt,
            document_prompt,
            head,
            sentence,
        })
    }

    /// The text of a prompt by its name, or the default one.
    pub(crate) fn prompt(&self, name: Option<&str>) -> Result<String, Fault> {
        let Some(name) = name else { return Ok(self.default_prompt.clone()) };
        let prompts = &self.sentence.spec().settings().prompts;
        let found = prompts.iter().find(|(known, _)| known == name).map(|(_, prompt)| prompt.clone());
        found.ok_or_else(|| {
            let known: Vec<&str> = prompts.iter().map(|(name, _)| name.as_str()).collect();
            let known = if known.is_empty() { "the model has none".into() } else { known.join(", ") };
            Fault::field("prompt_name", format!("`prompt_name`: no prompt is called `{name}`; there are: {known}"))
        })
    }

    /// The dimension that was asked for, if it may be; its own if none was.
    pub(crate) fn dimension(&self, asked: Option<u64>) -> Result<usize, Fault> {
        let Some(asked) = asked else { return Ok(self.dimension) };
        let fits = usize::try_from(asked).ok().filter(|dim| *dim > 0 && *dim <= self.columns);
        if let Some(dim) = fits.filter(|dim| self.any_dimension || self.dims.contains(dim)) {
            return Ok(dim);
        }
        let allowed = if self.any_dimension {
            format!("any from 1 to {}", self.columns)
        } else {
            self.dims.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
        };
        Err(Fault::field("dimensions", format!("`dimensions`: {asked} is not one of the model's; allowed: {allowed}")))
    }
}

/// The classifier of a folder, or the one that was named.
fn open_head(folder: &Path, head: Option<&Path>, embedder: &TextEncoder) -> Result<Option<Classifier>, ServeError> {
    let path = match head {
        Some(path) => path.to_owned(),
        None if folder.join(classify::FILE).is_file() => folder.join(classify::FILE),
        None => return Ok(None),
    };
    let classifier = Classifier::open(&path)?;
    let wrong = || ServeError::Settings(format!("{}: it was fitted on another model or dimension", path.display()));
    let embedder = embedder.clone().with_dimension(classifier.dim).map_err(|_| wrong())?;
    classifier.expect_embedder(&embedder)?;
    Ok(Some(classifier))
}

/// The dimensions that may be asked for, largest first, and whether any may be.
fn allowed(dims: &Dims, folder: &Path, columns: usize, own: usize) -> Result<(Vec<usize>, bool), ServeError> {
    let mut allowed = match dims {
        Dims::These(dims) => {
            if let Some(dim) = dims.iter().find(|dim| **dim == 0 || **dim > columns) {
                let reason =
                    format!("--dims {dim}: the model's embeddings have {columns} dimensions; use 1 to {columns}");
                return Err(ServeError::Settings(reason));
            }
            dims.clone()
        }
        Dims::Declared | Dims::Any => {
            // A card that cannot be read declares nothing.
            let card = maana::files::read_to_string(folder.join("README.md")).unwrap_or_default();
            matryoshka_dims(&card).into_iter().filter(|dim| *dim > 0 && *dim <= columns).collect()
        }
    };
    allowed.push(own);
    allowed.sort_unstable_by(|a, b| b.cmp(a));
    allowed.dedup();
    Ok((allowed, *dims == Dims::Any))
}

/// The models of a server.
pub(crate) struct Models {
    places: Vec<Place>,
    /// Whether any name is that of the first model, as there is no other.
    any_name: bool,
    /// Whether people were told that a request used another name.
    any_name_told: AtomicBool,
    precision: Precision,
    memory: Option<u64>,
    /// Of the first model, and of every other.
    particulars: [Particulars; 2],
    context: Arc<Context>,
    log: Log,
    clock: AtomicU64,
    /// Held by whoever reads a model: one at a time, so that memory is counted right.
    reading: tokio::sync::Mutex<()>,
}

struct Place {
    source: Source,
    model: Mutex<Option<Arc<Model>>>,
    used: AtomicU64,
}

impl Models {
    /// The models that settings name, none of them read.
    pub(crate) fn new(settings: &Settings, context: Arc<Context>, log: Log) -> Result<Self, ServeError> {
        let mut places: Vec<Place> = Vec::new();
        for source in &settings.models {
            if places.iter().any(|place| place.source.name == source.name) {
                let name = &source.name;
                return Err(ServeError::Settings(format!(
                    "two models are called `{name}`; give one another name, as in NAME={}",
                    source.place
                )));
            }
            places.push(Place { source: source.clone(), model: Mutex::default(), used: AtomicU64::new(0) });
        }
        if places.is_empty() {
            return Err(ServeError::Settings("there is no model to serve".into()));
        }
        let first = Particulars {
            dims: settings.dims.clone(),
            head: settings.head.clone(),
            query_prompt: settings.query_prompt.clone(),
            document_prompt: settings.document_prompt.clone(),
        };
        Ok(Self {
            any_name: places.len() == 1 && !settings.strict_model,
            any_name_told: AtomicBool::new(false),
            places,
            precision: settings.precision,
            memory: settings.memory,
            particulars: [first, Particulars::default()],
            context,
            log,
            clock: AtomicU64::new(0),
            reading: tokio::sync::Mutex::default(),
        })
    }

    /// The names, the first one's first.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.places.iter().map(|place| place.source.name.as_str()).collect()
    }

    /// The first model, if it is there.
    pub(crate) fn first(&self) -> Option<Arc<Model>> {
        self.places[0].get(&self.clock)
    }

    /// Reads the first model.
    pub(crate) fn read_first(&self) -> Result<Arc<Model>, ServeError> {
        self.read(0)
    }

    /// How many are in memory.
    pub(crate) fn in_memory(&self) -> usize {
        self.places.iter().filter(|place| place.lock().is_some()).count()
    }

    /// Bytes that the models in memory take.
    pub(crate) fn bytes(&self) -> u64 {
        self.places.iter().filter_map(|place| Some(place.lock().as_ref()?.sentence.model().held_bytes() as u64)).sum()
    }

    /// Whether any name is that of the one model.
    pub(crate) fn answer_to_any_name(&self) -> bool {
        self.any_name
    }

    /// The model's own name, of one that is asked for by name.
    pub(crate) fn named(&self, name: Option<&str>) -> Result<&str, Fault> {
        let number = name.map_or(Ok(0), |name| self.number(name))?;
        Ok(&self.places[number].source.name)
    }

    /// The number of the model of a name, or of where it lies.
    fn number(&self, name: &str) -> Result<usize, Fault> {
        let known = |place: &Place| place.source.name == name || place.source.place == name;
        let number = self.places.iter().position(known);
        if number.is_none() && self.any_name {
            if !self.any_name_told.swap(true, Ordering::Relaxed) {
                let own = &self.places[0].source.name;
                self.log.note(&format!(
                    "a request asked for the model {name:?}; {own:?} answers to any name (not with --strict-model)"
                ));
            }
            return Ok(0);
        }
        number.ok_or_else(|| {
            let message = format!("`model`: there is no `{name}`; there are: {}", self.names().join(", "));
            Fault::new(Kind::NoModel, message).in_field("model")
        })
    }

    /// Checks that no mapped file of the models in memory was changed.
    pub(crate) fn check_unchanged(&self) -> Result<(), ModelError> {
        let in_memory: Vec<Arc<Model>> = self.places.iter().filter_map(|place| place.lock().clone()).collect();
        in_memory.iter().try_for_each(|model| model.sentence.model().check_unchanged())
    }

    /// A model by name, or the first; reads it if need be.
    pub(crate) async fn get(self: &Arc<Self>, name: Option<&str>) -> Result<Arc<Model>, Fault> {
        let number = name.map_or(Ok(0), |name| self.number(name))?;
        if let Some(model) = self.places[number].get(&self.clock) {
            return Ok(model);
        }
        if number == 0 {
            return Err(Fault::new(Kind::Unready, "the model is being read; ask again in a moment"));
        }
        let _reading = self.reading.lock().await;
        if let Some(model) = self.places[number].get(&self.clock) {
            return Ok(model);
        }
        let models = Arc::clone(self);
        let read =
            tokio::task::spawn_blocking(move || models.make_room(number).and_then(|()| models.read_named(number)));
        read.await.unwrap_or_else(|_| Err(Fault::backend()))
    }

    fn read_named(&self, number: usize) -> Result<Arc<Model>, Fault> {
        self.read(number).map_err(|error| {
            self.log.warn(&error.to_string());
            let name = &self.places[number].source.name;
            Fault::new(Kind::Backend, format!("the model `{name}` cannot be read; the server's log says why"))
        })
    }

    fn read(&self, number: usize) -> Result<Arc<Model>, ServeError> {
        let place = &self.places[number];
        let particulars = &self.particulars[number.min(1)];
        let model = Model::open(number, &place.source, &self.context, self.precision, particulars, &self.log)?;
        let model = Arc::new(model);
        *place.lock() = Some(Arc::clone(&model));
        place.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.log.note(&format!("model `{}`: {} MB of weights", model.name, model.sentence.model().held_bytes() >> 20));
        Ok(model)
    }

    /// Lets models go that nobody uses, longest unused first, until there is room for one more.
    fn make_room(&self, number: usize) -> Result<(), Fault> {
        let Some(memory) = self.memory else { return Ok(()) };
        let needed = weight_bytes(Path::new(&self.places[number].source.place));
        while self.bytes() + needed > memory {
            let idle = self.places.iter().enumerate().skip(1).filter(|(_, place)| place.is_idle());
            let Some((_, place)) = idle.min_by_key(|(_, place)| place.used.load(Ordering::Relaxed)) else {
                let name = &self.places[number].source.name;
                let message = format!("there is no memory for the model `{name}` beside those that are in use");
                return Err(Fault::new(Kind::Unready, message));
            };
            self.log.note(&format!("model `{}` is let go", place.source.name));
            *place.lock() = None;
        }
        Ok(())
    }
}

impl Place {
    fn get(&self, clock: &AtomicU64) -> Option<Arc<Model>> {
        let model = self.lock().clone()?;
        self.used.store(clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(model)
    }

    fn is_idle(&self) -> bool {
        self.lock().as_ref().is_some_and(|model| Arc::strong_count(model) == 1)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Model>>> {
        // It is set and cleared whole.
        self.model.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Bytes of the weights in a folder: what is known of a model's size before it is read. Nothing of a model that is elsewhere.
fn weight_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let weights = entries.flatten().filter(|entry| entry.path().extension().is_some_and(|it| it == "safetensors"));
    weights.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}
