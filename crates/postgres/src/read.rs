//! Reads and searches one state of a store.
//!
//! Exact search orders rows by pgvector's distance in SQL and scores the first of them by
//! `Metric::score`. Both are sums of the same products, rounded in different orders. If a row
//! beyond SQL's limit could be nearer than the last hit within the bound of the rounding errors,
//! all rows up to that distance are scored too.

use crate::error::PostgresError;
use crate::graph::Graph;
use crate::schema::{Header, Payload, operator, table};
use crate::target::Target;
use crate::wire::{Received, Vector};
use maana_kernels::Rows;
use maana_vectors::search::Metric;
use maana_vectors::{VectorsError, check_finite};
use postgres::Transaction;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::ToSql;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

/// Options of a search.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// Hits to find; a smaller store gives fewer.
    pub k: usize,
    /// Number of leading columns to compare; `None` compares all.
    pub dim: Option<usize>,
    /// Fields and the values that they must have.
    pub filters: &'a [(String, String)],
}

/// A hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    /// Number of the document; documents that were added later have greater ones.
    pub seq: i64,
    /// Score by the store's metric; greater is nearer.
    pub score: f32,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Number of the document.
    pub seq: i64,
    /// Id.
    pub id: String,
    /// Text.
    pub text: String,
    /// Other fields.
    pub fields: BTreeMap<String, String>,
}

/// Reads one state of a store, in a transaction.
pub struct Reader<'a, 'c> {
    transaction: &'a mut Transaction<'c>,
    target: &'a Target,
    header: &'a Header,
}

/// Condition of the filters: without objects every row, else the rows whose fields contain each of
/// them.
const FILTER: &str = "(cardinality($2::text[]) = 0 OR payload->'fields' @> ALL($2::text[]::jsonb[]))";

impl<'a, 'c> Reader<'a, 'c> {
    pub(crate) fn new(transaction: &'a mut Transaction<'c>, target: &'a Target, header: &'a Header) -> Self {
        Self { transaction, target, header }
    }

