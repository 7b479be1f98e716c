//! `maana index` and `maana add`: documents into a store.

use super::store::GraphArgument;
use crate::precision::{Choice, PrecisionArgument};
use crate::prompts::{DocumentPromptArgument, print_prompts, with_prompts};
use anyhow::{Context as _, Result, bail};
use maana::kernels::{Context, Matrix};
use maana::model::{Embedder, Encoder, Purpose, Role, RolePrompts};
use maana::search::postgres::PostgresError;
use maana::search::{Added, Fields, Indexed, Place, ReadStore, SearchError, WriteStore, add, index};
use std::path::{Path, PathBuf};

/// Which fields of a corpus are what.
#[derive(clap::Args)]
pub(crate) struct FieldArguments {
    /// The field with the id [default: `_id` or `id` where there is one, else the number of the line]
    #[arg(long, value_name = "FIELD")]
    id: Option<String>,
    /// The field with the text [default: `text`, behind `title` where there is one, else the first of texts]
    #[arg(long, value_name = "FIELD")]
    text: Option<String>,
    /// Fields to keep beside the text, to be shown and to filter by
    #[arg(long, value_name = "FIELD", num_args = 1.., value_delimiter = ',')]
    keep: Vec<String>,
    /// The columns of a .csv or .tsv file that has no header; in such a .tsv quotes are letters
    #[arg(long, value_name = "NAME,NAME,…", value_delimiter = ',')]
    header: Option<Vec<String>>,
}

impl FieldArguments {
    fn fields(&self) -> Fields {
        let (id, text) = (self.id.clone(), self.text.clone());
        Fields { id, text, keep: self.keep.clone(), header: self.header.clone() }
    }
}

/// Make a store of documents to search in.
#[derive(clap::Args)]
#[command(after_help = "\
CORPUS is a file of .jsonl, .json, .csv, .tsv, .parquet or .txt (a document a line), or - for standard input. A blank document is \
skipped; one without a text, or without an id, is an error.

Examples:
  maana index MODEL corpus.jsonl --out store
  maana index MODEL news.csv --out store --id url --text body --keep title,date --dim 256
  maana search store \"bei ya mahindi\"
  maana index MODEL news.jsonl --store postgres://me@localhost/texts?store=news

A store can be searched when all documents are in it. If the command is stopped before, the same command goes on from there.")]
pub(crate) struct Index {
    /// A folder, a name on the hub, or name@revision
    model: String,
    /// The documents
    corpus: PathBuf,
    /// The store, which is made: a folder, or postgres://USER@HOST/DATABASE?store=NAME
    #[arg(long, visible_alias = "store", value_name = "STORE")]
    out: PathBuf,
    #[command(flatten)]
    fields: FieldArguments,
    /// Keep the first N columns of every embedding
    #[arg(long, value_name = "N")]
    dim: Option<usize>,
    /// Keep vectors in half the room, rounded to bf16 (in a database to f16)
    #[arg(long)]
    half: bool,
    #[command(flatten)]
    documents: DocumentPromptArgument,
    #[command(flatten)]
    graph: GraphArgument,
    #[command(flatten)]
    precision: PrecisionArgument,
}

impl Index {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let place = Place::of(&self.out)?;
        match place.read() {
            Ok(_) => bail!("{place}: is a store already; add to it with `maana add`, or remove it first"),
            // A database that cannot be had is not worth opening the model for.
            Err(SearchError::Postgres(error)) if !matches!(error, PostgresError::NotAStore { .. }) => {
                return Err(error.into());
            }
            Err(_) => {}
        }
        let queries = self.graph.read_queries()?;
        let opened = crate::terminal::open_model(Purpose::Encode, &self.model, context, self.precision.precision)?;
        let embedder = crate::terminal::embedder(&opened, context, self.dim)?;
        let embedder = with_prompts(embedder, None, self.documents.document_prompt.as_deref())?;
        print_prompts(&embedder, &[Role::Document]);
        let made_by = name_of(&opened)?;
        let mut writer = place.begin(&embedder, &made_by, self.half)?;
        let held = writer.documents()?;
        if held > 0 {
            tell!("going on with a store that was not finished: {held} documents are there");
        }
        if let Err(error) = self.fill(&embedder, &mut *writer, queries, context) {
            match writer.documents() {
                // Nothing came into it: what is left would only stand in the way of the next try.
                Ok(0) => {
                    drop(writer);
                    let _ = place.remove();
                }
                Ok(held) => tell!("note: {held} documents are in the store; the same command will go on from there"),
                Err(_) => {}
            }
            return Err(error);
        }
        say!("{place}")
    }

    fn fill(
        &self,
        embedder: &Embedder<'_>,
        writer: &mut dyn WriteStore,
        queries: Option<Vec<String>>,
        context: &Context,
    ) -> Result<()> {
        let fields = self.fields.fields();
        timed(|progress| {
            let Indexed { added, held, removed } = index(embedder, writer, &self.corpus, &fields, progress)?;
            if removed > 0 {
                tell!("{removed} documents of the earlier try, which this file does not have, are removed");
            }
            tell_about(&self.corpus, &added);
            Ok(added.new + added.replaced + held)
        })?;
        let prompt = embedder.role_prompt(Role::Query);
        let queries = queries.map(|texts| super::mine::embed(embedder, &texts, prompt)).transpose()?;
        self.graph.make(writer, context, queries.as_ref().map(Matrix::view))?;
        Ok(writer.finish()?)
    }
}

