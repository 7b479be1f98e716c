//! Stores in PostgreSQL databases.

use super::error::SearchError;
use super::request::{Answers, Content, Found, SearchOptions, SearchStrategy};
use super::store_trait::{
    Added, Compacted, Damaged, Deleted, Description, GraphReport, ReadStore, Verified, WriteStore,
};
use super::terms::terms;
use maana_eval::metric;
use maana_kernels::{Context, Matrix, Rows};
use maana_model::{Role, TextEncoder};
use maana_postgres::{Document, Graph, Header, Measured, Near, Reader, Row, Search, Store, Target};
use maana_vectors::bm25::Bm25;
use maana_vectors::fusion::{USUAL_CONSTANT, fuse};
use maana_vectors::search::{Hit, Metric};
use std::collections::{HashMap, HashSet};

/// Begins a store for the encoder's vectors, or continues one that was begun.
pub(super) fn begin(target: &Target, encoder: &TextEncoder, made_by: &str, half: bool) -> Result<Store, SearchError> {
    let metric = metric(encoder.similarity());
    let header = Header::new(encoder.dimension(), metric, half, &encoder.fingerprint(), made_by);
    let header = header.with_precision(encoder.precision().name());
    let header = header.with_document_prompt(encoder.role_prompt(Role::Document));
    Ok(Store::begin(target, header)?)
}

impl ReadStore for Store {
    fn dims(&self) -> usize {
        self.header().dims
    }

    fn made_by(&self) -> &str {
        &self.header().made_by
    }

    fn precision(&self) -> Option<&str> {
        self.header().precision.as_deref()
    }

    fn document_prompt(&self) -> Option<&str> {
        self.header().document_prompt.as_deref()
    }

    fn expect_fingerprint(&self, fingerprint: &[u8], made_by: &str) -> Result<(), SearchError> {
        Ok(Store::expect_fingerprint(self, fingerprint, made_by)?)
    }

    fn documents(&self) -> Result<usize, SearchError> {
        Ok(self.len()?)
    }

    fn fields(&self) -> Result<Vec<String>, SearchError> {
        self.read(|reader| Ok(reader.fields()?))
    }

    fn reopened(&self) -> Result<Option<Box<dyn ReadStore>>, SearchError> {
        Ok(Store::reopened(self)?.map(|store| Box::new(store) as Box<dyn ReadStore>))
    }

    fn expect_fields(&self, filters: &[(String, String)]) -> Result<(), SearchError> {
        self.read(|reader| Ok(reader.expect_fields(filters)?))
    }

    fn nearest(
        &self,
        _: &Context,
        queries: &[&str],
        vectors: &Matrix,
        options: &SearchOptions,
    ) -> Result<Answers, SearchError> {
        self.read(|reader| {
            // Fusion reads both rankings further down than the hits it returns.
            let k = if options.hybrid { options.k.max(100) } else { options.k };
            let search = Search { k, dim: options.dim, filters: &options.filters };
            let (_, graph) = reader.state()?;
            let (shortlist, description) = choose(graph.as_ref(), k, options)?;
            let shortlist = graph.as_ref().zip(shortlist.map(|measured| measured.shortlist));
            let mut near = reader.nearest(vectors.view(), &search, shortlist)?;
            if options.hybrid {
                near = fused(reader, queries, &near, k, options)?;
            }
            let dims = self.header().dims;
            let also_at: Vec<usize> = options.also_at.iter().copied().filter(|dim| (1..=dims).contains(dim)).collect();
            let found = |(query, near): (usize, &Vec<Near>)| {
                let mut found = found(reader, near)?;
                if !also_at.is_empty() {
                    score_prefixes(reader, self.header().metric, vectors.row(query), near, &also_at, &mut found)?;
                }
                Ok(found)
            };
            let hits = near.iter().enumerate().map(found).collect::<Result<_, SearchError>>()?;
            let strategy = description.map_or(SearchStrategy::Exact, SearchStrategy::Described);
            Ok(Answers { hits, strategy })
        })
    }