    /// Returns the number of documents.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn len(&mut self) -> Result<usize, PostgresError> {
        let count: i64 = self.value(&format!("SELECT count(*) FROM {}", table(self.target.name(), "documents")))?;
        Ok(count as usize)
    }

    /// Returns whether the store has no documents.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn is_empty(&mut self) -> Result<bool, PostgresError> {
        let any: bool =
            self.value(&format!("SELECT EXISTS (SELECT FROM {})", table(self.target.name(), "documents")))?;
        Ok(!any)
    }

    /// Returns the number of changes so far, and the index over vectors.
    ///
    /// # Errors
    /// If the server refuses, or the description of the index is malformed.
    pub fn state(&mut self) -> Result<(u64, Option<Graph>), PostgresError> {
        let select = format!("SELECT generation, graph FROM {}", table(self.target.name(), "meta"));
        let row = self.transaction.query_one(&select, &[]).map_err(|error| self.sql(error))?;
        let generation: i64 = row.try_get(0).map_err(|error| self.sql(error))?;
        let graph: Option<String> = row.try_get(1).map_err(|error| self.sql(error))?;
        let graph = graph.map(|graph| serde_json::from_str(&graph)).transpose();
        let graph =
            graph.map_err(|error| PostgresError::damaged(self.target, format!("the column `graph`: {error}")))?;
        Ok((generation as u64, graph))
    }

    /// Returns the bytes of tables and indexes.
    pub(crate) fn bytes(&mut self) -> Result<u64, PostgresError> {
        let size = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
                    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = $1";
        let row = self.transaction.query_one(size, &[&self.target.name()]).map_err(|error| self.sql(error))?;
        let bytes: i64 = row.try_get(0).map_err(|error| self.sql(error))?;
        Ok(bytes as u64)
    }

    /// Returns the versions of PostgreSQL and pgvector.
    pub(crate) fn server(&mut self) -> Result<String, PostgresError> {
        self.value(
            "SELECT 'PostgreSQL ' || current_setting('server_version') || ', pgvector ' || extversion
             FROM pg_extension WHERE extname = 'vector'",
        )
    }

    /// Returns the names of the fields of the first documents.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn fields(&mut self) -> Result<Vec<String>, PostgresError> {
        const DOCUMENTS: usize = 1000;
        let documents = table(self.target.name(), "documents");
        self.fields_of(&format!("(SELECT payload FROM {documents} ORDER BY seq LIMIT {DOCUMENTS}) AS first"))
    }

    /// Returns the sorted names of the fields in the rows of a SQL expression.
    fn fields_of(&mut self, documents: &str) -> Result<Vec<String>, PostgresError> {
        let names = format!("SELECT DISTINCT jsonb_object_keys(payload->'fields') FROM {documents}");
        let rows = self.transaction.query(&names, &[]).map_err(|error| self.sql(error))?;
        let names: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
        let mut names = names.map_err(|error| self.sql(error))?;
        names.sort_unstable();
        Ok(names)
    }

    /// Checks that some document has each field of the filters; an empty store has every field.
    ///
    /// # Errors
    /// Names the first missing field.
    pub fn expect_fields(&mut self, filters: &[(String, String)]) -> Result<(), PostgresError> {
        let documents = table(self.target.name(), "documents");
        for (field, _) in filters {
            let has = format!("SELECT EXISTS (SELECT FROM {documents} WHERE payload->'fields' ? $1)");
            let known = !field.contains('\0') && {
                let row = self.transaction.query_one(&has, &[field]).map_err(|error| self.sql(error))?;
                row.try_get(0).map_err(|error| self.sql(error))?
            };
            if known || self.is_empty()? {
                continue;
            }
            let mut present = self.fields_of(&documents)?;
            if present.is_empty() {
                present.push("none (index with --keep)".to_owned());
            }
            return Err(PostgresError::NoField { field: field.clone(), present: present.join(", ") });
        }
        Ok(())
    }

    /// Returns the k nearest documents of each query by the store's metric, nearest first, of equal
    /// scores the earlier first. Without a shortlist they are exact; with one they are the best
    /// documents of the index's shortlist.
    ///
    /// # Errors
    /// If queries have another dimension or are not finite, `dim` is not from 1 to the dimension,
    /// or the server refuses.
    pub fn nearest(
        &mut self,
        queries: Rows<'_>,
        search: &Search<'_>,
        shortlist: Option<(&Graph, usize)>,
    ) -> Result<Vec<Vec<Near>>, PostgresError> {
        let dims = self.header.dims;
        if queries.columns() != dims && queries.rows() > 0 {
            return Err(VectorsError::Dims { expected: dims, found: queries.columns() }.into());
        }
        check_finite(queries)?;
        if let Some(dim) = search.dim.filter(|dim| *dim == 0 || *dim > dims) {
            return Err(VectorsError::Prefix { dim, dims }.into());
        }
        let one = |query| {
            if let Some((graph, length)) = shortlist {
                let near = self.by_graph(queries.row(query), search.k, graph, length)?;
                // Deletions since the measurement may leave too few; then all documents are
                // compared.
                if near.len() == search.k {
                    return Ok(near);
                }
            }
            self.exact(queries.row(query), search)
        };
        (0..queries.rows()).map(one).collect()
    }

    fn exact(&mut self, query: &[f32], search: &Search<'_>) -> Result<Vec<Near>, PostgresError> {
        let k = search.k;
        if k == 0 || search.filters.iter().any(|(_, value)| value.contains('\0')) {
            return Ok(Vec::new());
        }
        let dim = search.dim.unwrap_or(self.header.dims);
        let query = &query[..dim];
        let limit = i64::try_from(k.saturating_add(16 + k / 4)).unwrap_or(i64::MAX);
        let mut nearest = Nearest::new(k);
        let filters = objects(search.filters);
        let (rows, worst) = self.scan(query, &filters, "ORDER BY distance, seq LIMIT $3", &limit, &mut nearest)?;
        let found = nearest.into_sorted();
        if rows < limit || found.len() < k {
            return Ok(found);
        }
        let furthest = self.furthest(query, found[k - 1].score)?;
        if worst > furthest {
            return Ok(found);
        }
        let mut nearest = Nearest::new(k);
        self.scan(query, &filters, "WHERE distance <= $3", &furthest, &mut nearest)?;
        Ok(nearest.into_sorted())
    }

    /// Scores the rows of a query, and returns their number and the greatest distance in SQL.
    fn scan(
        &mut self,
        query: &[f32],
        filters: &[String],
        which: &str,
        limit: &(dyn ToSql + Sync),
        nearest: &mut Nearest,
    ) -> Result<(i64, f64), PostgresError> {
        let (header, dim) = (self.header, query.len());
        let mut distance = format!("{} {} $1", header.prefix("embedding", dim), operator(header.metric));
        if header.metric == Metric::Cosine {
            // pgvector has no distance for zero vectors and sorts them last; here their score is 0.
            distance = format!("coalesce(nullif({distance}, 'NaN'), 1)");
        }
        let select = format!(
            "SELECT seq, embedding, distance FROM
                 (SELECT seq, embedding, {distance} AS distance FROM {} WHERE {FILTER}) AS compared {which}",
            table(self.target.name(), "documents")
        );
        let target = self.target;
        let sql = |error| PostgresError::sql(target, "searching", &error);
        let query_value = Vector(query);
        let parameters: [&(dyn ToSql + Sync); 3] = [&query_value, &filters, limit];
        let mut rows = self.transaction.query_raw(&select, parameters).map_err(sql)?;
        let (mut count, mut worst) = (0, f64::NEG_INFINITY);
        while let Some(row) = rows.next().map_err(sql)? {
            let vector: Received = row.try_get(1).map_err(sql)?;
            count += 1;
            worst = worst.max(row.try_get(2).map_err(sql)?);
            nearest.offer(header.metric.score(query, &vector.0[..dim]), row.try_get(0).map_err(sql)?);
        }
        Ok((count, worst))
    }

    /// Returns the greatest distance in SQL of a row whose score is at least `score`.
    fn furthest(&mut self, query: &[f32], score: f32) -> Result<f64, PostgresError> {
        // Two sums of n products differ by at most 2 n u ‖a‖ ‖b‖ with u = 2⁻²⁴; this is four times
        // that.
        let gamma = (query.len() as f64 + 8.0) * 2f64.powi(-21);
        let score = f64::from(score);
        Ok(match self.header.metric {
            Metric::Cosine => 1.0 - score + gamma,
            Metric::Dot => {
                let longest: f64 = self.value(&format!(
                    "SELECT coalesce(max(vector_norm({})), 0) FROM {}",
                    self.header.prefix("embedding", query.len()),
                    table(self.target.name(), "documents")
                ))?;
                let length = query.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
                -score + gamma * length * longest
            }
            // A sum of non-negative terms has a relative error. The constant is below the square
            // root of any f32.
            Metric::Euclidean | Metric::Manhattan => -score * (1.0 + gamma) + 1e-18,
        })
    }

    /// Returns the k best documents of the index's shortlist, or fewer if the shortlist is shorter.
    pub(crate) fn by_graph(
        &mut self,
        query: &[f32],
        k: usize,
        graph: &Graph,
        shortlist: usize,
    ) -> Result<Vec<Near>, PostgresError> {
        let target = self.target;
        let sql = |error| PostgresError::sql(target, "searching by the index", &error);
        let settings = format!("SET LOCAL hnsw.ef_search = {shortlist}; SET LOCAL enable_seqscan = off");
        self.transaction.batch_execute(&settings).map_err(sql)?;
        let select = format!(
            "SELECT seq, embedding FROM {} ORDER BY {} {} {} LIMIT {shortlist}",
            table(target.name(), "documents"),
            graph.expression(self.header, "embedding"),
            graph.operator(self.header),
            graph.expression_of_query(self.header, "$1"),
        );
        let rows = self.transaction.query(&select, &[&Vector(query)]).map_err(sql)?;
        self.transaction.batch_execute("SET LOCAL enable_seqscan = on").map_err(sql)?;
        let mut nearest = Nearest::new(k);
        for row in rows {
            let vector: Received = row.try_get(1).map_err(sql)?;
            nearest.offer(self.header.metric.score(query, &vector.0), row.try_get(0).map_err(sql)?);
        }
        Ok(nearest.into_sorted())
    }

    /// Returns the documents with these numbers, in this order.
    ///
    /// # Errors
    /// If the server refuses, or a payload is malformed.
    pub fn rows(&mut self, seqs: &[i64]) -> Result<Vec<Row>, PostgresError> {
        let select = format!(
            "SELECT seq, id, payload::text FROM {} WHERE seq = ANY($1)",
            table(self.target.name(), "documents")
        );
        let rows = self.transaction.query(&select, &[&seqs]).map_err(|error| self.sql(error))?;
        let rows: Result<HashMap<i64, Row>, PostgresError> =
            rows.iter().map(|row| row_of(self.target, row).map(|row| (row.seq, row))).collect();
        let mut rows = rows?;
        let gone = || PostgresError::damaged(self.target, "two documents have one number");
        seqs.iter().map(|seq| rows.remove(seq).ok_or_else(gone)).collect()
    }

    /// Returns the vectors of the documents with these numbers, in this order.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn vectors(&mut self, seqs: &[i64]) -> Result<Vec<Vec<f32>>, PostgresError> {
        let select =
            format!("SELECT seq, embedding FROM {} WHERE seq = ANY($1)", table(self.target.name(), "documents"));
        let rows = self.transaction.query(&select, &[&seqs]).map_err(|error| self.sql(error))?;
        let mut vectors = HashMap::with_capacity(rows.len());
        for row in rows {
            let vector: Received = row.try_get(1).map_err(|error| self.sql(error))?;
            let seq: i64 = row.try_get(0).map_err(|error| self.sql(error))?;
            vectors.insert(seq, vector.0);
        }
        let gone = || PostgresError::damaged(self.target, "two documents have one number");
        seqs.iter().map(|seq| vectors.remove(seq).ok_or_else(gone)).collect()
    }

    /// Returns the documents with these ids, without those that are missing.
    ///
    /// # Errors
    /// If the server refuses, or a payload is malformed.
    pub fn by_ids(&mut self, ids: &[&str]) -> Result<Vec<Row>, PostgresError> {
        // No id contains a NUL character, and the server rejects strings that do.
        let ids: Vec<&str> = ids.iter().copied().filter(|id| !id.contains('\0')).collect();
        let select =
            format!("SELECT seq, id, payload::text FROM {} WHERE id = ANY($1)", table(self.target.name(), "documents"));
        let rows = self.transaction.query(&select, &[&ids]).map_err(|error| self.sql(error))?;
        rows.iter().map(|row| row_of(self.target, row)).collect()
    }

    /// Returns the ids of all documents.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn ids(&mut self) -> Result<Vec<String>, PostgresError> {
        let select = format!("SELECT id FROM {} ORDER BY seq", table(self.target.name(), "documents"));
        let rows = self.transaction.query(&select, &[]).map_err(|error| self.sql(error))?;
        rows.iter().map(|row| row.try_get(0).map_err(|error| self.sql(error))).collect()
    }

    /// Calls `look` with every document, in the order of addition, and whether it passes the
    /// filters.
    ///
    /// # Errors
    /// If the server refuses, or a payload is malformed.
    pub fn for_each(
        &mut self,
        filters: &[(String, String)],
        mut look: impl FnMut(Row, bool),
    ) -> Result<(), PostgresError> {
        let select =
            format!("SELECT seq, id, payload::text FROM {} ORDER BY seq", table(self.target.name(), "documents"));
        let target = self.target;
        let sql = |error| PostgresError::sql(target, "reading documents", &error);
        let none: [&(dyn ToSql + Sync); 0] = [];
        let mut rows = self.transaction.query_raw(&select, none).map_err(sql)?;
        while let Some(row) = rows.next().map_err(sql)? {
            let row = row_of(target, &row)?;
            let passes = filters.iter().all(|(field, value)| row.fields.get(field) == Some(value));
            look(row, passes);
        }
        Ok(())
    }

    /// Returns the transaction, and the address and header of its store.
    pub(crate) fn parts(&mut self) -> (&mut Transaction<'c>, &Target, &Header) {
        (self.transaction, self.target, self.header)
    }

    fn value<T: for<'t> postgres::types::FromSql<'t>>(&mut self, select: &str) -> Result<T, PostgresError> {
        let row = self.transaction.query_one(select, &[]).map_err(|error| self.sql(error))?;
        row.try_get(0).map_err(|error| self.sql(error))
    }

    fn sql(&self, error: postgres::Error) -> PostgresError {
        PostgresError::sql(self.target, "reading", &error)
    }
}

