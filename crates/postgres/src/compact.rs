//! Compaction: frees the space of deleted documents, and builds and measures an index over vectors
//! where a scan of all documents is slow.

use crate::error::PostgresError;
use crate::graph::{Graph, LONGEST, MOST_HALF, Measured};
use crate::read::{Near, Reader, Search};
use crate::schema::table;
use crate::store::Store;
use crate::wire::Received;
use maana_kernels::{Context, Matrix, Rows};
use maana_vectors::search::{Corpus, MeasuredOn, Metric, PlanePrecision, Recall, RecallTarget, choose, perturbed};

/// Number of documents from which an index is worth its space.
const GRAPH_DOCUMENTS: usize = 1_000;
/// Sample of vectors for the choice of the index's columns and data type.
const CHOICE_SAMPLE: usize = 5_000;
/// Recall that a choice must reach on the sample.
const CHOICE_RECALL: f64 = 0.99;
/// Longest shortlist of a choice.
const CHOICE_SHORTLIST: usize = 64;
/// Queries that measure an index.
const SAMPLE: usize = 200;
/// Numbers of hits that are measured.
const HITS: [usize; 2] = [10, 100];
/// Lengths of shortlists that are measured.
const SHORTLISTS: [usize; 6] = [32, 64, 128, 256, 512, LONGEST];

/// Result of a compaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Compacted {
    /// Bytes of tables and indexes before.
    pub before: u64,
    /// Bytes of tables and indexes after.
    pub after: u64,
    /// The index, if it was built or measured again.
    pub graph: Option<Graph>,
}

impl Store {
    /// Frees the space of deleted documents. From 1000 documents on it also rebuilds the index over
    /// vectors if the store has changed, and measures it by these queries if there are any. Readers
    /// continue in the meantime, writers wait.
    ///
    /// # Errors
    /// If queries have another dimension or are not finite, or the server refuses.
    pub fn compact(&self, context: &Context, queries: Option<Rows<'_>>) -> Result<Compacted, PostgresError> {
        let before = self.info()?;
        let current = before.graph.filter(|graph| graph.generation == before.generation);
        let graph = match current {
            _ if before.documents < GRAPH_DOCUMENTS => None,
            // An earlier version measured by the stored vectors unperturbed, which overestimates
            // the recall.
            Some(graph) if queries.is_none() && graph.on.is_some() => None,
            current => Some(self.index(context, current, queries)?),
        };
        // VACUUM cannot run in a transaction.
        let vacuum = format!("VACUUM (ANALYZE) {}", table(self.target.name(), "documents"));
        let vacuumed = self.client().batch_execute(&vacuum);
        vacuumed.map_err(|error| PostgresError::sql(&self.target, "freeing space", &error))?;
        Ok(Compacted { before: before.bytes, after: self.info()?.bytes, graph })
    }

    /// Builds the index, unless there is one, and measures it.
    fn index(
        &self,
        context: &Context,
        current: Option<Graph>,
        queries: Option<Rows<'_>>,
    ) -> Result<Graph, PostgresError> {
        let (target, header) = (&self.target, self.header());
        self.change("building the index over vectors", |transaction| {
            let sql = |error| PostgresError::sql(target, "building the index over vectors", &error);
            let mut reader = Reader::new(transaction, target, header);
            let (generation, _) = reader.state()?;
            let new = Graph { prefix: 0, bits: false, on: None, measured: Vec::new(), generation: generation + 1 };
            let mut graph = match current {
                Some(Graph { prefix, bits, .. }) => Graph { prefix, bits, ..new },
                None => {
                    let (_, sample) = sample(&mut reader, CHOICE_SAMPLE)?;
                    let (prefix, bits) = columns(context, header.metric, &sample, queries)?;
                    let graph = Graph { prefix, bits, ..new };
                    let (transaction, ..) = reader.parts();
                    let create = format!(
                        "DROP INDEX IF EXISTS {}; CREATE INDEX graph ON {} USING hnsw ({} {})",
                        table(target.name(), "graph"),
                        table(target.name(), "documents"),
                        graph.expression(header, "embedding"),
                        graph.class(header)
                    );
                    transaction.batch_execute(&create).map_err(sql)?;
                    graph
                }
            };
            measure(&mut reader, &mut graph, queries)?;
            let (transaction, ..) = reader.parts();
            let description = serde_json::to_string(&graph).expect("plain data");
            let update = format!("UPDATE {} SET graph = $1", table(target.name(), "meta"));
            transaction.execute(&update, &[&description]).map_err(sql)?;
            Ok(graph)
        })
    }
}

