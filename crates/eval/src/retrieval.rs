//! Evaluation of retrieval, following the `InformationRetrievalEvaluator` of Sentence Transformers
//! 6.2, with one encoding for all dimensions. Documents are sorted by id, so that of equal scores
//! the smaller id comes first for any division of the corpus.

use crate::metrics::{Cutoffs, average_precision_of_each, measures_of_rankings, ndcg_of_each};
use crate::{EvalError, Kind, Scores};
use maana_data::{Relevant, RetrievalSet};
use maana_kernels::{Context, Matrix, Rows, TopK, matmul_transposed, normalized};
use maana_model::{ModelError, Role, Similarity, TextEncoder};

/// Queries per tile of scores.
const QUERY_TILE: usize = 256;
/// Characters of a text in an error message.
const SHOWN_CHARACTERS: usize = 60;

/// Choice of the primary metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Primary {
    /// nDCG at its greatest cutoff, as in the reference since 3.3.0.
    #[default]
    Ndcg,
    /// MAP at its greatest cutoff, as in the reference before 3.3.0.
    Map,
}

/// Options of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrievalOptions {
    /// Similarity; by default that of the encoder, or cosine without an encoder.
    pub similarity: Option<Similarity>,
    /// Cutoffs of the metrics.
    pub cutoffs: Cutoffs,
    /// Primary metric.
    pub primary: Primary,
    /// Documents per chunk: limits the memory without changing results.
    pub corpus_chunk: usize,
    /// Prefix of `dim_128` in the name of the scores (`news_dim_128`), for several sets.
    pub name: Option<String>,
}

impl Default for RetrievalOptions {
    fn default() -> Self {
        let cutoffs = Cutoffs::default();
        Self { similarity: None, cutoffs, primary: Primary::default(), corpus_chunk: 8192, name: None }
    }
}

/// Embeddings to evaluate without their texts.
#[derive(Clone, Copy, Debug)]
pub struct Embedded<'a> {
    /// `(queries, columns)`
    pub queries: Rows<'a>,
    /// `(documents, columns)`
    pub corpus: Rows<'a>,
    /// Ids of the documents, which decide between equal scores.
    pub corpus_ids: &'a [&'a str],
    /// Relevant documents of each query; queries without any are skipped.
    pub relevant: &'a [Relevant],
}

/// A function that embeds texts of a role.
pub type EncodeTexts<'a> = dyn Fn(&[&str], Role) -> Result<Matrix, ModelError> + 'a;

/// An encoder as a function that embeds texts.
pub struct EncoderFunction<'a> {
    /// Number of columns of an embedding.
    pub dimension: usize,
    /// Measure by which the embeddings are compared.
    pub similarity: Similarity,
    /// Embeds texts of a role: `(texts, dimension)`.
    pub encode: &'a EncodeTexts<'a>,
}

/// Evaluates the encoder on the set at each of `dims`, in that order, with names `dim_{d}` and keys
/// like `cosine_ndcg@10`. Queries without relevant documents are skipped.
///
/// # Errors
/// If a dimension is 0, exceeds the embeddings or occurs twice; if no query has a relevant
/// document; if an option is invalid; if a text cannot be embedded, or its embedding is not finite.
pub fn evaluate_retrieval(
    context: &Context,
    encoder: &TextEncoder,
    set: &RetrievalSet,
    dims: &[usize],
    options: &RetrievalOptions,
) -> Result<Vec<Scores>, EvalError> {
    let function = EncoderFunction {
        dimension: encoder.dimension(),
        similarity: encoder.similarity(),
        encode: &|texts, role| encoder.encode(texts, role),
    };
    let precision = Some(encoder.precision().name().to_owned());
    let scores = evaluate_function(context, &function, set, dims, options)?.into_iter();
    Ok(scores.map(|scores| Scores { precision: precision.clone(), ..scores }).collect())
}