/// Prints which column was taken where there was a choice, and how many blank texts were skipped.
fn tell_about(corpus: &Path, added: &Added) {
    if let Some(chosen) = &added.chosen {
        tell!("note: {}: {chosen}; --text names another", corpus.display());
    }
    crate::terminal::tell_skipped(added.skipped);
}

/// The model's name under which it is found again: on the hub with its revision, or its folder.
pub(crate) fn name_of(opened: &maana::open::Opened) -> Result<String> {
    let resolved = &opened.resolved;
    Ok(match (&resolved.name, &resolved.revision) {
        (Some(name), Some(revision)) => format!("{name}@{revision}"),
        (Some(name), None) => name.clone(),
        (None, _) => resolved.folder.canonicalize()?.display().to_string(),
    })
}

/// Add documents to a store; one with an id that is there takes the other's place.
#[derive(clap::Args)]
#[command(after_help = "\
Documents are embedded in the precision, and behind the prompt, that the store was made with. Documents without ids are \
numbered onwards.

Example:
  maana add store more.jsonl --keep title")]
pub(crate) struct Add {
    /// The store: a folder, or postgres://USER@HOST/DATABASE?store=NAME
    store: PathBuf,
    /// The documents
    corpus: PathBuf,
    #[command(flatten)]
    fields: FieldArguments,
    #[command(flatten)]
    documents: DocumentPromptArgument,
    #[command(flatten)]
    opening: Opening,
}

impl Add {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let mut writer = Place::of(&self.store)?.write()?;
        let precision = self.opening.precision.precision.or_else(|| writer.precision().and_then(Choice::of_name));
        let opening = Opening { precision: PrecisionArgument { precision }, ..self.opening };
        let opened = opening.model_of(&*writer, Purpose::Encode, context)?;
        let embedder = embedder_of(&opened, &*writer, context)?;
        let embedder = match (&self.documents.document_prompt, writer.document_prompt()) {
            (None, Some(prompt)) => {
                embedder.with_prompts(RolePrompts { document: Some(prompt.to_owned()), ..RolePrompts::default() })
            }
            (asked, _) => with_prompts(embedder, None, asked.as_deref())?,
        };
        print_prompts(&embedder, &[Role::Document]);
        let fields = self.fields.fields();
        let mut added = Added::default();
        timed(|progress| {
            added = add(&embedder, &mut *writer, &self.corpus, &fields, progress)?;
            tell_about(&self.corpus, &added);
            Ok(added.new + added.replaced)
        })?;
        say!("{} new, {} replaced, {} in all", added.new, added.replaced, writer.documents()?)
    }
}

/// How the model of a store is opened.
#[derive(clap::Args)]
pub(crate) struct Opening {
    /// The model, if it is no longer where it was when the store was made
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    precision: PrecisionArgument,
}

impl Opening {
    pub(crate) fn model_of(
        &self,
        store: &dyn ReadStore,
        purpose: Purpose,
        context: &Context,
    ) -> Result<maana::open::Opened> {
        let name = self.model.as_deref().unwrap_or(store.made_by());
        crate::terminal::open_model(purpose, name, context, self.precision.precision).with_context(|| {
            match self.model {
                Some(_) => "the model given with --model".to_owned(),
                None => "the model that made the store; if it lies elsewhere now, say so with --model".to_owned(),
            }
        })
    }
}

/// An embedder of the store's dimension.
pub(crate) fn embedder_of<'m>(
    opened: &'m maana::open::Opened,
    store: &dyn ReadStore,
    context: &'m Context,
) -> Result<Embedder<'m>> {
    let embedder = crate::terminal::embedder(opened, context, Some(store.dims()))?;
    store.expect_fingerprint(&embedder.fingerprint(), &name_of(opened)?)?;
    Ok(embedder)
}

/// Shows the progress of work that gives the number of documents, and says how long it took.
fn timed(work: impl FnOnce(&mut dyn FnMut(u64)) -> Result<usize>) -> Result<()> {
    let progress = crate::terminal::count("documents");
    let start = std::time::Instant::now();
    let documents = work(&mut |done| progress.set_position(done))?;
    progress.finish_and_clear();
    tell!("{documents} documents in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
