//! `maana index` and `maana add`: documents into a store.

use super::store::GraphArgument;
use crate::precision::{Choice, PrecisionArgument};
use anyhow::{Context, Result, bail};
use maana::kernels::Pool;
use maana::model::{Embedder, Encoder, Purpose};
use maana::search::store::{Store, Stored, Writer};
use maana::search::{Added, Fields};
use std::path::{Path, PathBuf};

/// Which fields of a corpus are what.
#[derive(clap::Args)]
pub(crate) struct FieldArguments {
    /// The field with the id [default: `_id` or `id` where there is one, else the number of the line]
    #[arg(long, value_name = "FIELD")]
    id: Option<String>,
    /// The field with the text [default: `text`, behind `title` where there is one, else the first]
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
    fn fields(self) -> Fields {
        Fields { id: self.id, text: self.text, keep: self.keep, header: self.header }
    }
}

/// Make a store of documents to search in.
#[derive(clap::Args)]
#[command(after_help = "\
CORPUS is a file of .jsonl, .csv, .tsv, .parquet or .txt (a document a line).

Examples:
  maana index MODEL corpus.jsonl --out store
  maana index MODEL news.csv --out store --id url --text body --keep title,date --dim 256
  maana search store \"bei ya mahindi\"")]
pub(crate) struct Index {
    /// A folder, a name on the hub, or name@revision
    model: String,
    /// The documents
    corpus: PathBuf,
    /// The folder of the store, which is made
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    fields: FieldArguments,
    /// Keep the first N columns of every embedding
    #[arg(long, value_name = "N")]
    dim: Option<usize>,
    /// Keep vectors in half the room, rounded to bf16
    #[arg(long)]
    half: bool,
    #[command(flatten)]
    graph: GraphArgument,
    #[command(flatten)]
    precision: PrecisionArgument,
}

impl Index {
    pub(crate) fn run(self, pool: &Pool) -> Result<()> {
        if Store::open(&self.out).is_ok() {
            bail!("{}: is a store already; add to it with `maana add`, or remove it first", self.out.display());
        }
        let opened = crate::terminal::open_model(Purpose::Encode, &self.model, pool, self.precision.precision)?;
        let embedder = crate::terminal::embedder(&opened, pool, self.dim)?;
        let stored = if self.half { Stored::Bf16 } else { Stored::F32 };
        let made_by = name_of(&opened)?;
        let mut writer = maana::search::create(&self.out, &embedder, &made_by, stored)?;
        let added = add(&embedder, &mut writer, &self.corpus, &self.fields.fields());
        if let Err(error) = added {
            if writer.store().is_empty() {
                // Nothing came into it: what is left would only stand in the way of the next try.
                drop(writer);
                let _ = std::fs::remove_dir_all(&self.out);
            }
            return Err(error);
        }
        self.graph.build(&mut writer, pool)?;
        say!("{}", self.out.display())
    }
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
Example:
  maana add store more.jsonl --keep title")]
pub(crate) struct Add {
    /// The folder of the store
    store: PathBuf,
    /// The documents
    corpus: PathBuf,
    #[command(flatten)]
    fields: FieldArguments,
    #[command(flatten)]
    opening: Opening,
}

impl Add {
    pub(crate) fn run(self, pool: &Pool) -> Result<()> {
        let mut writer = Writer::open(&self.store)?;
        let opened = self.opening.model_of(writer.store(), pool)?;
        let embedder = embedder_of(&opened, writer.store(), pool)?;
        let added = add(&embedder, &mut writer, &self.corpus, &self.fields.fields())?;
        say!("{} new, {} replaced, {} in all", added.new, added.replaced, writer.store().len())
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
    pub(crate) fn model_of(&self, store: &Store, pool: &Pool) -> Result<maana::open::Opened> {
        let name = self.model.as_deref().unwrap_or(&store.header().made_by);
        let precision: Choice = self.precision.precision;
        crate::terminal::open_model(Purpose::Encode, name, pool, precision).with_context(|| match self.model {
            Some(_) => "the model given with --model".to_owned(),
            None => "the model that made the store; if it lies elsewhere now, say so with --model".to_owned(),
        })
    }
}

/// An embedder of the store's dimension.
pub(crate) fn embedder_of<'m>(opened: &'m maana::open::Opened, store: &Store, pool: &'m Pool) -> Result<Embedder<'m>> {
    let embedder = crate::terminal::embedder(opened, pool, Some(store.header().dims))?;
    store.expect_fingerprint(&embedder.fingerprint(), &name_of(opened)?)?;
    Ok(embedder)
}

fn add(embedder: &Embedder<'_>, writer: &mut Writer, corpus: &Path, fields: &Fields) -> Result<Added> {
    let progress = crate::terminal::count("documents");
    let start = std::time::Instant::now();
    let added = maana::search::add(embedder, writer, corpus, fields, &mut |done| progress.set_position(done))?;
    progress.finish_and_clear();
    let documents = added.new + added.replaced;
    tell!("{documents} documents in {:.1} s", start.elapsed().as_secs_f64());
    Ok(added)
}
