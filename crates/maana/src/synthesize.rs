//! The workflow of `maana synthesize`: writes synthetic Swahili pairs and a retrieval set.

use maana_data::DataError;
use maana_swahili::Synthesis;
use std::path::Path;

/// Number of texts that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synthesized {
    /// Pairs in `train.jsonl`.
    pub pairs: usize,
    /// Queries in `dev/queries.jsonl`.
    pub queries: usize,
    /// Documents in `dev/corpus.jsonl`.
    pub documents: usize,
}

/// Writes `train.jsonl` and the retrieval set `dev` into `folder`. The same seed gives the same
/// bytes everywhere.
///
/// # Errors
/// If the folder cannot be created or written.
pub fn synthesize(pairs: usize, queries: usize, seed: u64, folder: &Path) -> Result<Synthesized, DataError> {
    let synthesis = Synthesis { pairs, queries, seed };
    let dev = folder.join("dev");
    let qrels = dev.join("qrels");
    std::fs::create_dir_all(&qrels).map_err(|source| DataError::Io { path: dev.display().to_string(), source })?;
    let pair = |pair: maana_swahili::Pair| serde_json::json!({"positive": pair.positive, "anchor": pair.anchor});
    maana_data::write_jsonl(folder.join("train.jsonl"), synthesis.pairs().map(pair))?;
    let retrieval = synthesis.retrieval();
    let query = |query: &maana_swahili::Document| serde_json::json!({"_id": query.id, "text": query.text});
    maana_data::write_jsonl(dev.join("queries.jsonl"), retrieval.queries.iter().map(query))?;
    let document = |document: &maana_swahili::Document| serde_json::json!({"_id": document.id, "title": "", "text": document.text});
    maana_data::write_jsonl(dev.join("corpus.jsonl"), retrieval.corpus.iter().map(document))?;
    maana_data::write_qrels(qrels.join("test.tsv"), &retrieval.relevant)?;
    Ok(Synthesized { pairs, queries: retrieval.queries.len(), documents: retrieval.corpus.len() })
}
