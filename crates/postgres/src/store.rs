//! Opening, making and changing a store.

use crate::error::PostgresError;
use crate::graph::Graph;
use crate::read::Reader;
use crate::target::Target;
use crate::tls::connector;
use crate::wire::CopyRows;
use half::f16;
use maana_kernels::Rows;
use maana_vectors::search::Metric;
use maana_vectors::store::{Added, StoreError, expect_maker};
use maana_vectors::{VectorsError, check_finite};
use postgres::error::SqlState;
use postgres::{Client, IsolationLevel, Transaction};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::Xxh3;

/// The version that is written, and the last that is read.
const VERSION: i32 = 1;
/// The first pgvector with `halfvec`, `subvector` and `binary_quantize`.
const PGVECTOR: &str = "0.7.0";
/// What says of a schema that it is a store.
const COMMENT: &str = "maana store";
/// The same of one into which not all documents have come.
const UNFINISHED: &str = "maana store, unfinished";
/// How long a writer waits for its turn.
pub(crate) const LOCK_SECONDS: u32 = 30;
/// The longest vector that pgvector keeps.
const MOST_DIMS: usize = 16_000;
/// Ids are keys of an index, whose entries are short; strings of `jsonb` are below 256 MB.
const ID_BYTES: usize = 2_000;
const TEXT_BYTES: usize = (1 << 28) - 1;
/// Bytes of COPY that are gathered before they are sent.
const COPY_BYTES: usize = 1 << 20;

/// What holds for a whole store and never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Dims of a vector.
    pub dims: usize,
    /// How vectors are meant to be compared.
    pub metric: Metric,
    /// Whether values are kept in two bytes, rounded to f16 (`halfvec`), instead of four.
    pub half: bool,
    /// What made them, in hexadecimal digits; compared, never understood.
    pub fingerprint: String,
    /// A name for it, told to people.
    pub made_by: String,
    /// Precision of the products that made them, if it was noted; told to people.
    pub precision: Option<String>,
    /// The text that stood before every document when it was embedded, if it was noted.
    pub document_prompt: Option<String>,
}

impl Header {
    /// A header; the fingerprint is any bytes.
    pub fn new(dims: usize, metric: Metric, half: bool, fingerprint: &[u8], made_by: &str) -> Self {
        let fingerprint = fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { dims, metric, half, fingerprint, made_by: made_by.to_owned(), precision: None, document_prompt: None }
    }

    /// Notes the precision of the products that make the vectors.
    pub fn with_precision(self, name: &str) -> Self {
        Self { precision: Some(name.to_owned()), ..self }
    }

    /// Notes the text that stands before every document when it is embedded.
    pub fn with_document_prompt(self, prompt: &str) -> Self {
        Self { document_prompt: Some(prompt.to_owned()), ..self }
    }
}

/// What is kept beside a vector.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// Its name in the store.
    pub id: &'a str,
    /// The text.
    pub text: &'a str,
    /// Other fields, to filter by.
    pub fields: &'a BTreeMap<String, String>,
}

/// The `jsonb` of a document.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    pub(crate) text: String,
    pub(crate) fields: BTreeMap<String, String>,
}

/// What can be told about a store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Info {
    /// What never changes.
    pub header: Header,
    /// Documents.
    pub documents: usize,
    /// Bytes of its tables and indexes on the server.
    pub bytes: u64,
    /// Counts changes.
    pub generation: u64,
    /// The index over vectors, if `compact` has made one.
    pub graph: Option<Graph>,
    /// Versions of PostgreSQL and of pgvector.
    pub server: String,
}

/// A store that is open.
pub struct Store {
    pub(crate) target: Target,
    client: Mutex<Client>,
    header: Header,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Store").field("target", &self.target.to_string()).field("header", &self.header).finish()
    }
}

impl Store {
    /// Makes a store.
    ///
    /// # Errors
    /// A store or another schema of this name, dims that pgvector does not keep, or what the server refuses.
    pub fn create(target: &Target, header: Header) -> Result<Self, PostgresError> {
        Self::create_with(target, header, COMMENT)
    }

