//! `maana delete`, `compact`, `index-info` and `index-verify`: a store without its model.

use super::index::{Opening, embedder_of};
use super::mine::embed;
use anyhow::{Result, bail};
use maana::data::{Blanks, Table, TextStream};
use maana::kernels::{Context, Matrix, Rows};
use maana::model::{Purpose, Role};
use maana::search::store::{StoreInfo, salvage};
use maana::search::{Compacted, Deleted, GRAPH_FROM, Info, Place, WriteStore, postgres};
use maana::vectors::index::{Graph, Reached};
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
    /// A file of ids, one a line, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    ids: Option<PathBuf>,
    /// Let ids pass that no document has; without this they are named, and the command fails once the others are deleted
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
        let mut writer = Place::of(&self.store)?.write()?;
        let Deleted { documents, missing } = writer.delete(&ids)?;
        say!("{documents} of {} deleted, {} left", ids.len(), writer.documents()?)?;
        if missing.is_empty() || self.ignore_missing {
            return Ok(());
        }
        const NAMED: usize = 10;
        let named = missing.iter().take(NAMED).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
        let more = if missing.len() > NAMED { format!(" and {} more", missing.len() - NAMED) } else { String::new() };
        bail!("no document has the id {named}{more}; --ignore-missing lets that pass")
    }
}

/// Give back the room of documents that were deleted or replaced, and make anew what makes searching quick: the graph of a large
/// folder; in a database of 1000 documents or more the index over vectors that --recall searches by.
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
    opening: Opening,
}

impl Compact {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let mut writer = Place::of(&self.store)?.write()?;
        let queries = match self.graph.read_queries()? {
            None => None,
            Some(texts) => {
                let opened = self.opening.model_of(&*writer, Purpose::Encode, context)?;
                let embedder = embedder_of(&opened, &*writer, context)?;
                Some(embed(&embedder, &texts, embedder.role_prompt(Role::Query))?)
            }
        };
        let queries = queries.as_ref().map(Matrix::view);
        let Compacted { before, after, changed, graph } = writer.compact(context, queries)?;
        if let Some(graph) = graph {
            say!("an index over vectors by {}", told(&graph))?;
        }
        if changed {
            say!("{before} bytes before, {after} after")?
        } else {
            say!("nothing to give back")?
        }
        self.graph.make(&mut *writer, context, queries)
    }
}

/// Whether a store gets a graph.
#[derive(clap::Args)]
pub(crate) struct GraphArgument {
    /// An index in a folder, for searches that need not compare every vector; auto: from a million documents on
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    graph: When,
    /// Queries as they will be asked (.txt, .jsonl, .csv, .tsv, .parquet; 50 or more), to measure by them what the index finds,
    /// and not by the store's own vectors, perturbed
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

impl GraphArgument {
    /// The texts of the queries to measure by.
    pub(crate) fn read_queries(&self) -> Result<Option<Vec<String>>> {
        let Some(path) = &self.queries else { return Ok(None) };
        Ok(Some(TextStream::open(path, None, Blanks::Skip)?.collect::<Result<_, _>>()?))
    }

    pub(crate) fn make(&self, writer: &mut dyn WriteStore, context: &Context, queries: Option<Rows<'_>>) -> Result<()> {
        let wanted = match self.graph {
            When::Auto => writer.documents()? >= GRAPH_FROM,
            When::Always => true,
            When::Never => false,
        };
        let start = std::time::Instant::now();
        let made = if wanted { writer.make_graph(context, queries)? } else { None };
        if let Some(graph) = made {
            let seconds = start.elapsed().as_secs_f64();
            tell!("a graph over {} rows, by {} columns, in {seconds:.1} s", graph.rows(), graph.prefix());
            for Reached { k, width, recall, .. } in graph.reached() {
                tell!("  {width:>5} wide: recall {:.4} of {k} hits ({:.4} at least)", recall.mean, recall.at_least);
            }
            if let Some(on) = graph.measured_on() {
                tell!("  measured on {on}");
            }
        }
        Ok(())
    }
}

/// Print what a store holds and what made it.
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
        match Place::of(&self.store)?.read()?.info()? {
            Info::Folder { store, graph } => tell_folder(&store, graph.as_deref(), self.json),
            Info::Postgres(info) => tell_database(&info, self.json),
        }
    }
}

