//! `maana delete`, `compact`, `index-info` and `index-verify`: a store without its model.

use anyhow::{Context, Result, bail};
use maana::kernels::Pool;
use maana::search::store::{Store, Writer, verify};
use maana::search::{GRAPH_FROM, build_graph};
use maana::vectors::index::Graph;
use std::path::PathBuf;

/// Delete documents from a store.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  maana delete store d17 d18
  maana delete store --ids gone.txt")]
pub(crate) struct Delete {
    /// The folder of the store
    store: PathBuf,
    /// Ids of the documents
    #[arg(value_name = "ID", required_unless_present = "ids")]
    id: Vec<String>,
    /// A file of ids, one a line
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
}

impl Delete {
    pub(crate) fn run(self) -> Result<()> {
        let mut ids = self.id;
        if let Some(path) = &self.ids {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            ids.extend(text.lines().filter(|line| !line.is_empty()).map(String::from));
        }
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut writer = Writer::open(&self.store)?;
        let deleted = writer.delete(&ids)?;
        say!("{deleted} of {} deleted, {} left", ids.len(), writer.store().len())
    }
}

/// Give back the room of documents that were deleted or replaced, and make the graph of a large store anew.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  maana compact store
  maana compact store --graph always")]
pub(crate) struct Compact {
    /// The folder of the store
    store: PathBuf,
    #[command(flatten)]
    graph: GraphArgument,
}

impl Compact {
    pub(crate) fn run(self, pool: &Pool) -> Result<()> {
        let mut writer = Writer::open(&self.store)?;
        let before = writer.store().info().bytes;
        let done = writer.compact()?;
        let after = writer.store().info().bytes;
        if done {
            say!("{before} bytes before, {after} after")?
        } else {
            say!("nothing to give back")?
        }
        let stale = Graph::of(writer.store())?.is_none_or(|graph| graph.rows() < writer.store().corpus().rows());
        if stale { self.graph.build(&mut writer, pool) } else { Ok(()) }
    }
}

/// Whether a store gets a graph.
#[derive(clap::Args)]
pub(crate) struct GraphArgument {
    /// An index for searches that need not compare every vector; auto: from a million documents on
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    graph: When,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

impl GraphArgument {
    pub(crate) fn build(&self, writer: &mut Writer, pool: &Pool) -> Result<()> {
        let wanted = match self.graph {
            When::Auto => writer.store().len() >= GRAPH_FROM,
            When::Always => true,
            When::Never => false,
        };
        if !wanted {
            return Ok(());
        }
        let start = std::time::Instant::now();
        let graph = build_graph(writer, pool)?;
        let seconds = start.elapsed().as_secs_f64();
        tell!("a graph over {} rows, by {} columns, in {seconds:.1} s", graph.rows(), graph.prefix());
        for reached in graph.reached() {
            tell!("  {:>5} wide: recall {:.4}", reached.width, reached.recall);
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
    /// The folder of the store
    store: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl IndexInfo {
    pub(crate) fn run(self) -> Result<()> {
        let store = Store::open(&self.store)?;
        let info = store.info();
        let header = &info.header;
        let graph = Graph::of(&store)?;
        if self.json {
            return say!(
                "{}",
                serde_json::json!({
                    "documents": info.documents, "dead": info.dead, "segments": info.segments, "bytes": info.bytes,
                    "generation": info.generation, "header": header, "graph": graph.as_ref().map(|graph| {
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
        say!("fingerprint  {}", header.fingerprint)?;
        say!("on disk      {} bytes in {} segments, {} documents dead", info.bytes, info.segments, info.dead)?;
        match graph {
            Some(graph) => {
                say!("graph        over {} rows, by {} columns, {} bytes", graph.rows(), graph.prefix(), graph.bytes())
            }
            None => say!("graph        none: every vector is compared"),
        }
    }
}

/// Read every byte of a store and say what is not as it was written.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  maana index-verify store")]
pub(crate) struct IndexVerify {
    /// The folder of the store
    store: PathBuf,
}

impl IndexVerify {
    pub(crate) fn run(self) -> Result<()> {
        let verified = verify(&self.store)?;
        for damage in &verified.damages {
            say!("{}: {}", damage.file, damage.what)?;
        }
        if !verified.damages.is_empty() {
            bail!(
                "{}: {} of {} files are damaged; restore them from a copy, or index the documents again",
                self.store.display(),
                verified.damages.len(),
                verified.files
            );
        }
        say!("{} files, {} bytes: as they were written", verified.files, verified.bytes)
    }
}