    /// Makes a store that is not to be read until [`Store::finish`] is called, or goes on with one that was begun so with the
    /// same header. One that was begun with another is replaced. One process at a time does so.
    ///
    /// # Errors
    /// A store that is finished, another process that is at work on it, or as [`Store::create`].
    pub fn begin(target: &Target, header: Header) -> Result<Self, PostgresError> {
        let mut client = connect(target)?;
        if kind(target, &mut client)? == Kind::Unfinished {
            let store =
                Self { target: target.clone(), header: read_header(target, &mut client)?, client: client.into() };
            store.lock_unfinished()?;
            if store.header == header {
                return Ok(store);
            }
            store.remove()?;
        }
        let store = Self::create_with(target, header, UNFINISHED)?;
        store.lock_unfinished()?;
        Ok(store)
    }

    /// Keeps other processes from going on with the store as long as this connection lasts.
    fn lock_unfinished(&self) -> Result<(), PostgresError> {
        let lock = "SELECT pg_try_advisory_lock(hashtextextended('maana store ' || $1, 0))";
        let locked = self.client().query_one(lock, &[&self.target.name()]).and_then(|row| row.try_get(0));
        match locked.map_err(|error| PostgresError::sql(&self.target, "locking the store", &error))? {
            true => Ok(()),
            false => Err(StoreError::Locked { path: self.target.to_string().into() }.into()),
        }
    }