/// Returns the numbers and vectors of documents spread over the store.
fn sample(reader: &mut Reader<'_, '_>, size: usize) -> Result<(Vec<i64>, Matrix), PostgresError> {
    let step = i64::try_from(reader.len()? / size).unwrap_or(i64::MAX).max(1);
    let (transaction, target, header) = reader.parts();
    let sql = |error| PostgresError::sql(target, "reading a sample", &error);
    let select = format!(
        "SELECT seq, embedding FROM {} WHERE seq % $1 = 0 ORDER BY seq LIMIT {size}",
        table(target.name(), "documents")
    );
    let rows = transaction.query(&select, &[&step]).map_err(sql)?;
    let (mut seqs, mut values) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len() * header.dims));
    for row in &rows {
        seqs.push(row.try_get(0).map_err(sql)?);
        values.extend(row.try_get::<_, Received>(1).map_err(sql)?.0);
    }
    Ok((seqs, Matrix::from_vec(rows.len(), header.dims, values)))
}

/// Chooses the number of columns and whether to index their signs: the narrowest choice that
/// reaches the recall, else all columns in f16.
fn columns(
    context: &Context,
    metric: Metric,
    sample: &Matrix,
    queries: Option<Rows<'_>>,
) -> Result<(usize, bool), PostgresError> {
    let widest = (sample.columns().min(MOST_HALF), false);
    if !matches!(metric, Metric::Cosine | Metric::Dot) {
        return Ok(widest);
    }
    let target = RecallTarget { recall: CHOICE_RECALL, queries, ..RecallTarget::default() };
    let choice = choose(context, &Corpus::from(sample.view()), metric, &target)?;
    let sufficient = choice.tried.iter().filter(|tried| {
        tried.recall.mean >= CHOICE_RECALL
            && tried.settings.shortlist <= CHOICE_SHORTLIST
            && tried.settings.prefix <= MOST_HALF
    });
    let narrowest = sufficient.min_by_key(|tried| match tried.settings.precision {
        PlanePrecision::Binary => tried.settings.prefix,
        PlanePrecision::Int8 => 16 * tried.settings.prefix,
    });
    let chosen = narrowest.map(|tried| (tried.settings.prefix, tried.settings.precision == PlanePrecision::Binary));
    Ok(chosen.unwrap_or(widest))
}

/// Measures the recall of each shortlist by the given queries, and by some of the store's own
/// vectors, perturbed.
fn measure(reader: &mut Reader<'_, '_>, graph: &mut Graph, given: Option<Rows<'_>>) -> Result<(), PostgresError> {
    let dims = reader.parts().2.dims;
    let given = given.unwrap_or(Rows::new(&[], 0, dims, dims));
    let planned = MeasuredOn::planned(given.rows(), SAMPLE);
    let (seqs, stored) = if planned.perturbed > 0 { sample(reader, planned.perturbed)? } else { Default::default() };
    // Spread over all given queries.
    let step = given.rows().div_ceil(planned.queries.max(1)).max(1);
    let chosen: Vec<&[f32]> = (0..given.rows()).step_by(step).map(|query| given.row(query)).collect();
    let on = MeasuredOn { queries: chosen.len(), perturbed: seqs.len() };
    let own: Vec<Option<i64>> = chosen.iter().map(|_| None).chain(seqs.into_iter().map(Some)).collect();
    let mut data: Vec<f32> = chosen.concat();
    data.extend_from_slice(perturbed(stored.view(), 0).data());
    let queries = Matrix::from_vec(own.len(), dims, data);
    graph.on = Some(on);
    let others = |mut near: Vec<Near>, own: Option<i64>, k: usize| -> Vec<i64> {
        near.retain(|near| Some(near.seq) != own);
        near.into_iter().take(k).map(|near| near.seq).collect()
    };
    let most = HITS[HITS.len() - 1];
    let search = Search { k: most + 1, dim: None, filters: &[] };
    let truth = reader.nearest(queries.view(), &search, None)?;
    let truth: Vec<Vec<i64>> = truth.into_iter().zip(&own).map(|(near, own)| others(near, *own, most)).collect();
    for shortlist in SHORTLISTS {
        let mut found = Vec::with_capacity(own.len());
        for (query, own) in own.iter().enumerate() {
            found.push(others(reader.by_graph(queries.row(query), shortlist, graph, shortlist)?, *own, shortlist));
        }
        for k in HITS.into_iter().filter(|k| *k < shortlist) {
            let share = |(found, truth): (&Vec<i64>, &Vec<i64>)| {
                let truth = &truth[..k.min(truth.len())];
                let right = truth.iter().filter(|seq| found.contains(seq)).count();
                right as f64 / truth.len().max(1) as f64
            };
            let shares: Vec<f64> = found.iter().zip(&truth).map(share).collect();
            let Recall { mean, at_least } = Recall::of(&shares, k);
            graph.measured.push(Measured { k, shortlist, recall: mean, at_least: Some(at_least) });
        }
    }
    Ok(())
}