    fn describe(&self) -> Result<Description, SearchError> {
        let info = Store::info(self)?;
        let header = &info.header;
        let index = match &info.graph {
            Some(graph) => graph_description(graph),
            None => "none; `maana compact` builds one from 1000 documents on".to_owned(),
        };
        let lines = vec![
            ("documents", info.documents.to_string()),
            ("dimensions", header.dims.to_string()),
            ("metric", header.metric.name().to_owned()),
            ("stored as", if header.half { "F16" } else { "F32" }.to_owned()),
            ("made by", header.made_by.clone()),
            ("precision", header.precision.clone().unwrap_or_else(|| "not recorded".to_owned())),
            ("fingerprint", header.fingerprint.clone()),
            ("on disk", format!("{} bytes of {}", info.bytes, info.server)),
            ("index", index),
        ];
        Ok(Description { lines, json: serde_json::json!(info) })
    }
}

impl WriteStore for Store {
    fn add(&mut self, documents: &[(String, Content)], vectors: Rows<'_>) -> Result<Added, SearchError> {
        let documents: Vec<Document<'_>> = documents
            .iter()
            .map(|(id, content)| Document { id, text: &content.text, fields: &content.fields })
            .collect();
        let added = Store::add(self, &documents, vectors)?;
        Ok(Added { new: added.new, replaced: added.replaced })
    }

    fn holds(&self, documents: &[(String, Content)]) -> Result<Vec<bool>, SearchError> {
        let ids: Vec<&str> = documents.iter().map(|(id, _)| id.as_str()).collect();
        let present: HashMap<String, Row> = self.read(|reader| {
            let rows = reader.by_ids(&ids)?;
            Ok::<_, SearchError>(rows.into_iter().map(|row| (row.id.clone(), row)).collect())
        })?;
        let same = |(id, content): &(String, Content)| {
            present.get(id).is_some_and(|row| row.text == content.text && row.fields == content.fields)
        };
        Ok(documents.iter().map(same).collect())
    }

    fn ids(&self) -> Result<Vec<String>, SearchError> {
        self.read(|reader| Ok(reader.ids()?))
    }

    fn finish(&mut self) -> Result<(), SearchError> {
        Ok(Store::finish(self)?)
    }

    fn delete(&mut self, ids: &[&str]) -> Result<Deleted, SearchError> {
        let mut known: HashSet<String> = Store::delete(self, ids)?.into_iter().collect();
        let documents = known.len();
        let missing = ids.iter().filter(|id| known.insert(id.to_string())).map(|id| id.to_string()).collect();
        Ok(Deleted { documents, missing })
    }

    fn compact(&mut self, context: &Context, queries: Option<Rows<'_>>) -> Result<Compacted, SearchError> {
        let done = Store::compact(self, context, queries)?;
        let changed = done.graph.is_some() || done.before != done.after;
        Ok(Compacted {
            before: done.before,
            after: done.after,
            changed,
            index: done.graph.as_ref().map(graph_description),
        })
    }

    fn build_graph(&mut self, _: &Context, _: Option<Rows<'_>>) -> Result<Option<GraphReport>, SearchError> {
        Ok(None)
    }
}

/// Describes an index over vectors: what it compares, and the recall of its shortlists.
fn graph_description(graph: &Graph) -> String {
    let measured = graph.measured.iter().filter(|measured| measured.k == 10);
    let measured: Vec<String> =
        measured.map(|measured| format!("{:.4} by {}", measured.recall, measured.shortlist)).collect();
    let values = if graph.bits { "1 bit" } else { "f16" };
    let on = graph.on.map(|on| format!(", measured on {on}")).unwrap_or_default();
    format!("{} columns in {values}; recall of 10 hits by shortlist: {}{on}", graph.prefix, measured.join(", "))
}

/// Reads all documents of a store and returns the damaged ones.
pub(super) fn verify(target: &Target) -> Result<Verified, SearchError> {
    let verified = Store::open(target)?.verify()?;
    let damages = verified.damages.into_iter();
    let damages = damages.map(|damage| Damaged { part: format!("document `{}`", damage.id), what: damage.what });
    Ok(Verified { parts: verified.documents, unit: "documents", bytes: None, damages: damages.collect() })
}