/// As [`evaluate_retrieval`], for an encoder of one's own.
///
/// # Errors
/// As [`evaluate_retrieval`].
pub fn evaluate_function(
    context: &Context,
    encoder: &EncoderFunction<'_>,
    set: &RetrievalSet,
    dims: &[usize],
    options: &RetrievalOptions,
) -> Result<Vec<Scores>, EvalError> {
    let judged: Vec<usize> = (0..set.queries.len()).filter(|&query| set.relevant[query].count() > 0).collect();
    let similarity = options.similarity.unwrap_or(encoder.similarity);
    let task = Task::new(options, similarity, dims, encoder.dimension, &set.name, judged.len())?;
    let embed = |kind, role, texts: &[(String, String)], indexes: &[usize]| -> Result<Matrix, EvalError> {
        let chosen: Vec<&str> = indexes.iter().map(|&index| texts[index].1.as_str()).collect();
        let embeddings = (encoder.encode)(&chosen, role)?;
        let of = |row: usize| (texts[indexes[row]].0.as_str(), texts[indexes[row]].1.as_str());
        require_finite(embeddings.view(), kind, of)?;
        Ok(embeddings)
    };
    let queries = embed("query", Role::Query, &set.queries, &judged)?;
    let ids: Vec<&str> = set.corpus.iter().map(|(id, _)| id.as_str()).collect();
    let rankings =
        task.rank(context, queries.view(), &ids, |indexes| embed("document", Role::Document, &set.corpus, indexes))?;
    let relevant: Vec<&Relevant> = judged.iter().map(|&query| &set.relevant[query]).collect();
    Ok(task.scores(&rankings, &relevant))
}

/// As [`evaluate_retrieval`], with given embeddings.
///
/// # Errors
/// As [`evaluate_retrieval`].
///
/// # Panics
/// If the numbers of ids and documents differ, or those of queries and their relevant documents, or
/// those of columns.
pub fn evaluate_embeddings(
    context: &Context,
    embedded: Embedded<'_>,
    dims: &[usize],
    options: &RetrievalOptions,
) -> Result<Vec<Scores>, EvalError> {
    let Embedded { queries, corpus, corpus_ids, relevant } = embedded;
    assert_eq!(
        queries.rows(),
        relevant.len(),
        "{} queries, and relevant documents of {}",
        queries.rows(),
        relevant.len()
    );
    assert_eq!(corpus.rows(), corpus_ids.len(), "{} documents and {} ids", corpus.rows(), corpus_ids.len());
    assert_eq!(
        queries.columns(),
        corpus.columns(),
        "queries of {} columns, documents of {}",
        queries.columns(),
        corpus.columns()
    );
    let judged: Vec<usize> = (0..relevant.len()).filter(|&query| relevant[query].count() > 0).collect();
    let similarity = options.similarity.unwrap_or_default();
    let task = Task::new(options, similarity, dims, queries.columns(), "the set", judged.len())?;
    let indexes: Vec<String> = (0..queries.rows()).map(|row| row.to_string()).collect();
    require_finite(queries, "query", |row| (&indexes[row], ""))?;
    require_finite(corpus, "document", |row| (corpus_ids[row], ""))?;
    let gather = |rows: Rows<'_>, indexes: &[usize]| {
        let values = indexes.iter().flat_map(|&index| rows.row(index).iter().copied()).collect();
        Matrix::from_vec(indexes.len(), rows.columns(), values)
    };
    let chosen = gather(queries, &judged);
    let rankings = task.rank(context, chosen.view(), corpus_ids, |indexes| Ok(gather(corpus, indexes)))?;
    let relevant: Vec<&Relevant> = judged.iter().map(|&query| &relevant[query]).collect();
    Ok(task.scores(&rankings, &relevant))
}

/// A validated evaluation.
struct Task<'a> {
    options: &'a RetrievalOptions,
    dims: &'a [usize],
    is_cosine: bool,
}

impl<'a> Task<'a> {
    fn new(
        options: &'a RetrievalOptions,
        similarity: Similarity,
        dims: &'a [usize],
        available: usize,
        set: &str,
        queries: usize,
    ) -> Result<Self, EvalError> {
        let is_cosine = match similarity {
            Similarity::Cosine => true,
            Similarity::Dot => false,
            other => return Err(EvalError::Similarity(other)),
        };
        options.cutoffs.check()?;
        let setting = |setting, reason: &str| EvalError::Setting { setting, reason: reason.into() };
        if options.corpus_chunk == 0 {
            return Err(setting("corpus_chunk", "a chunk has at least 1 document"));
        }
        let cutoffs = match options.primary {
            Primary::Ndcg => &options.cutoffs.ndcg,
            Primary::Map => &options.cutoffs.map,
        };
        if cutoffs.is_empty() {
            return Err(setting("primary", "the primary metric has no cutoff; add one, such as 10"));
        }
        if dims.is_empty() {
            return Err(setting("dims", "no dimension to evaluate; name at least one"));
        }
        for (index, &dim) in dims.iter().enumerate() {
            let error = |reason| Err(EvalError::Dimension { dim, available, reason });
            if dim == 0 {
                return error("an embedding of 0 columns is empty");
            } else if dim > available {
                return error("more than the embeddings have");
            } else if dims[..index].contains(&dim) {
                return error("it occurs twice");
            }
        }
        if queries == 0 {
            return Err(EvalError::NothingRelevant { set: set.into() });
        }
        Ok(Self { options, dims, is_cosine })
    }

