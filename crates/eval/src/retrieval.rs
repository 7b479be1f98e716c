//! Retrieval: for each query the nearest documents, and how many of them are right. Follows the
//! `InformationRetrievalEvaluator` of Sentence Transformers 6.2; one encoding serves every dimension. Documents are taken in
//! the order of their ids, so that of two with the same score the smaller id comes first, however the corpus is divided.

use crate::metrics::{Cutoffs, measure};
use crate::{EvalError, Scores};
use maana_data::{Relevant, RetrievalSet};
use maana_kernels::{Context, Matrix, Rows, TopK, matmul_transposed, normalize};
use maana_model::{Encoder, Role, Similarity};

/// Queries whose scores are held at one time.
const QUERY_TILE: usize = 256;
/// Letters of a text that an error shows.
const SHOWN_LETTERS: usize = 60;

/// Which measure stands for the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Primary {
    /// nDCG at its deepest cutoff: the reference since 3.3.0.
    #[default]
    Ndcg,
    /// MAP at its deepest cutoff: the reference before, and so 3.0.1.
    Map,
}

/// How to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrievalOptions {
    /// How embeddings are compared; none for the encoder's own way, and cosine where there is no encoder.
    pub similarity: Option<Similarity>,
    /// How deep each measure looks.
    pub cutoffs: Cutoffs,
    /// The measure that stands for the whole.
    pub primary: Primary,
    /// Documents that are embedded and compared at one time: bounds the memory, and changes no result.
    pub corpus_chunk: usize,
    /// Put before `dim_128` in the name of the scores (`news_dim_128`), where several sets are measured.
    pub name: Option<String>,
}

impl Default for RetrievalOptions {
    fn default() -> Self {
        let cutoffs = Cutoffs::default();
        Self { similarity: None, cutoffs, primary: Primary::default(), corpus_chunk: 8192, name: None }
    }
}

/// Embeddings to be measured without their texts.
#[derive(Clone, Copy, Debug)]
pub struct Embedded<'a> {
    /// `(queries, columns)`
    pub queries: Rows<'a>,
    /// `(documents, columns)`
    pub corpus: Rows<'a>,
    /// The id of each document, which decides between equal scores.
    pub corpus_ids: &'a [&'a str],
    /// The documents that answer each query; queries that nothing answers are passed over.
    pub relevant: &'a [Relevant],
}

/// Measures the encoder on the set at each of `dims`, in that order: names `dim_{d}`, keys like `cosine_ndcg@10`.
/// Queries that nothing answers are passed over, also in the means.
///
/// # Errors
/// If a dimension is 0, exceeds the embeddings or stands twice; if no query has a relevant document; if an option makes
/// no sense; if a text cannot be embedded, or its embedding is not finite.
pub fn evaluate_retrieval(
    context: &Context,
    encoder: &dyn Encoder,
    set: &RetrievalSet,
    dims: &[usize],
    options: &RetrievalOptions,
) -> Result<Vec<Scores>, EvalError> {
    let asked: Vec<usize> = (0..set.queries.len()).filter(|&query| set.relevant[query].count() > 0).collect();
    let similarity = options.similarity.unwrap_or_else(|| encoder.similarity());
    let task = Task::new(options, similarity, dims, encoder.dimension(), &set.name, asked.len())?;
    let embed = |kind, role, texts: &[(String, String)], places: &[usize]| -> Result<Matrix, EvalError> {
        let chosen: Vec<&str> = places.iter().map(|&place| texts[place].1.as_str()).collect();
        let embeddings = encoder.encode(&chosen, role)?;
        let of = |row: usize| (texts[places[row]].0.as_str(), texts[places[row]].1.as_str());
        require_finite(embeddings.view(), kind, of)?;
        Ok(embeddings)
    };
    let queries = embed("query", Role::Query, &set.queries, &asked)?;
    let ids: Vec<&str> = set.corpus.iter().map(|(id, _)| id.as_str()).collect();
    let rankings =
        task.rank(context, queries.view(), &ids, |places| embed("document", Role::Document, &set.corpus, places))?;
    let relevant: Vec<&Relevant> = asked.iter().map(|&query| &set.relevant[query]).collect();
    let precision = Some(encoder.precision().name().to_owned());
    let scores = task.scores(&rankings, &relevant).into_iter();
    Ok(scores.map(|scores| Scores { precision: precision.clone(), ..scores }).collect())
}