    /// Says that all documents have come into a store that was begun: from now on it can be read.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn finish(&self) -> Result<(), PostgresError> {
        let doing = "finishing the store";
        self.change(doing, |transaction| {
            let finished = comment(&self.target, COMMENT);
            transaction.batch_execute(&finished).map_err(|error| PostgresError::sql(&self.target, doing, &error))
        })
    }

    fn create_with(target: &Target, header: Header, comment: &str) -> Result<Self, PostgresError> {
        if header.dims == 0 || header.dims > MOST_DIMS {
            let message = format!("{}; pgvector keeps from 1 to {MOST_DIMS}", header.dims);
            return Err(VectorsError::Setting { setting: "dims", message }.into());
        }
        let mut client = connect(target)?;
        match kind(target, &mut client)? {
            Kind::Store | Kind::Unfinished => {
                return Err(PostgresError::AlreadyExists { place: target.to_string() });
            }
            Kind::Foreign => return Err(PostgresError::Foreign { place: target.to_string() }),
            Kind::Nothing => {}
        }
        let sql = |error: postgres::Error| match error.code() {
            // Another process was quicker.
            Some(code) if *code == SqlState::DUPLICATE_SCHEMA => {
                PostgresError::AlreadyExists { place: target.to_string() }
            }
            _ => PostgresError::sql(target, "creating the store", &error),
        };
        let mut transaction = client.transaction().map_err(sql)?;
        transaction.batch_execute(&schema(target, &header, comment)).map_err(sql)?;
        let insert = format!(
            "INSERT INTO {} (version, generation, dims, metric, half, fingerprint, made_by, precision,
             document_prompt) VALUES ($1, 0, $2, $3, $4, $5, $6, $7, $8)",
            table(target, "meta")
        );
        let dims = i32::try_from(header.dims).expect("checked above");
        transaction
            .execute(
                &insert,
                &[
                    &VERSION,
                    &dims,
                    &header.metric.name(),
                    &header.half,
                    &header.fingerprint,
                    &header.made_by,
                    &header.precision,
                    &header.document_prompt,
                ],
            )
            .map_err(sql)?;
        transaction.commit().map_err(sql)?;
        Ok(Self { target: target.clone(), client: Mutex::new(client), header })
    }

    /// Opens a store.
    ///
    /// # Errors
    /// No way to the server, no pgvector, no store of this name, or a later format.
    pub fn open(target: &Target) -> Result<Self, PostgresError> {
        let mut client = connect(target)?;
        match kind(target, &mut client)? {
            Kind::Store => {}
            Kind::Unfinished => return Err(StoreError::Unfinished { path: target.to_string().into() }.into()),
            Kind::Foreign => return Err(PostgresError::Foreign { place: target.to_string() }),
            Kind::Nothing => return Err(PostgresError::NotAStore { place: target.to_string() }),
        }
        let header = read_header(target, &mut client)?;
        Ok(Self { target: target.clone(), client: Mutex::new(client), header })
    }

    /// The store opened anew, if the server has closed the connection or holds another store under this name; `None` while
    /// this one can be asked.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn reopened(&self) -> Result<Option<Self>, PostgresError> {
        // Asking is what finds out that a connection is closed.
        let header = read_header(&self.target, &mut self.client());
        if header.is_ok_and(|header| header == self.header) { Ok(None) } else { Self::open(&self.target).map(Some) }
    }

    /// Removes the store of this name with all its documents, finished or not.
    ///
    /// # Errors
    /// No store of this name, another process that is at work on one that is not finished, or what the server refuses.
    pub fn remove_at(target: &Target) -> Result<(), PostgresError> {
        let mut client = connect(target)?;
        if kind(target, &mut client)? != Kind::Unfinished {
            return Self::open(target)?.remove();
        }
        let store = Self { target: target.clone(), header: read_header(target, &mut client)?, client: client.into() };
        store.lock_unfinished()?;
        store.remove()
    }

    /// Removes a store with all its documents.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn remove(self) -> Result<(), PostgresError> {
        let drop = format!("DROP SCHEMA {} CASCADE", quoted(self.target.name()));
        self.client()
            .batch_execute(&drop)
            .map_err(|error| PostgresError::sql(&self.target, "removing the store", &error))
    }

    /// What never changes.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// That the vectors were made by what has this fingerprint.
    ///
    /// # Errors
    /// They were not; `made_by` is told to people.
    pub fn expect_fingerprint(&self, fingerprint: &[u8], made_by: &str) -> Result<(), PostgresError> {
        let place = self.target.to_string();
        Ok(expect_maker(Path::new(&place), (&self.header.fingerprint, &self.header.made_by), (fingerprint, made_by))?)
    }

    /// Documents that can be found.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn len(&self) -> Result<usize, PostgresError> {
        self.read(|reader| reader.len())
    }

    /// Whether nothing can be found.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn is_empty(&self) -> Result<bool, PostgresError> {
        Ok(self.len()? == 0)
    }

    /// Adds documents with their vectors, all of them or none; one with an id that is there takes its place, at the end.
    ///
    /// # Errors
    /// Other dims, values that are not finite, an id twice, what PostgreSQL cannot keep, or what the server refuses.
    pub fn add(&self, documents: &[Document<'_>], vectors: Rows<'_>) -> Result<Added, PostgresError> {
        self.check(documents, vectors)?;
        if documents.is_empty() {
            return Ok(Added { new: 0, replaced: 0 });
        }
        self.change("adding documents", |transaction| {
            let sql = |error| PostgresError::sql(&self.target, "adding documents", &error);
            let ids: Vec<&str> = documents.iter().map(|document| document.id).collect();
            let table = table(&self.target, "documents");
            let delete = format!("DELETE FROM {table} WHERE id = ANY($1)");
            let replaced = transaction.execute(&delete, &[&ids]).map_err(sql)? as usize;
            let copy = format!("COPY {table} (id, embedding, payload, checksum) FROM STDIN (FORMAT binary)");
            let mut out = transaction.copy_in(&copy).map_err(sql)?;
            let mut rows = CopyRows::new();
            for (row, document) in documents.iter().enumerate() {
                let vector = self.as_kept(vectors.row(row));
                let payload = Payload { text: document.text.to_owned(), fields: document.fields.clone() };
                let (payload, checksum) = encode(document.id, &vector, &payload);
                rows.push(document.id, &vector, self.header.half, &payload, checksum);
                if rows.len() > COPY_BYTES {
                    out.write_all(&rows.take()).map_err(|error| self.copying(error))?;
                }
            }
            out.write_all(&rows.finish()).map_err(|error| self.copying(error))?;
            out.finish().map_err(sql)?;
            Ok(Added { new: documents.len() - replaced, replaced })
        })
    }

    /// Deletes the documents with these ids; the ids of those that were there.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn delete(&self, ids: &[&str]) -> Result<Vec<String>, PostgresError> {
        // No document has an id with a NUL, and the server takes none.
        let ids: Vec<&str> = ids.iter().copied().filter(|id| !id.contains('\0')).collect();
        self.change("deleting documents", |transaction| {
            let delete = format!("DELETE FROM {} WHERE id = ANY($1) RETURNING id", table(&self.target, "documents"));
            let deleted = transaction.query(&delete, &[&ids]);
            let deleted = deleted.map_err(|error| PostgresError::sql(&self.target, "deleting documents", &error))?;
            Ok(deleted.iter().map(|row| row.get(0)).collect())
        })
    }

    /// Looks at one state of the store; later changes are not seen. The connection is taken until `look` returns: it must ask
    /// the reader, never this store.
    ///
    /// # Errors
    /// What `look` says, or what the server refuses.
    pub fn read<T, E: From<PostgresError>>(
        &self,
        look: impl FnOnce(&mut Reader<'_, '_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut client = self.client();
        let transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let mut transaction =
            transaction.start().map_err(|error| PostgresError::sql(&self.target, "reading", &error))?;
        look(&mut Reader::new(&mut transaction, &self.target, &self.header))
    }

    /// What can be told about the store.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn info(&self) -> Result<Info, PostgresError> {
        self.read(|reader| {
            let (generation, graph) = reader.state()?;
            Ok(Info {
                header: self.header.clone(),
                documents: reader.len()?,
                bytes: reader.bytes()?,
                generation,
                graph,
                server: reader.server()?,
            })
        })
    }

    /// One change: a transaction that no other writer's can overlap.
    pub(crate) fn change<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        let sql = |error| PostgresError::sql(&self.target, doing, &error);
        let meta = table(&self.target, "meta");
        let mut client = self.client();
        let mut transaction = client.transaction().map_err(sql)?;
        transaction.batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")).map_err(sql)?;
        let lock = format!("SELECT fingerprint, dims FROM {meta} FOR UPDATE");
        let row = transaction.query_opt(&lock, &[]).map_err(sql)?;
        let same = row.is_some_and(|row| {
            row.try_get(0).is_ok_and(|fingerprint: &str| fingerprint == self.header.fingerprint)
                && row.try_get(1).is_ok_and(|dims: i32| dims as usize == self.header.dims)
        });
        if !same {
            return Err(PostgresError::damaged(&self.target, "another store has taken its place since it was opened"));
        }
        let done = work(&mut transaction)?;
        let count = format!("UPDATE {meta} SET generation = generation + 1");
        transaction.execute(&count, &[]).map_err(sql)?;
        transaction.commit().map_err(sql)?;
        Ok(done)
    }

    /// The connection. A thread that panicked while it had it left a transaction that the server has undone.
    pub(crate) fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, documents: &[Document<'_>], vectors: Rows<'_>) -> Result<(), PostgresError> {
        if documents.len() != vectors.rows() {
            return Err(StoreError::Count { documents: documents.len(), rows: vectors.rows() }.into());
        }
        if documents.is_empty() {
            return Ok(());
        }
        if vectors.columns() != self.header.dims {
            return Err(VectorsError::Dims { expected: self.header.dims, found: vectors.columns() }.into());
        }
        check_finite(vectors)?;
        for row in (0..vectors.rows()).filter(|_| self.header.half) {
            check_finite(Rows::new(&self.as_kept(vectors.row(row)), 1, self.header.dims, self.header.dims)).map_err(
                |error| match error {
                    VectorsError::NotFinite { column, value, .. } => VectorsError::NotFinite { row, column, value },
                    other => other,
                },
            )?;
        }
        let mut ids = HashSet::with_capacity(documents.len());
        for document in documents {
            if !ids.insert(document.id) {
                return Err(StoreError::DuplicateId { id: document.id.to_owned() }.into());
            }
            if let Some(what) = unkeepable(document) {
                let id = document.id.chars().take(80).collect();
                return Err(PostgresError::Document { id, what });
            }
        }
        Ok(())
    }

    /// A vector rounded as it is kept.
    fn as_kept(&self, vector: &[f32]) -> Vec<f32> {
        match self.header.half {
            true => vector.iter().map(|value| f16::from_f32(*value).to_f32()).collect(),
            false => vector.to_vec(),
        }
    }

    fn copying(&self, error: std::io::Error) -> PostgresError {
        let what = error.to_string();
        match error.into_inner().and_then(|inner| inner.downcast::<postgres::Error>().ok()) {
            Some(error) => PostgresError::sql(&self.target, "adding documents", &error),
            None => PostgresError::Lost { place: self.target.to_string(), doing: "adding documents", what },
        }
    }
}

