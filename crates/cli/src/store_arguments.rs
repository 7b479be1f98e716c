//! Arguments and steps that the commands on stores share.

use crate::precision::PrecisionArgument;
use anyhow::{Context as _, Result};
use maana::data::{Blanks, TextStream};
use maana::kernels::{Context, Rows};
use maana::model::{TextEncoder, WeightStorage};
use maana::search::{GRAPH_FROM, ReadStore, WriteStore};
use maana::vectors::index::Reached;
use std::path::PathBuf;

/// Arguments for the graph of a store.
#[derive(clap::Args)]
pub(crate) struct GraphArgument {
    /// Build an index in a folder, so that searches need not compare every vector; auto: from one
    /// million documents on
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    graph: When,
    /// Queries as users will send them (.txt, .jsonl, .csv, .tsv, .parquet; 50 or more) to measure
    /// the recall of the index [default: the store's own vectors, perturbed]
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
    /// Reads the queries for the measurement.
    pub(crate) fn read_queries(&self) -> Result<Option<Vec<String>>> {
        let Some(path) = &self.queries else { return Ok(None) };
        Ok(Some(TextStream::open(path, None, Blanks::Skip)?.collect::<Result<_, _>>()?))
    }

    /// Builds or measures the graph if it is requested, and prints its recall.
    pub(crate) fn build(
        &self,
        writer: &mut dyn WriteStore,
        context: &Context,
        queries: Option<Rows<'_>>,
    ) -> Result<()> {
        let build = match self.graph {
            When::Auto => writer.documents()? >= GRAPH_FROM,
            When::Always => true,
            When::Never => false,
        };
        let start = std::time::Instant::now();
        let built = if build { writer.build_graph(context, queries)? } else { None };
        if let Some(graph) = built {
            let seconds = start.elapsed().as_secs_f64();
            errln!("a graph over {} rows, by {} columns, in {seconds:.1} s", graph.rows, graph.columns);
            for Reached { k, width, recall, .. } in &graph.reached {
                errln!("  {width:>5} wide: recall {:.4} of {k} hits ({:.4} at least)", recall.mean, recall.at_least);
            }
            if let Some(on) = graph.measured_on {
                errln!("  measured on {on}");
            }
        }
        Ok(())
    }
}

/// Arguments for the model of a store.
#[derive(clap::Args)]
pub(crate) struct StoreModelArguments {
    /// The model, if it has moved since the store was created
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) precision: PrecisionArgument,
}

impl StoreModelArguments {
    /// Opens the model of a store.
    pub(crate) fn open(
        &self,
        store: &dyn ReadStore,
        storage: WeightStorage,
        context: &Context,
    ) -> Result<crate::terminal::Opened> {
        let name = self.model.as_deref().unwrap_or(store.made_by());
        crate::terminal::open_model(storage, name, context, self.precision.precision).with_context(|| {
            match self.model {
                Some(_) => "the model of --model".to_owned(),
                None => "the model of the store; if it has moved, name it with --model".to_owned(),
            }
        })
    }
}

/// Creates an encoder of the store's dimension, and checks that the store has this model's
/// vectors.
pub(crate) fn encoder_for(opened: &crate::terminal::Opened, store: &dyn ReadStore) -> Result<TextEncoder> {
    let encoder = crate::terminal::encoder(opened, Some(store.dims()))?;
    store.expect_fingerprint(&encoder.fingerprint(), &name_of(opened)?)?;
    Ok(encoder)
}

/// Returns a name by which the model can be opened again: its name on the hub with the revision, or
/// its folder.
pub(crate) fn name_of(opened: &crate::terminal::Opened) -> Result<String> {
    let resolved = &opened.resolved;
    Ok(match (&resolved.name, &resolved.revision) {
        (Some(name), Some(revision)) => format!("{name}@{revision}"),
        (Some(name), None) => name.clone(),
        (None, _) => resolved.folder.canonicalize()?.display().to_string(),
    })
}
