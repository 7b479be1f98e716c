//! The store in a database, behind the seam.

use super::place::{Compacted, Damaged, Deleted, Info, ReadStore, Verified, WriteStore};
use super::searcher::terms;
use super::{Added, Answers, Found, Kept, Question, SearchError, Way};
use maana_kernels::{Context, Matrix, Rows};
use maana_postgres::{Document, Graph, Measured, Near, Reader, Row, Search, Store, Target};
use maana_vectors::VectorsError;
use maana_vectors::bm25::Bm25;
use maana_vectors::fusion::{USUAL_CONSTANT, fuse};
use maana_vectors::search::{Hit, Metric};
use std::collections::{HashMap, HashSet};

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
        question: &Question,
    ) -> Result<Answers, SearchError> {
        self.read(|reader| {
            // Fusing looks further down both rankings than it gives.
            let k = if question.hybrid { question.k.max(100) } else { question.k };
            let search = Search { k, dim: question.dim, filters: &question.filters };
            let (_, graph) = reader.state()?;
            let (shortlist, how) = choose(graph.as_ref(), k, question)?;
            let shortlist = graph.as_ref().zip(shortlist.map(|measured| measured.shortlist));
            let mut near = reader.nearest(vectors.view(), &search, shortlist)?;
            if question.hybrid {
                near = fused(reader, queries, &near, k, question)?;
            }
            let dims = self.header().dims;
            let also_at: Vec<usize> = question.also_at.iter().copied().filter(|dim| (1..=dims).contains(dim)).collect();
            let found = |(query, near): (usize, &Vec<Near>)| {
                let mut found = found(reader, near)?;
                if !also_at.is_empty() {
                    score_prefixes(reader, self.header().metric, vectors.row(query), near, &also_at, &mut found)?;
                }
                Ok(found)
            };
            let hits = near.iter().enumerate().map(found).collect::<Result<_, SearchError>>()?;
            Ok(Answers { hits, way: how.map_or(Way::Exact, Way::Told) })
        })
    }

    fn info(&self) -> Result<Info, SearchError> {
        Ok(Info::Postgres(Store::info(self)?))
    }
}

impl WriteStore for Store {
    fn add(&mut self, documents: &[(String, Kept)], vectors: Rows<'_>) -> Result<Added, SearchError> {
        let documents: Vec<Document<'_>> =
            documents.iter().map(|(id, kept)| Document { id, text: &kept.text, fields: &kept.fields }).collect();
        let added = Store::add(self, &documents, vectors)?;
        Ok(Added { new: added.new, replaced: added.replaced, ..Added::default() })
    }

    fn holds(&self, documents: &[(String, Kept)]) -> Result<Vec<bool>, SearchError> {
        let ids: Vec<&str> = documents.iter().map(|(id, _)| id.as_str()).collect();
        let there: HashMap<String, Row> = self.read(|reader| {
            let rows = reader.by_ids(&ids)?;
            Ok::<_, SearchError>(rows.into_iter().map(|row| (row.id.clone(), row)).collect())
        })?;
        let same = |(id, kept): &(String, Kept)| {
            there.get(id).is_some_and(|row| row.text == kept.text && row.fields == kept.fields)
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
        Ok(Compacted { before: done.before, after: done.after, changed, graph: done.graph })
    }

    fn make_graph(
        &mut self,
        _: &Context,
        _: Option<Rows<'_>>,
    ) -> Result<Option<maana_vectors::index::Graph>, SearchError> {
        Ok(None)
    }
}

pub(super) fn verify(target: &Target) -> Result<Verified, SearchError> {
    let verified = Store::open(target)?.verify()?;
    let damages = verified.damages.into_iter();
    let damages = damages.map(|damage| Damaged { part: format!("document `{}`", damage.id), what: damage.what });
    Ok(Verified { parts: verified.documents, named: "documents", bytes: None, damages: damages.collect() })
}

/// The shortlist that is enough, and how the store is searched, in words; nothing is said where no recall was asked for.
fn choose(
    graph: Option<&Graph>,
    k: usize,
    question: &Question,
) -> Result<(Option<Measured>, Option<String>), SearchError> {
    let Some(recall) = question.recall.filter(|_| question.dim.is_none() && !question.exact) else {
        return Ok((None, None));
    };
    if !(0.0..=1.0).contains(&recall) {
        let message = format!("{recall} is no share; take one from 0 to 1");
        return Err(VectorsError::Setting { setting: "recall", message }.into());
    }
    let all = |why: &str| Ok((None, Some(format!("every document is compared: {why}"))));
    let Some(graph) = graph else {
        return all("the store has no index over vectors; `maana compact` makes one from 1000 documents on");
    };
    if !question.filters.is_empty() {
        return all("the index over vectors knows no filters");
    }
    let Some(measured) = graph.shortlist(k, recall) else {
        return all("no shortlist of the index over vectors reached the recall");
    };
    let sure = measured.at_least.map(|least| format!(" ({least:.4} at least)")).unwrap_or_default();
    let on = match graph.on {
        Some(on) => format!("measured on {on}"),
        None => "measured by an earlier version, which promises too much: `maana compact` measures anew".to_owned(),
    };
    let how = format!(
        "a shortlist of {} by an index over {} columns in {}, then all columns: recall {:.4} of {} hits{sure}, {on}",
        measured.shortlist,
        graph.prefix,
        if graph.bits { "1 bit" } else { "f16" },
        measured.recall,
        measured.k,
    );
    Ok((Some(measured), Some(how)))
}

/// Rankings by vectors fused with those by words, as in a folder: BM25 over all texts, which are read for it.
fn fused(
    reader: &mut Reader<'_, '_>,
    queries: &[&str],
    near: &[Vec<Near>],
    k: usize,
    question: &Question,
) -> Result<Vec<Vec<Near>>, SearchError> {
    let (mut seqs, mut allowed, mut words) = (Vec::new(), Vec::new(), Vec::new());
    reader.for_each(&question.filters, |row, through| {
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
        let hits = fuse(&[(&by_vectors, 1.0), (&by_words, 1.0)], USUAL_CONSTANT, question.k);
        hits.into_iter().map(|hit| Near { seq: seqs[hit.row], score: hit.score }).collect()
    };
    Ok(queries.iter().zip(near).map(fuse).collect())
}

/// Documents of one query, with what is kept beside.
fn found(reader: &mut Reader<'_, '_>, near: &[Near]) -> Result<Vec<Found>, SearchError> {
    let seqs: Vec<i64> = near.iter().map(|near| near.seq).collect();
    let rows = reader.rows(&seqs)?;
    let found = rows.into_iter().zip(near).map(|(row, near)| Found {
        id: row.id,
        score: near.score,
        kept: Kept { text: row.text, fields: row.fields },
        scores: Default::default(),
    });
    Ok(found.collect())
}

/// Scores documents by the first so many columns, at each of the dimensions.
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