/// Why PostgreSQL cannot keep a document.
fn unkeepable(document: &Document<'_>) -> Option<&'static str> {
    let strings = document.fields.iter().flat_map(|(name, value)| [name.as_str(), value]).chain([document.text]);
    if document.id.contains('\0') || strings.clone().any(|string| string.contains('\0')) {
        return Some("it has a NUL character, which PostgreSQL keeps in no text; remove it");
    }
    if document.id.len() > ID_BYTES {
        return Some("its id is longer than 2000 bytes; take a shorter one");
    }
    (strings.map(str::len).max() > Some(TEXT_BYTES))
        .then_some("its text has 256 MB or more; cut it into several documents")
}

/// A document's payload as it is sent, and the checksum that is kept beside.
pub(crate) fn encode(id: &str, vector: &[f32], payload: &Payload) -> (Vec<u8>, i64) {
    let payload = serde_json::to_vec(payload).expect("texts are JSON");
    let mut hasher = Xxh3::new();
    hasher.update(id.as_bytes());
    hasher.update(&[0]);
    vector.iter().for_each(|value| hasher.update(&value.to_le_bytes()));
    hasher.update(&payload);
    (payload, hasher.digest().cast_signed())
}

/// A name as SQL takes it, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table or index of the store.
pub(crate) fn table(target: &Target, table: &str) -> String {
    format!("{}.{table}", quoted(target.name()))
}

/// Says what the schema is.
fn comment(target: &Target, comment: &str) -> String {
    format!("COMMENT ON SCHEMA {} IS '{comment}';", quoted(target.name()))
}

fn schema(target: &Target, header: &Header, kind: &str) -> String {
    let (name, dims) = (quoted(target.name()), header.dims);
    let kept = if header.half { "halfvec" } else { "vector" };
    let comment = comment(target, kind);
    format!(
        "CREATE SCHEMA {name};
         {comment}
         CREATE TABLE {name}.meta (
             version integer NOT NULL, generation bigint NOT NULL, dims integer NOT NULL, metric text NOT NULL,
             half boolean NOT NULL, fingerprint text NOT NULL, made_by text NOT NULL, precision text,
             document_prompt text, graph text,
             single boolean NOT NULL DEFAULT true UNIQUE CHECK (single));
         CREATE TABLE {name}.documents (
             id text PRIMARY KEY, seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE, embedding {kept}({dims}) NOT NULL,
             payload jsonb NOT NULL, checksum bigint NOT NULL);"
    )
}

fn connect(target: &Target) -> Result<Client, PostgresError> {
    let tls = connector(&target.secrecy);
    let tls = tls.map_err(|what| PostgresError::Address { shown: target.to_string(), what })?;
    let mut client = target.config.connect(tls).map_err(|error| PostgresError::connect(target, &error))?;
    let sql = |error| PostgresError::sql(target, "looking for pgvector", &error);
    let extension = "SELECT e.extversion, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                     WHERE e.extname = 'vector'";
    let Some(row) = client.query_opt(extension, &[]).map_err(sql)? else {
        return Err(PostgresError::NoExtension { place: target.to_string() });
    };
    let (found, schema): (String, String) = (row.try_get(0).map_err(sql)?, row.try_get(1).map_err(sql)?);
    if numbers(&found) < numbers(PGVECTOR) {
        return Err(PostgresError::OldExtension { place: target.to_string(), found, needed: PGVECTOR });
    }
    // Types and operators are pgvector's, wherever it was installed; tables are named with their schema.
    client.batch_execute(&format!("SET search_path = {}", quoted(&schema))).map_err(sql)?;
    Ok(client)
}

/// The numbers of a version.
fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|number| number.parse().ok()).collect()
}

