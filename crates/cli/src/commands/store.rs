//! `maana delete`, `compact`, `index-info`, `index-verify` and `index-salvage`: maintenance of
//! stores.

use super::mine::embed;
use crate::store_arguments::{GraphArgument, StoreModelArguments, encoder_for};
use anyhow::{Result, bail};
use maana::data::{Blanks, Table, TextStream};
use maana::kernels::{Context, Matrix};
use maana::model::{Role, WeightStorage};
use maana::search::store::salvage;
use maana::search::{Compacted, Deleted, StoreLocation};
use std::path::PathBuf;

/// Delete documents from a store.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  maana delete store d17 d18
  maana delete store --ids gone.txt --ignore-missing")]
pub(crate) struct Delete {
    /// The store: a folder, or postgres://USER@HOST/DATABASE?store=NAME
    store: PathBuf,
    /// Ids of the documents
    #[arg(value_name = "ID", required_unless_present = "ids")]
    id: Vec<String>,
    /// A file of ids, one per line, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    ids: Option<PathBuf>,
    /// Ignore ids that no document has; without this option the others are deleted, and the command
    /// fails
    #[arg(long)]
    ignore_missing: bool,
}

impl Delete {
    pub(crate) fn run(self) -> Result<()> {
        let mut ids = self.id;
        if let Some(path) = &self.ids {
            for id in TextStream::of(Table::open_lines(path)?, None, Blanks::Skip)? {
                ids.push(id?);
            }
        }
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut writer = StoreLocation::parse(&self.store)?.write()?;
        let Deleted { documents, missing } = writer.delete(&ids)?;
        outln!("{documents} of {} deleted, {} left", ids.len(), writer.documents()?)?;
        if missing.is_empty() || self.ignore_missing {
            return Ok(());
        }
        const NAMED: usize = 10;
        let named = missing.iter().take(NAMED).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
        let more = if missing.len() > NAMED { format!(" and {} more", missing.len() - NAMED) } else { String::new() };
        bail!("no document has the id {named}{more}; --ignore-missing ignores such ids")
    }
}

/// Free the space of deleted and replaced documents, and rebuild the index: the graph of a large
/// folder, or, in a database of 1000 documents or more, the index over vectors for searches with
/// --recall.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  maana compact store
  maana compact store --graph always --queries questions.txt")]
pub(crate) struct Compact {
    /// The store: a folder, or postgres://USER@HOST/DATABASE?store=NAME
    store: PathBuf,
    #[command(flatten)]
    graph: GraphArgument,
    #[command(flatten)]
    model: StoreModelArguments,
}

impl Compact {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let mut writer = StoreLocation::parse(&self.store)?.write()?;
        let queries = match self.graph.read_queries()? {
            None => None,
            Some(texts) => {
                let opened = self.model.open(&*writer, WeightStorage::Packed, context)?;
                let encoder = encoder_for(&opened, &*writer)?;
                Some(embed(&encoder.for_role(Role::Query), &texts, encoder.role_prompt(Role::Query))?)
            }
        };
        let queries = queries.as_ref().map(Matrix::view);
        let Compacted { before, after, changed, index } = writer.compact(context, queries)?;
        if let Some(index) = index {
            outln!("an index over vectors by {index}")?;
        }
        if changed {
            outln!("{before} bytes before, {after} after")?
        } else {
            outln!("nothing to free")?
        }
        self.graph.build(&mut *writer, context, queries)
    }
}

/// Print the size of a store and the model that made it.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  maana index-info store")]
pub(crate) struct IndexInfo {
    /// The store: a folder, or postgres://USER@HOST/DATABASE?store=NAME
    store: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl IndexInfo {
    pub(crate) fn run(self) -> Result<()> {
        let description = StoreLocation::parse(&self.store)?.read()?.describe()?;
        if self.json {
            return outln!("{}", description.json);
        }
        description.lines.iter().try_for_each(|(label, value)| outln!("{label:<12} {value}"))
    }
}

/// Read a whole store and name the damaged parts.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  maana index-verify store")]
pub(crate) struct IndexVerify {
    /// The store: a folder, or postgres://USER@HOST/DATABASE?store=NAME
    store: PathBuf,
}

impl IndexVerify {
    pub(crate) fn run(self) -> Result<()> {
        let location = StoreLocation::parse(&self.store)?;
        let verified = location.verify()?;
        for damage in &verified.damages {
            outln!("{}: {}", damage.part, damage.what)?;
        }
        if !verified.damages.is_empty() && verified.damages.iter().all(|damage| damage.part == "graph") {
            bail!("{location}: only the graph is damaged; `maana compact --graph always` rebuilds it");
        }
        if !verified.damages.is_empty() {
            bail!(
                "{location}: {} of {} {} are damaged; restore them from a backup, save the intact documents of a folder with \
                 `maana index-salvage`, or index the documents again",
                verified.damages.len(),
                verified.parts,
                verified.unit
            );
        }
        let bytes = verified.bytes.map(|bytes| format!(", {bytes} bytes")).unwrap_or_default();
        outln!("{} {}{bytes}: intact", verified.parts, verified.unit)
    }
}

/// Save the intact documents of a damaged store into a new one, and print the ids of the lost
/// documents.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  maana index-salvage store --out saved > lost.txt")]
pub(crate) struct IndexSalvage {
    /// The store: a folder
    store: PathBuf,
    /// The folder of the new store
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl IndexSalvage {
    pub(crate) fn run(self) -> Result<()> {
        let (store, out) = (StoreLocation::parse(&self.store)?, StoreLocation::parse(&self.out)?);
        let (Some(store), Some(out)) = (store.folder(), out.folder()) else {
            bail!("index-salvage is for folders; `maana index-verify` names the damaged documents of a database");
        };
        let salvaged = salvage(store, out)?;
        for damage in &salvaged.damages {
            errln!("{}", damage.what);
            if damage.unnamed > 0 {
                errln!("  {} of its documents are lost, and their ids too", damage.unnamed);
            }
            if !damage.lost.is_empty() {
                errln!("  {} of its documents are lost:", damage.lost.len());
            }
            if damage.deleted_unknown {
                errln!("  its deletions are lost, so that deleted documents are in the new store");
            }
            damage.lost.iter().try_for_each(|id| outln!("{id}"))?;
        }
        errln!("{} documents are in {}", salvaged.documents, out.display());
        Ok(())
    }
}