/// Chooses the shortlist for a target recall, and describes the strategy; no description without a
/// target recall.
fn choose(
    graph: Option<&Graph>,
    k: usize,
    options: &SearchOptions,
) -> Result<(Option<Measured>, Option<String>), SearchError> {
    let Some(recall) = options.target_recall()? else { return Ok((None, None)) };
    let all = |why: &str| Ok((None, Some(format!("every document is compared: {why}"))));
    let Some(graph) = graph else {
        return all("the store has no index over vectors; `maana compact` builds one from 1000 documents on");
    };
    if !options.filters.is_empty() {
        return all("the index over vectors does not support filters");
    }
    let Some(measured) = graph.shortlist(k, recall) else {
        return all("no shortlist of the index over vectors reached the recall");
    };
    let bound = measured.at_least.map(|least| format!(" ({least:.4} at least)")).unwrap_or_default();
    let on = match graph.on {
        Some(on) => format!("measured on {on}"),
        None => "measured by an earlier version, which overestimates: `maana compact` measures again".to_owned(),
    };
    let description = format!(
        "a shortlist of {} by an index over {} columns in {}, then all columns: recall {:.4} of {} hits{bound}, {on}",
        measured.shortlist,
        graph.prefix,
        if graph.bits { "1 bit" } else { "f16" },
        measured.recall,
        measured.k,
    );
    Ok((Some(measured), Some(description)))
}

/// Fuses rankings by vectors with BM25 over all texts, as a folder does.
fn fused(
    reader: &mut Reader<'_, '_>,
    queries: &[&str],
    near: &[Vec<Near>],
    k: usize,
    options: &SearchOptions,
) -> Result<Vec<Vec<Near>>, SearchError> {
    let (mut seqs, mut allowed, mut words) = (Vec::new(), Vec::new(), Vec::new());
    reader.for_each(&options.filters, |row, through| {
        seqs.push(row.seq);
        allowed.push(through);
        words.push(terms(&row.text));
    })?;
    let words = Bm25::build(words, Default::default());
    let through = |row: usize| allowed[row];
    let row_of = |near: &Near| Hit { row: seqs.partition_point(|seq| *seq < near.seq), score: near.score };
    let fuse = |(query, near): (&&str, &Vec<Near>)| {
        let by_vectors: Vec<Hit> = near.iter().map(row_of).collect();
        let by_words = words.search(&terms(query), k, Some(&through));
        let hits = fuse(&[(&by_vectors, 1.0), (&by_words, 1.0)], USUAL_CONSTANT, options.k);
        hits.into_iter().map(|hit| Near { seq: seqs[hit.row], score: hit.score }).collect()
    };
    Ok(queries.iter().zip(near).map(fuse).collect())
}

/// Returns the documents of one query with their contents.
fn found(reader: &mut Reader<'_, '_>, near: &[Near]) -> Result<Vec<Found>, SearchError> {
    let seqs: Vec<i64> = near.iter().map(|near| near.seq).collect();
    let rows = reader.rows(&seqs)?;
    let found = rows.into_iter().zip(near).map(|(row, near)| Found {
        id: row.id,
        score: near.score,
        content: Content { text: row.text, fields: row.fields },
        scores: Default::default(),
    });
    Ok(found.collect())
}

/// Scores documents by their leading columns, for each of the dimensions.
fn score_prefixes(
    reader: &mut Reader<'_, '_>,
    metric: Metric,
    query: &[f32],
    near: &[Near],
    dims: &[usize],
    found: &mut [Found],
) -> Result<(), SearchError> {
    let seqs: Vec<i64> = near.iter().map(|near| near.seq).collect();
    for (vector, found) in reader.vectors(&seqs)?.iter().zip(found) {
        found.scores = dims.iter().map(|dim| (*dim, metric.score(&query[..*dim], &vector[..*dim]))).collect();
    }
    Ok(())
}
