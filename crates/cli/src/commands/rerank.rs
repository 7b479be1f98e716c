//! `maana rerank`

use crate::cross_encoder::{CrossEncoderArguments, print_truncated};
use crate::precision::PrecisionArgument;
use crate::store_arguments::{StoreModelArguments, encoder_for};
use anyhow::{Result, bail};
use maana::data::{Blanks, DataError};
use maana::kernels::Context;
use maana::model::CrossEncoder;
use maana::rerank::{Reranked, RerankedHit, check_ranks, rerank, rerank_hits};
use maana::search::{Found, SearchOptions, StoreLocation};
use maana::texts::Columns;
use std::path::{Path, PathBuf};

/// Candidates of a search that are reranked by default.
pub(crate) const CANDIDATES: usize = 100;

/// Order documents by the scores of a cross-encoder.
#[derive(clap::Args)]
#[command(after_help = "\
Documents are the texts of a file, numbered from 1, or the candidates that a store finds for the query with its own model.

Examples:
  maana rerank MODEL \"bei ya mahindi\" documents.txt -k 3
  maana rerank MODEL \"bei ya mahindi\" store --candidates 200")]
pub(crate) struct Rerank {
    /// Cross-encoder: a folder, a name on the hub, or name@revision
    model: String,
    /// The query
    query: String,
    /// File of documents (.txt, .jsonl, .json, .csv, .tsv, .parquet), - for standard input, or a
    /// store: a folder, or postgres://USER@HOST/DATABASE?store=NAME
    documents: PathBuf,
    /// Documents to print [default: all]
    #[arg(short, long, value_name = "N", value_parser = crate::number::one_or_more)]
    k: Option<usize>,
    /// The column with the documents [default: `text`, else the first column of texts]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// Documents of a store to rerank [default: 100]
    #[arg(long, value_name = "N", value_parser = crate::number::one_or_more)]
    candidates: Option<usize>,
    /// The model of a store, if it has moved since the store was created
    #[arg(long, value_name = "MODEL")]
    store_model: Option<String>,
    /// Print JSON lines, an object per document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    encoder: CrossEncoderArguments,
}

impl Rerank {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let location = StoreLocation::parse(&self.documents)?;
        if location.folder().is_none_or(Path::is_dir) {
            return self.rerank_store(&location, context);
        }
        if self.candidates.is_some() {
            bail!("--candidates: {} is a file, of which all documents are reranked", self.documents.display());
        }
        let texts = read(&self.documents, self.column.as_deref())?;
        let encoder = self.encoder.open(&self.model, context)?;
        let documents: Vec<&str> = texts.iter().map(String::as_str).collect();
        let ranked = rerank(&encoder, &self.query, &documents, self.k)?;
        print_truncated(&encoder);
        if ranked.is_empty() {
            errln!("no documents");
        }
        for Reranked { index, score } in ranked {
            let (number, text) = (index + 1, documents[index]);
            match self.json {
                true => outln!("{}", serde_json::json!({"number": number, "score": score, "text": text}))?,
                false => outln!("{score:>8.4}  {number:<6}  {text}")?,
            }
        }
        Ok(())
    }

    /// Reranks the documents that a store finds for the query.
    fn rerank_store(&self, location: &StoreLocation, context: &Context) -> Result<()> {
        if self.column.is_some() {
            bail!("--column: {} is a store, whose documents have one text", self.documents.display());
        }
        let store = location.read()?;
        let cross_encoder = self.encoder.open(&self.model, context)?;
        check_ranks(&cross_encoder)?;
        let of_store = StoreModelArguments {
            model: self.store_model.clone(),
            precision: PrecisionArgument { precision: self.encoder.precision.precision },
        };
        let opened = of_store.open(&*store, crate::terminal::storage_for(self.query.len()), context)?;
        let encoder = encoder_for(&opened, &*store)?;
        let k = self.candidates.unwrap_or(CANDIDATES).max(self.k.unwrap_or_default());
        let options = SearchOptions { k, ..SearchOptions::default() };
        let mut answers = maana::search::search(&*store, &encoder, context, &[&self.query], &options)?;
        let hits = rerank_hits(&cross_encoder, &self.query, answers.hits.remove(0), self.k.unwrap_or(k))?;
        print_truncated(&cross_encoder);
        for hit in &hits {
            match self.json {
                true => outln!("{}", serde_json::json!(hit))?,
                false => print_hit(hit)?,
            }
        }
        if hits.is_empty() {
            errln!("no documents");
        }
        Ok(())
    }
}

/// Reads all documents of a file, blank ones too; none of an empty file.
fn read(path: &Path, column: Option<&str>) -> Result<Vec<String>> {
    let columns = Columns { text: column.map(str::to_owned), header: None };
    let read = match maana::texts::read(path, &columns, &[], Blanks::Keep) {
        Err(DataError::NoRows { .. }) => return Ok(Vec::new()),
        read => read?,
    };
    if let Some(chosen) = &read.chosen {
        errln!("note: {}: {chosen}; --column names another", path.display());
    }
    Ok(read.texts)
}

/// Returns the best hits of each query in the order of a cross-encoder's scores.
pub(crate) fn rerank_all(
    encoder: &CrossEncoder,
    queries: &[&str],
    hits: Vec<Vec<Found>>,
    k: usize,
) -> Result<Vec<Vec<RerankedHit>>> {
    let reranked = queries.iter().zip(hits).map(|(query, hits)| rerank_hits(encoder, query, hits, k));
    let reranked = reranked.collect::<Result<_, _>>()?;
    print_truncated(encoder);
    Ok(reranked)
}

/// Prints a hit with its new score, and its rank in the search.
pub(crate) fn print_hit(hit: &RerankedHit) -> Result<()> {
    let Found { id, content, score, .. } = &hit.found;
    let fields: String = content.fields.iter().map(|(name, value)| format!("  {name}={value}")).collect();
    outln!("{score:>8.4}  {:>4}  {id:<12}  {}{fields}", format!("#{}", hit.search_rank), content.text)
}
