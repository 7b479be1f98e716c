//! `maana index` and `maana add`: documents into a store.

use super::mine::embed;
use crate::precision::{Choice, PrecisionArgument};
use crate::prompts::{DocumentPromptArgument, print_prompts, with_prompts};
use crate::store_arguments::{GraphArgument, StoreModelArguments, encoder_for, name_of};
use anyhow::{Result, bail};
use maana::kernels::{Context, Matrix};
use maana::model::{Role, RolePrompts, TextEncoder, WeightStorage};
use maana::search::{Fields, Indexed, StoreLocation, WriteStore, add, index};
use std::path::{Path, PathBuf};

/// Arguments for the columns of a corpus.
#[derive(clap::Args)]
pub(crate) struct FieldArguments {
    /// The column of ids [default: `_id` or `id`, else the number of the line]
    #[arg(long, value_name = "FIELD")]
    id: Option<String>,
    /// The column of texts [default: `text`, after `title` if there is one, else the first column
    /// of texts]
    #[arg(long, value_name = "FIELD")]
    text: Option<String>,
    /// Columns to store with the text, to show and to filter by
    #[arg(long, value_name = "FIELD", num_args = 1.., value_delimiter = ',')]
    keep: Vec<String>,
    /// The columns of a .csv or .tsv file without a header; in such a .tsv file quotes are ordinary
    /// characters
    #[arg(long, value_name = "NAME,NAME,…", value_delimiter = ',')]
    header: Option<Vec<String>>,
}

impl FieldArguments {
    fn fields(&self) -> Fields {
        let (id, text) = (self.id.clone(), self.text.clone());
        Fields { id, text, keep: self.keep.clone(), header: self.header.clone() }
    }
}

/// Create a store of documents for searching.
#[derive(clap::Args)]
#[command(after_help = "\
CORPUS is a file of .jsonl, .json, .csv, .tsv, .parquet or .txt (a document per line), or - for standard input. Blank documents \
are skipped; a document without a text or an id is an error.

Examples:
  maana index MODEL corpus.jsonl --out store
  maana index MODEL news.csv --out store --id url --text body --keep title,date --dim 256
  maana search store \"bei ya mahindi\"
  maana index MODEL news.jsonl --store postgres://me@localhost/texts?store=news

A store can be searched once all documents are in it. After an interruption, run the same command again to continue.")]
pub(crate) struct Index {
    /// A folder, a name on the hub, or name@revision
    model: String,
    /// The documents
    corpus: PathBuf,
    /// The store to create: a folder, or postgres://USER@HOST/DATABASE?store=NAME
    #[arg(long, visible_alias = "store", value_name = "STORE")]
    out: PathBuf,
    #[command(flatten)]
    fields: FieldArguments,
    /// Store the first N columns of every embedding
    #[arg(long, value_name = "N")]
    dim: Option<usize>,
    /// Store values in two bytes instead of four, rounded to bf16 (in a database to f16)
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
        let location = StoreLocation::parse(&self.out)?;
        match location.read() {
            Ok(_) => bail!("{location}: is a store already; add to it with `maana add`, or remove it first"),
            // Fail before the model is opened.
            Err(error) if error.is_unavailable() => return Err(error.into()),
            Err(_) => {}
        }
        let queries = self.graph.read_queries()?;
        let opened =
            crate::terminal::open_model(WeightStorage::Packed, &self.model, context, self.precision.precision)?;
        let encoder = crate::terminal::encoder(&opened, self.dim)?;
        let encoder = with_prompts(encoder, None, self.documents.document_prompt.as_deref())?;
        print_prompts(&encoder, &[Role::Document]);
        let made_by = name_of(&opened)?;
        let mut writer = location.begin(&encoder, &made_by, self.half)?;
        let held = writer.documents()?;
        if held > 0 {
            errln!("continuing an unfinished store with {held} documents");
        }
        if let Err(error) = self.fill(&encoder, &mut *writer, queries, context) {
            match writer.documents() {
                // An empty store would only be in the way of the next run.
                Ok(0) => {
                    drop(writer);
                    let _ = location.remove();
                }
                Ok(held) => errln!("note: the store has {held} documents; run the same command again to continue"),
                Err(_) => {}
            }
            return Err(error);
        }
        outln!("{location}")
    }

    fn fill(
        &self,
        encoder: &TextEncoder,
        writer: &mut dyn WriteStore,
        queries: Option<Vec<String>>,
        context: &Context,
    ) -> Result<()> {
        let fields = self.fields.fields();
        timed(|progress| {
            let indexed = index(encoder, writer, &self.corpus, &fields, progress)?;
            if indexed.removed > 0 {
                errln!("{} documents of the earlier run, which this file does not have, are removed", indexed.removed);
            }
            print_notes(&self.corpus, &indexed);
            Ok(indexed.added.new + indexed.added.replaced + indexed.held)
        })?;
        let prompt = encoder.role_prompt(Role::Query);
        let queries = queries.map(|texts| embed(&encoder.for_role(Role::Query), &texts, prompt)).transpose()?;
        self.graph.build(writer, context, queries.as_ref().map(Matrix::view))?;
        Ok(writer.finish()?)
    }
}

/// Prints which of several columns of texts was read, and how many blank texts were skipped.
fn print_notes(corpus: &Path, indexed: &Indexed) {
    if let Some(chosen) = &indexed.chosen {
        errln!("note: {}: {chosen}; --text names another", corpus.display());
    }
    crate::terminal::print_skipped(indexed.skipped);
}

/// Add documents to a store; a document replaces the one with the same id.
#[derive(clap::Args)]
#[command(after_help = "\
Documents are embedded with the precision and the prompt of the store. Documents without ids are numbered consecutively.

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
    model: StoreModelArguments,
}

impl Add {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let mut writer = StoreLocation::parse(&self.store)?.write()?;
        let precision = self.model.precision.precision.or_else(|| writer.precision().and_then(Choice::of_name));
        let model = StoreModelArguments { precision: PrecisionArgument { precision }, ..self.model };
        let opened = model.open(&*writer, WeightStorage::Packed, context)?;
        let encoder = encoder_for(&opened, &*writer)?;
        let encoder = match (&self.documents.document_prompt, writer.document_prompt()) {
            (None, Some(prompt)) => {
                encoder.with_prompts(RolePrompts { document: Some(prompt.to_owned()), ..RolePrompts::default() })
            }
            (prompt, _) => with_prompts(encoder, None, prompt.as_deref())?,
        };
        print_prompts(&encoder, &[Role::Document]);
        let fields = self.fields.fields();
        let mut indexed = Indexed::default();
        timed(|progress| {
            indexed = add(&encoder, &mut *writer, &self.corpus, &fields, progress)?;
            print_notes(&self.corpus, &indexed);
            Ok(indexed.added.new + indexed.added.replaced)
        })?;
        let added = indexed.added;
        outln!("{} new, {} replaced, {} in all", added.new, added.replaced, writer.documents()?)
    }
}

/// Shows the progress of work that returns a number of documents, and prints its duration.
fn timed(work: impl FnOnce(&mut dyn FnMut(u64)) -> Result<usize>) -> Result<()> {
    let progress = crate::terminal::count("documents");
    let start = std::time::Instant::now();
    let documents = work(&mut |done| progress.set_position(done))?;
    progress.finish_and_clear();
    errln!("{documents} documents in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