/// As [`evaluate_retrieval`], on embeddings that are there already.
///
/// # Errors
/// As [`evaluate_retrieval`].
///
/// # Panics
/// If there is not one id for each document, or not one set of answers for each query, or if queries and documents
/// differ in their columns.
pub fn evaluate_embeddings(
    context: &Context,
    embedded: Embedded<'_>,
    dims: &[usize],
    options: &RetrievalOptions,
) -> Result<Vec<Scores>, EvalError> {
    let Embedded { queries, corpus, corpus_ids, relevant } = embedded;
    assert_eq!(queries.rows(), relevant.len(), "{} queries and answers for {}", queries.rows(), relevant.len());
    assert_eq!(corpus.rows(), corpus_ids.len(), "{} documents and {} ids", corpus.rows(), corpus_ids.len());
    assert_eq!(
        queries.columns(),
        corpus.columns(),
        "queries of {} columns, documents of {}",
        queries.columns(),
        corpus.columns()
    );
    let asked: Vec<usize> = (0..relevant.len()).filter(|&query| relevant[query].count() > 0).collect();
    let similarity = options.similarity.unwrap_or_default();
    let task = Task::new(options, similarity, dims, queries.columns(), "the set", asked.len())?;
    let places: Vec<String> = (0..queries.rows()).map(|row| row.to_string()).collect();
    require_finite(queries, "query", |row| (&places[row], ""))?;
    require_finite(corpus, "document", |row| (corpus_ids[row], ""))?;
    let gather = |rows: Rows<'_>, places: &[usize]| {
        let values = places.iter().flat_map(|&place| rows.row(place).iter().copied()).collect();
        Matrix::from_vec(places.len(), rows.columns(), values)
    };
    let chosen = gather(queries, &asked);
    let rankings = task.rank(context, chosen.view(), corpus_ids, |places| Ok(gather(corpus, places)))?;
    let relevant: Vec<&Relevant> = asked.iter().map(|&query| &relevant[query]).collect();
    Ok(task.scores(&rankings, &relevant))
}

/// What is to be measured, once it is known to make sense.
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
            return Err(setting("corpus_chunk", "0 documents at a time never end; give at least 1"));
        }
        let cutoffs = match options.primary {
            Primary::Ndcg => &options.cutoffs.ndcg,
            Primary::Map => &options.cutoffs.map,
        };
        if cutoffs.is_empty() {
            return Err(setting(
                "primary",
                "the measure that stands for the whole has no cutoff; give one, such as 10",
            ));
        }
        if dims.is_empty() {
            return Err(setting("dims", "no dimension to measure; give at least one"));
        }
        for (index, &dim) in dims.iter().enumerate() {
            let fault = |reason| Err(EvalError::Dimension { dim, available, reason });
            if dim == 0 {
                return fault("nothing is left of an embedding");
            } else if dim > available {
                return fault("more than the embeddings have");
            } else if dims[..index].contains(&dim) {
                return fault("it stands twice");
            }
        }
        if queries == 0 {
            return Err(EvalError::NothingRelevant { set: set.into() });
        }
        Ok(Self { options, dims, is_cosine })
    }

    /// For each dimension and query the places of the nearest documents, best first. `embed` gives the embeddings of the
    /// documents in some places; it is asked for each document once.
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
        by_id.sort_by_key(|&place| ids[place]);
        for (number, places) in by_id.chunks(self.options.corpus_chunk).enumerate() {
            let first =
                u32::try_from(number * self.options.corpus_chunk).expect("a corpus of less than 2^32 documents");
            let documents = embed(places)?;
            for (&dim, nearest) in self.dims.iter().zip(&mut nearest) {
                self.compare(context, queries.prefix(dim), documents.view().prefix(dim), first, nearest);
            }
        }
        let places = |top: TopK| top.into_sorted().into_iter().map(|(_, rank)| by_id[rank as usize]).collect();
        Ok(nearest.into_iter().map(|queries| queries.into_iter().map(places).collect()).collect())
    }

    /// Scores every query against some documents, a tile of queries at a time, and keeps the nearest.
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

    /// The rows as their dot products are the similarity: of length 1 for cosine, as they are for dot.
    fn comparable(&self, context: &Context, rows: Rows<'_>) -> Matrix {
        if !self.is_cosine {
            return rows.to_matrix();
        }
        let mut unit = Matrix::zeros(rows.rows(), rows.columns());
        normalize(context, rows, unit.data_mut());
        unit
    }

    fn scores(&self, rankings: &[Vec<Vec<usize>>], relevant: &[&Relevant]) -> Vec<Scores> {
        let function = if self.is_cosine { "cosine" } else { "dot" };
        let cutoffs = &self.options.cutoffs;
        let (measure_name, depths) = match self.options.primary {
            Primary::Ndcg => ("ndcg", &cutoffs.ndcg),
            Primary::Map => ("map", &cutoffs.map),
        };
        let primary = format!("{function}_{measure_name}@{}", depths.iter().max().expect("checked not to be empty"));
        let before = self.options.name.as_ref().map_or(String::new(), |name| format!("{name}_"));
        let of = |(&dimension, rankings): (&usize, &Vec<Vec<usize>>)| Scores {
            name: format!("{before}dim_{dimension}"),
            dimension,
            values: measure(function, rankings, relevant, cutoffs),
            primary: primary.clone(),
            precision: None,
        };
        self.dims.iter().zip(rankings).map(of).collect()
    }
}

/// That every embedding can be compared; `of` gives the id and text of a row.
fn require_finite<'a>(
    embeddings: Rows<'_>,
    kind: &'static str,
    of: impl Fn(usize) -> (&'a str, &'a str),
) -> Result<(), EvalError> {
    match (0..embeddings.rows()).find(|&row| !embeddings.row(row).iter().all(|value| value.is_finite())) {
        None => Ok(()),
        Some(row) => {
            let (id, text) = of(row);
            Err(EvalError::NotFinite { kind, id: id.into(), text: text.chars().take(SHOWN_LETTERS).collect() })
        }
    }
}

#[cfg(test)]
mod tests;
