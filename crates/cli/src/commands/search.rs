//! `maana search`

use crate::store_arguments::{StoreModelArguments, encoder_for};
use anyhow::{Context as _, Result, bail};
use maana::data::{Blanks, TextStream};
use maana::kernels::Context;
use maana::search::{Found, SearchOptions, SearchStrategy, StoreLocation};
use maana::vectors::index::Reached;
use std::path::PathBuf;

/// Find documents of a store by meaning.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  maana search store \"bei ya mahindi\"
  maana search store \"bei ya mahindi\" -k 3 --filter lang=sw --hybrid
  maana search store \"bei ya mahindi\" --rerank CROSS_ENCODER --candidates 200
  maana search store --queries questions.txt --json > hits.jsonl")]
pub(crate) struct Search {
    /// The store: a folder, or postgres://USER@HOST/DATABASE?store=NAME
    store: PathBuf,
    /// The query
    #[arg(required_unless_present = "queries", conflicts_with = "queries")]
    query: Option<String>,
    /// A file of queries (.txt, .jsonl, .json, .csv, .tsv, .parquet), or - for standard input
    #[arg(long, value_name = "FILE|-")]
    queries: Option<PathBuf>,
    /// The column with the queries [default: `text`, else the first column of texts]
    #[arg(long, value_name = "NAME", requires = "queries")]
    column: Option<String>,
    /// Documents to find for each query
    #[arg(short, long, value_name = "N", default_value_t = 10, value_parser = crate::number::one_or_more)]
    k: usize,
    /// Only documents whose field has this value; can be repeated
    #[arg(long, value_name = "FIELD=VALUE")]
    filter: Vec<String>,
    /// Compare the first N columns only
    #[arg(long, value_name = "N")]
    dim: Option<usize>,
    /// Fuse the ranking by meaning with BM25, a ranking by words
    #[arg(long)]
    hybrid: bool,
    /// Target recall: find this share of the true hits, if that is faster. Prints the choice and
    /// its measurement, which uses the queries of --queries, else the store's own vectors,
    /// perturbed
    #[arg(long, value_name = "SHARE", conflicts_with = "dim", value_parser = crate::number::finite::<f64>, allow_negative_numbers = true)]
    recall: Option<f64>,
    /// Compare every vector, even if the store has a graph
    #[arg(long, conflicts_with = "recall")]
    exact: bool,
    /// Order the candidates of the search by the scores of this cross-encoder
    #[arg(long, value_name = "MODEL")]
    rerank: Option<String>,
    /// Candidates of the search for each query that are reranked
    #[arg(long, value_name = "N", default_value_t = super::rerank::CANDIDATES, requires = "rerank", value_parser = crate::number::one_or_more)]
    candidates: usize,
    /// Print JSON lines, an object per query
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    prompt: crate::prompts::QueryPromptArgument,
    #[command(flatten)]
    model: StoreModelArguments,
}

impl Search {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let filters = self.filter.iter().map(|filter| match filter.split_once('=') {
            Some((field, value)) => Ok((field.to_owned(), value.to_owned())),
            None => bail!("--filter {filter}: expected FIELD=VALUE"),
        });
        let cross_encoder = match &self.rerank {
            Some(name) => {
                let encoder = crate::terminal::open_cross_encoder(name, context, self.model.precision.precision)?.model;
                maana::rerank::check_ranks(&encoder).with_context(|| format!("--rerank {name}"))?;
                Some(encoder)
            }
            None => None,
        };
        let options = SearchOptions {
            k: if cross_encoder.is_some() { self.candidates.max(self.k) } else { self.k },
            dim: self.dim,
            filters: filters.collect::<Result<_>>()?,
            hybrid: self.hybrid,
            recall: self.recall,
            measure_on_queries: self.queries.is_some(),
            exact: self.exact,
            also_at: Vec::new(),
        };
        let queries: Vec<String> = match (self.query, &self.queries) {
            (Some(query), _) => vec![query],
            (None, Some(path)) => {
                let mut texts = TextStream::open(path, self.column.as_deref(), Blanks::Skip)?;
                let queries = texts.by_ref().collect::<Result<_, _>>()?;
                crate::terminal::print_skipped(texts.skipped() as usize);
                queries
            }
            (None, None) => unreachable!("clap asks for one of them"),
        };
        let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
        let store = StoreLocation::parse(&self.store)?.read()?;
        let storage = crate::terminal::storage_for(queries.iter().map(|query| query.len()).sum());
        let opened = self.model.open(&*store, storage, context)?;
        let encoder = encoder_for(&opened, &*store)?;
        let encoder = crate::prompts::with_prompts(encoder, self.prompt.query_prompt.as_deref(), None)?;
        crate::prompts::print_prompts(&encoder, &[maana::model::Role::Query]);
        let answers = maana::search::search(&*store, &encoder, context, &queries, &options)?;
        print_strategy(&answers.strategy);
        match cross_encoder {
            None => print_answers(&queries, &answers.hits, self.json, print),
            Some(cross_encoder) => {
                let reranked = super::rerank::rerank_all(&cross_encoder, &queries, answers.hits, self.k)?;
                print_answers(&queries, &reranked, self.json, super::rerank::print_hit)
            }
        }
    }
}

/// Prints the hits of each query, as JSON or by `print`.
fn print_answers<H: serde::Serialize>(
    queries: &[&str],
    answers: &[Vec<H>],
    json: bool,
    print: impl Fn(&H) -> Result<()>,
) -> Result<()> {
    for (query, hits) in queries.iter().zip(answers) {
        if json {
            outln!("{}", serde_json::json!({"query": query, "hits": hits}))?;
            continue;
        }
        if queries.len() > 1 {
            outln!("\n{query}")?;
        }
        if hits.is_empty() {
            outln!("no hits")?;
        }
        hits.iter().try_for_each(&print)?;
    }
    Ok(())
}

fn print(hit: &Found) -> Result<()> {
    let fields: String = hit.content.fields.iter().map(|(name, value)| format!("  {name}={value}")).collect();
    outln!("{:>8.4}  {:<12}  {}{fields}", hit.score, hit.id, hit.content.text)
}

fn print_strategy(strategy: &SearchStrategy) {
    match strategy {
        SearchStrategy::Exact => {}
        SearchStrategy::Described(description) => errln!("{description}"),
        SearchStrategy::Shortlist(choice) => match &choice.funnel {
            Some(measured) => errln!(
                "a shortlist of {} by {} columns in {:?}, then all columns: recall {:.4} ({:.4} at least), measured on {}",
                measured.settings.shortlist,
                measured.settings.prefix,
                measured.settings.precision,
                measured.recall.mean,
                measured.recall.at_least,
                choice.on
            ),
            None => errln!("every vector is compared: no shortlist was sure to reach the recall at less cost"),
        },
        SearchStrategy::Graph { reached, on, later } => {
            let added =
                if *later > 0 { format!("; {later} added since are compared one by one") } else { String::new() };
            let Reached { k, width, recall, .. } = reached;
            match on {
                Some(on) => errln!(
                    "along the graph, {width} wide: recall {:.4} of {k} hits ({:.4} at least) when it was built, measured \
                     on {on}{added}",
                    recall.mean,
                    recall.at_least
                ),
                None => errln!(
                    "along the graph, {width} wide; an earlier version built it, and it may miss duplicates: \
                     `maana compact STORE --graph always` rebuilds it{added}"
                ),
            }
        }
    }
}