fn tell_folder(info: &StoreInfo, graph: Option<&Graph>, json: bool) -> Result<()> {
    let header = &info.header;
    if json {
        return say!(
            "{}",
            serde_json::json!({
                "documents": info.documents, "dead": info.dead, "segments": info.segments, "bytes": info.bytes,
                "generation": info.generation, "header": header, "graph": graph.map(|graph| {
                    serde_json::json!({"rows": graph.rows(), "columns": graph.prefix(), "bytes": graph.bytes()})
                }),
            })
        );
    }
    say!("documents    {}", info.documents)?;
    say!("dimensions   {}", header.dims)?;
    say!("compared by  {}", header.metric.name())?;
    say!("kept as      {:?}", header.stored)?;
    say!("made by      {}", header.made_by)?;
    say!("precision    {}", told_precision(header.precision.as_deref()))?;
    say!("fingerprint  {}", header.fingerprint)?;
    say!("on disk      {} bytes in {} segments, {} documents dead", info.bytes, info.segments, info.dead)?;
    match graph {
        Some(graph) => {
            say!("graph        over {} rows, by {} columns, {} bytes", graph.rows(), graph.prefix(), graph.bytes())?;
            if graph.is_old() {
                say!(
                    "             of an earlier version, may miss copies; `maana compact --graph always` makes it anew"
                )?;
            }
            Ok(())
        }
        None => say!("graph        none: every vector is compared"),
    }
}

fn tell_database(info: &postgres::Info, json: bool) -> Result<()> {
    let header = &info.header;
    if json {
        return say!("{}", serde_json::json!(info));
    }
    say!("documents    {}", info.documents)?;
    say!("dimensions   {}", header.dims)?;
    say!("compared by  {}", header.metric.name())?;
    say!("kept as      {}", if header.half { "F16" } else { "F32" })?;
    say!("made by      {}", header.made_by)?;
    say!("precision    {}", told_precision(header.precision.as_deref()))?;
    say!("fingerprint  {}", header.fingerprint)?;
    say!("on disk      {} bytes of {}", info.bytes, info.server)?;
    match &info.graph {
        Some(graph) => say!("index        {}", told(graph)),
        None => say!("index        none; `maana compact` makes one from 1000 documents on"),
    }
}

/// Precision of the products that made a store's vectors; earlier programs did not note it.
fn told_precision(precision: Option<&str>) -> &str {
    precision.unwrap_or("not noted")
}

/// An index over vectors: what it compares, and what its shortlists are worth.
fn told(graph: &postgres::Graph) -> String {
    let measured = graph.measured.iter().filter(|measured| measured.k == 10);
    let measured: Vec<String> =
        measured.map(|measured| format!("{:.4} by {}", measured.recall, measured.shortlist)).collect();
    let kept = if graph.bits { "1 bit" } else { "f16" };
    let on = graph.on.map(|on| format!(", measured on {on}")).unwrap_or_default();
    format!("{} columns in {kept}; recall of 10 hits by shortlist: {}{on}", graph.prefix, measured.join(", "))
}

/// Read every byte of a store and say what is not as it was written.
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
        let place = Place::of(&self.store)?;
        let verified = place.verify()?;
        for damage in &verified.damages {
            say!("{}: {}", damage.part, damage.what)?;
        }
        if !verified.damages.is_empty() && verified.damages.iter().all(|damage| damage.part == "graph") {
            bail!(
                "{place}: the graph is damaged, and no document is in it: `maana compact --graph always` makes it anew"
            );
        }
        if !verified.damages.is_empty() {
            bail!(
                "{place}: {} of {} {} are damaged; restore them from a copy, save what is whole of a folder with \
                 `maana index-salvage`, or index the documents again",
                verified.damages.len(),
                verified.parts,
                verified.named
            );
        }
        let bytes = verified.bytes.map(|bytes| format!(", {bytes} bytes")).unwrap_or_default();
        say!("{} {}{bytes}: as they were written", verified.parts, verified.named)
    }
}

/// Save the documents of a damaged store that are whole into a new one, and print the ids of those that are lost.
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
        let (Place::Folder(store), Place::Folder(out)) = (Place::of(&self.store)?, Place::of(&self.out)?) else {
            bail!("index-salvage is for folders; of a database `maana index-verify` names the damaged documents");
        };
        let salvaged = salvage(&store, &out)?;
        for damage in &salvaged.damages {
            tell!("{}", damage.what);
            if damage.unnamed > 0 {
                tell!("  {} documents of it are lost and cannot be named", damage.unnamed);
            }
            if !damage.lost.is_empty() {
                tell!("  {} documents of it are lost:", damage.lost.len());
            }
            if damage.deleted_unknown {
                tell!("  what was deleted of it is not known, and is in the new store");
            }
            damage.lost.iter().try_for_each(|id| say!("{id}"))?;
        }
        tell!("{} documents are in {}", salvaged.documents, out.display());
        Ok(())
    }
}