    /// Returns for each dimension and query the indexes of the nearest documents, best first.
    /// `embed` returns the embeddings of the documents with some indexes; it is called once for
    /// each document.
    fn rank(
        &self,
        context: &Context,
        queries: Rows<'_>,
        ids: &[&str],
        mut embed: impl FnMut(&[usize]) -> Result<Matrix, EvalError>,
    ) -> Result<Vec<Vec<Vec<usize>>>, EvalError> {
        let depth = self.options.cutoffs.deepest().min(ids.len());
        let new = || (0..queries.rows()).map(|_| TopK::new(depth)).collect::<Vec<_>>();
        let mut nearest: Vec<Vec<TopK>> = self.dims.iter().map(|_| new()).collect();
        let mut by_id: Vec<usize> = (0..ids.len()).collect();
        by_id.sort_by_key(|&index| ids[index]);
        for (number, indexes) in by_id.chunks(self.options.corpus_chunk).enumerate() {
            let first =
                u32::try_from(number * self.options.corpus_chunk).expect("a corpus of less than 2^32 documents");
            let documents = embed(indexes)?;
            for (&dim, nearest) in self.dims.iter().zip(&mut nearest) {
                self.compare(context, queries.prefix(dim), documents.view().prefix(dim), first, nearest);
            }
        }
        let indexes = |top: TopK| top.into_sorted().into_iter().map(|(_, rank)| by_id[rank as usize]).collect();
        Ok(nearest.into_iter().map(|queries| queries.into_iter().map(indexes).collect()).collect())
    }

    /// Scores all queries against some documents, by tiles of queries, and keeps the nearest.
    fn compare(&self, context: &Context, queries: Rows<'_>, documents: Rows<'_>, first: u32, nearest: &mut [TopK]) {
        let documents = self.comparable(context, documents);
        let mut scores = Vec::new();
        for (number, nearest) in nearest.chunks_mut(QUERY_TILE).enumerate() {
            let start = number * QUERY_TILE;
            let tile = self.comparable(context, queries.range(start..start + nearest.len()));
            scores.resize(tile.rows() * documents.rows(), 0.0);
            matmul_transposed(context, tile.view(), documents.view(), &mut scores, false);
            context.for_each_chunk(nearest, 1, |query, top| {
                top[0].push(&scores[query * documents.rows()..(query + 1) * documents.rows()], first);
            });
        }
    }

    /// Prepares rows whose dot products are the similarity: normalised for cosine, unchanged for
    /// dot.
    fn comparable(&self, context: &Context, rows: Rows<'_>) -> Matrix {
        if self.is_cosine { normalized(context, rows) } else { rows.to_matrix() }
    }

    fn scores(&self, rankings: &[Vec<Vec<usize>>], relevant: &[&Relevant]) -> Vec<Scores> {
        let function = if self.is_cosine { "cosine_" } else { "dot_" };
        let cutoffs = &self.options.cutoffs;
        let (measure_name, depths) = match self.options.primary {
            Primary::Ndcg => ("ndcg", &cutoffs.ndcg),
            Primary::Map => ("map", &cutoffs.map),
        };
        let depth = *depths.iter().max().expect("checked not to be empty");
        let primary = format!("{function}{measure_name}@{depth}");
        let before = self.options.name.as_ref().map_or(String::new(), |name| format!("{name}_"));
        let of = |(&dimension, rankings): (&usize, &Vec<Vec<usize>>)| Scores {
            kind: Kind::Retrieval,
            name: format!("{before}dim_{dimension}"),
            dimension,
            values: measures_of_rankings(function, rankings, relevant, cutoffs),
            primary: primary.clone(),
            precision: None,
            items: match self.options.primary {
                Primary::Ndcg => ndcg_of_each(rankings, relevant, depth),
                Primary::Map => average_precision_of_each(rankings, relevant, depth),
            },
        };
        self.dims.iter().zip(rankings).map(of).collect()
    }
}

/// Checks that every embedding is finite; `of` returns the id and text of a row.
fn require_finite<'a>(
    embeddings: Rows<'_>,
    kind: &'static str,
    of: impl Fn(usize) -> (&'a str, &'a str),
) -> Result<(), EvalError> {
    match (0..embeddings.rows()).find(|&row| !embeddings.row(row).iter().all(|value| value.is_finite())) {
        None => Ok(()),
        Some(row) => {
            let (id, text) = of(row);
            Err(EvalError::NotFinite { kind, id: id.into(), text: text.chars().take(SHOWN_CHARACTERS).collect() })
        }
    }
}

#[cfg(test)]
mod tests;