fn row_of(target: &Target, row: &postgres::Row) -> Result<Row, PostgresError> {
    let sql = |error| PostgresError::sql(target, "reading documents", &error);
    let (seq, id, payload): (i64, String, String) =
        (row.try_get(0).map_err(sql)?, row.try_get(1).map_err(sql)?, row.try_get(2).map_err(sql)?);
    let payload: Payload = serde_json::from_str(&payload)
        .map_err(|error| PostgresError::damaged(target, format!("the payload of document `{id}`: {error}")))?;
    Ok(Row { seq, id, text: payload.text, fields: payload.fields })
}

/// Returns each filter as a JSON object that the fields must contain.
fn objects(filters: &[(String, String)]) -> Vec<String> {
    filters.iter().map(|(field, value)| serde_json::json!({ field: value }).to_string()).collect()
}

/// The k nearest of the offered documents, in memory for a few times k.
struct Nearest {
    k: usize,
    near: Vec<Near>,
}

impl Nearest {
    fn new(k: usize) -> Self {
        Self { k, near: Vec::new() }
    }

    fn offer(&mut self, score: f32, seq: i64) {
        if score.is_nan() {
            return;
        }
        self.near.push(Near { seq, score });
        if self.near.len() >= self.k.saturating_mul(2).saturating_add(1024) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        // No score is NaN; zeros of both signs are equal.
        let order = |a: &Near, b: &Near| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal);
        self.near.sort_unstable_by(|a, b| order(a, b).then(a.seq.cmp(&b.seq)));
        self.near.truncate(self.k);
    }

    fn into_sorted(mut self) -> Vec<Near> {
        self.cut();
        self.near
    }
}
