//! The first stage of retrieval, whose best documents a cross-encoder reorders.

use super::error::EvaluationError;
use crate::search::terms;
use crate::texts::embed_role;
use maana_data::RetrievalSet;
use maana_eval::metric;
use maana_kernels::Context;
use maana_model::{Role, TextEncoder};
use maana_vectors::bm25::Bm25;
use maana_vectors::search::{Corpus, Hit, Search, search};

/// The first stage of retrieval.
#[derive(Clone)]
pub struct FirstStage {
    /// The ranking of all documents.
    pub ranking: FirstRanking,
    /// Number of documents of each query that are reordered.
    pub candidates: usize,
}

/// The ranking by which the candidates of a query are found.
#[derive(Clone)]
pub enum FirstRanking {
    /// BM25 over words.
    Bm25,
    /// The embeddings of a bi-encoder, by its similarity.
    Encoder(TextEncoder),
}

impl Default for FirstStage {
    /// Returns the first stage of the reference's evaluator on NanoBEIR: the first 100 of BM25.
    fn default() -> Self {
        Self { ranking: FirstRanking::Bm25, candidates: 100 }
    }
}

impl FirstStage {
    /// Returns the candidates of some queries of a set, best first. With BM25 a query has fewer if
    /// fewer documents share a word with it.
    pub(super) fn rank(
        &self,
        context: &Context,
        set: &RetrievalSet,
        queries: &[usize],
    ) -> Result<Vec<Vec<usize>>, EvaluationError> {
        let text = |query: &usize| set.queries[*query].1.as_str();
        let rows = |hits: Vec<Hit>| hits.into_iter().map(|hit| hit.row).collect();
        match &self.ranking {
            FirstRanking::Bm25 => {
                let documents = set.corpus.iter().map(|(_, document)| terms(document));
                let index = Bm25::build(documents, Default::default());
                Ok(queries.iter().map(|query| rows(index.search(&terms(text(query)), self.candidates, None))).collect())
            }
            FirstRanking::Encoder(encoder) => {
                let documents: Vec<&str> = set.corpus.iter().map(|(_, document)| document.as_str()).collect();
                let texts: Vec<&str> = queries.iter().map(text).collect();
                let documents = embed_role(encoder, &documents, Role::Document)?;
                let queries = embed_role(encoder, &texts, Role::Query)?;
                let settings = Search { k: self.candidates, metric: metric(encoder.similarity()), ..Search::default() };
                let hits = search(context, &Corpus::from(documents.view()), queries.view(), &settings)?;
                Ok(hits.into_iter().map(rows).collect())
            }
        }
    }
}
