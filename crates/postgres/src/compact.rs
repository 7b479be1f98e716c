//! What makes a store small and quick again: room of deleted documents is given back to the tables, and where a scan of all
//! documents is slow, an index over vectors is made and measured.

use crate::error::PostgresError;
use crate::graph::{Graph, LONGEST, MOST_HALF, Measured};
use crate::read::{Near, Reader, Search};
use crate::store::{Store, table};
use crate::wire::Received;
use maana_kernels::{Context, Matrix, Rows};
use maana_vectors::search::{Corpus, MeasuredOn, Metric, PlanePrecision, Recall, Wish, choose, perturbed};

/// From so many documents on, an index is worth its room.
const GRAPH_DOCUMENTS: usize = 1_000;
/// Vectors by which the form of the index is chosen.
const CHOICE_SAMPLE: usize = 5_000;
/// The least recall of a form's shortlist among them, and the longest such shortlist.
const CHOICE_RECALL: f64 = 0.99;
const CHOICE_SHORTLIST: usize = 64;
/// Queries that are searched for to measure an index, and the numbers of hits.
const SAMPLE: usize = 200;
const HITS: [usize; 2] = [10, 100];
/// Shortlists that are measured.
const SHORTLISTS: [usize; 6] = [32, 64, 128, 256, 512, LONGEST];

/// What `compact` did.
#[derive(Clone, Debug, PartialEq)]
pub struct Compacted {
    /// Bytes of tables and indexes before.
    pub before: u64,
    /// And after.
    pub after: u64,
    /// The index that was made or measured anew, if one was.
    pub graph: Option<Graph>,
}

impl Store {
    /// Gives the room of deleted documents back to the tables, and makes the index over vectors anew where there are 1000
    /// documents or more, and changes since the last. It is measured by these queries, where there are any, and measured anew for
    /// them. Readers go on meanwhile, writers wait.
    ///
    /// # Errors
    /// Queries of other dims or with values that are not finite, or what the server refuses.
    pub fn compact(&self, context: &Context, queries: Option<Rows<'_>>) -> Result<Compacted, PostgresError> {
        let before = self.info()?;
        let current = before.graph.filter(|graph| graph.generation == before.generation);
        let graph = match current {
            _ if before.documents < GRAPH_DOCUMENTS => None,
            // An earlier version measured by vectors as they are stored, which promises too much.
            Some(graph) if queries.is_none() && graph.on.is_some() => None,
            current => Some(self.index(context, current, queries)?),
        };
        // No part of a transaction: VACUUM makes its own.
        let vacuum = format!("VACUUM (ANALYZE) {}", table(&self.target, "documents"));
        let vacuumed = self.client().batch_execute(&vacuum);
        vacuumed.map_err(|error| PostgresError::sql(&self.target, "giving room back", &error))?;
        Ok(Compacted { before: before.bytes, after: self.info()?.bytes, graph })
    }

    /// Makes the index, unless it is there, and measures it.
    fn index(
        &self,
        context: &Context,
        current: Option<Graph>,
        queries: Option<Rows<'_>>,
    ) -> Result<Graph, PostgresError> {
        let (target, header) = (&self.target, self.header());
        self.change("making the index over vectors", |transaction| {
            let sql = |error| PostgresError::sql(target, "making the index over vectors", &error);
            let mut reader = Reader::new(transaction, target, header);
            let (generation, _) = reader.state()?;
            let new = Graph { prefix: 0, bits: false, on: None, measured: Vec::new(), generation: generation + 1 };
            let mut graph = match current {
                Some(Graph { prefix, bits, .. }) => Graph { prefix, bits, ..new },
                None => {
                    let (_, sample) = sample(&mut reader, CHOICE_SAMPLE)?;
                    let (prefix, bits) = form(context, header.metric, &sample, queries)?;
                    let graph = Graph { prefix, bits, ..new };
                    let (transaction, ..) = reader.parts();
                    let create = format!(
                        "DROP INDEX IF EXISTS {}; CREATE INDEX graph ON {} USING hnsw ({} {})",
                        table(target, "graph"),
                        table(target, "documents"),
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
            let update = format!("UPDATE {} SET graph = $1", table(target, "meta"));
            transaction.execute(&update, &[&description]).map_err(sql)?;
            Ok(graph)
        })
    }
}

/// Numbers and vectors of some documents, from all over the store.
fn sample(reader: &mut Reader<'_, '_>, size: usize) -> Result<(Vec<i64>, Matrix), PostgresError> {
    let step = i64::try_from(reader.len()? / size).unwrap_or(i64::MAX).max(1);
    let (transaction, target, header) = reader.parts();
    let sql = |error| PostgresError::sql(target, "reading a sample", &error);
    let select = format!(
        "SELECT seq, embedding FROM {} WHERE seq % $1 = 0 ORDER BY seq LIMIT {size}",
        table(target, "documents")
    );
    let rows = transaction.query(&select, &[&step]).map_err(sql)?;
    let (mut seqs, mut values) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len() * header.dims));
    for row in &rows {
        seqs.push(row.try_get(0).map_err(sql)?);
        values.extend(row.try_get::<_, Received>(1).map_err(sql)?.0);
    }
    Ok((seqs, Matrix::from_vec(rows.len(), header.dims, values)))
}

/// The narrowest form whose shortlist holds what it should of the true hits; else all columns in f16.
fn form(
    context: &Context,
    metric: Metric,
    sample: &Matrix,
    queries: Option<Rows<'_>>,
) -> Result<(usize, bool), PostgresError> {
    let widest = (sample.columns().min(MOST_HALF), false);
    if !matches!(metric, Metric::Cosine | Metric::Dot) {
        return Ok(widest);
    }
    let wish = Wish { recall: CHOICE_RECALL, queries, ..Wish::default() };
    let choice = choose(context, &Corpus::from(sample.view()), metric, &wish)?;
    let good = choice.tried.iter().filter(|tried| {
        tried.recall.mean >= CHOICE_RECALL
            && tried.settings.shortlist <= CHOICE_SHORTLIST
            && tried.settings.prefix <= MOST_HALF
    });
    let narrowest = good.min_by_key(|tried| match tried.settings.precision {
        PlanePrecision::Binary => tried.settings.prefix,
        PlanePrecision::Int8 => 16 * tried.settings.prefix,
    });
    let form = narrowest.map(|tried| (tried.settings.prefix, tried.settings.precision == PlanePrecision::Binary));
    Ok(form.unwrap_or(widest))
}

/// Searches by queries, or by some of the store's own vectors, perturbed, among all others, exactly and by each shortlist.
fn measure(reader: &mut Reader<'_, '_>, graph: &mut Graph, given: Option<Rows<'_>>) -> Result<(), PostgresError> {
    let dims = reader.parts().2.dims;
    let given = given.unwrap_or(Rows::new(&[], 0, dims, dims));
    let planned = MeasuredOn::planned(given.rows(), SAMPLE);
    let (seqs, stored) = if planned.perturbed > 0 { sample(reader, planned.perturbed)? } else { Default::default() };
    // From all over the file.
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