/// What a database has of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Store,
    Unfinished,
    Foreign,
}

fn kind(target: &Target, client: &mut Client) -> Result<Kind, PostgresError> {
    let comment = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1";
    let row = client.query_opt(comment, &[&target.name()]);
    let row = row.map_err(|error| PostgresError::sql(target, "looking for the store", &error))?;
    let Some(row) = row else { return Ok(Kind::Nothing) };
    let comment: Option<String> = row.try_get(0).unwrap_or_default();
    Ok(match comment.as_deref() {
        Some(COMMENT) => Kind::Store,
        Some(UNFINISHED) => Kind::Unfinished,
        _ => Kind::Foreign,
    })
}

fn read_header(target: &Target, client: &mut Client) -> Result<Header, PostgresError> {
    let sql = |error| PostgresError::sql(target, "reading what the store is", &error);
    let meta = table(target, "meta");
    // The version alone: what else a later one has is not known.
    let row = client.query_opt(&format!("SELECT version FROM {meta}"), &[]).map_err(sql)?;
    let version = row.ok_or_else(|| PostgresError::damaged(target, "the table `meta` is empty"))?;
    let version: i32 = version.try_get(0).map_err(sql)?;
    if version > VERSION {
        return Err(PostgresError::Newer { place: target.to_string(), version, known: VERSION });
    }
    if version < 1 {
        return Err(PostgresError::damaged(target, format!("no program has written a format version {version}")));
    }
    // Stores of earlier programs have no columns `precision` and `document_prompt`.
    let select = format!(
        "SELECT dims, metric, half, fingerprint, made_by, to_jsonb(m)->>'precision', to_jsonb(m)->>'document_prompt'
         FROM {meta} m"
    );
    let row = client.query_one(&select, &[]).map_err(sql)?;
    let (dims, metric): (i32, String) = (row.try_get(0).map_err(sql)?, row.try_get(1).map_err(sql)?);
    Ok(Header {
        dims: usize::try_from(dims).map_err(|_| PostgresError::damaged(target, format!("dims are {dims}")))?,
        metric: metric.parse().map_err(|what: String| PostgresError::damaged(target, what))?,
        half: row.try_get(2).map_err(sql)?,
        fingerprint: row.try_get(3).map_err(sql)?,
        made_by: row.try_get(4).map_err(sql)?,
        precision: row.try_get(5).map_err(sql)?,
        document_prompt: row.try_get(6).map_err(sql)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(quoted("a\"; DROP SCHEMA public; --"), "\"a\"\"; DROP SCHEMA public; --\"");
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(numbers("0.10.0") > numbers(PGVECTOR) && numbers("0.6.2") < numbers(PGVECTOR));
        assert!(numbers("0.7.0") >= numbers(PGVECTOR) && numbers("1.0beta") > numbers(PGVECTOR));
    }

    #[test]
    fn what_cannot_be_kept_is_told_before_the_server_is_asked() {
        let (none, nul) = (BTreeMap::new(), BTreeMap::from([("a".to_owned(), "b\0".to_owned())]));
        let document = |id, text, fields| unkeepable(&Document { id, text, fields });
        assert_eq!(document("a", "habari", &none), None);
        assert!(document("a\0", "", &none).is_some() && document("a", "\0", &none).is_some());
        assert!(document("a", "", &nul).is_some() && document(&"i".repeat(2001), "", &none).is_some());
    }
}
