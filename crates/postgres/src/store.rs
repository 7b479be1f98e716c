//! Opening, creating and changing a store.

use crate::error::{LOCK_SECONDS, PostgresError};
use crate::graph::Graph;
use crate::read::Reader;
use crate::schema::{COMMENT, Header, Payload, UNFINISHED, VERSION, comment, encode, quoted, schema, table};
use crate::target::Target;
use crate::tls::connector;
use crate::wire::CopyRows;
use half::f16;
use maana_kernels::Rows;
use maana_vectors::store::{Added, StoreError, expect_maker};
use maana_vectors::{VectorsError, check_finite};
use postgres::error::SqlState;
use postgres::{Client, IsolationLevel, Transaction};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The first pgvector with `halfvec`, `subvector` and `binary_quantize`.
const PGVECTOR: &str = "0.7.0";
/// Largest dimension of a vector in pgvector.
const MOST_DIMS: usize = 16_000;
/// Longest id: ids are keys of an index, whose entries are short.
const ID_BYTES: usize = 2_000;
/// Longest string of a `jsonb`.
const TEXT_BYTES: usize = (1 << 28) - 1;
/// Bytes of COPY that are buffered before they are sent.
const COPY_BYTES: usize = 1 << 20;

/// A document to be stored with its vector.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// Id, unique in the store.
    pub id: &'a str,
    /// The text.
    pub text: &'a str,
    /// Other fields, to filter by.
    pub fields: &'a BTreeMap<String, String>,
}

/// Description of a store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Info {
    /// Properties that never change.
    pub header: Header,
    /// Number of documents.
    pub documents: usize,
    /// Bytes of its tables and indexes on the server.
    pub bytes: u64,
    /// Number of changes so far.
    pub generation: u64,
    /// Index over vectors, if `compact` has built one.
    pub graph: Option<Graph>,
    /// Versions of PostgreSQL and of pgvector.
    pub server: String,
}

/// An open store.
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
    /// Creates a store.
    ///
    /// # Errors
    /// If there is a store or another schema of this name, pgvector does not support the dimension,
    /// or the server refuses.
    pub fn create(target: &Target, header: Header) -> Result<Self, PostgresError> {
        Self::create_with(target, header, COMMENT)
    }

    /// Begins a store, which can be opened only after [`Store::finish`], or continues one that was
    /// begun with the same header. One that was begun with another header is replaced. Only one
    /// process at a time can do so.
    ///
    /// # Errors
    /// If the store is finished or another process writes to it, or as [`Store::create`].
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

    /// Keeps other processes from continuing the store while this connection lasts.
    fn lock_unfinished(&self) -> Result<(), PostgresError> {
        let lock = "SELECT pg_try_advisory_lock(hashtextextended('maana store ' || $1, 0))";
        let locked = self.client().query_one(lock, &[&self.target.name()]).and_then(|row| row.try_get(0));
        match locked.map_err(|error| PostgresError::sql(&self.target, "locking the store", &error))? {
            true => Ok(()),
            false => Err(StoreError::Locked { path: self.target.to_string().into() }.into()),
        }
    }

    /// Finishes a store that was begun; from then on it can be opened.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn finish(&self) -> Result<(), PostgresError> {
        let doing = "finishing the store";
        self.change(doing, |transaction| {
            let finished = comment(self.target.name(), COMMENT);
            transaction.batch_execute(&finished).map_err(|error| PostgresError::sql(&self.target, doing, &error))
        })
    }

    fn create_with(target: &Target, header: Header, comment: &str) -> Result<Self, PostgresError> {
        if header.dims == 0 || header.dims > MOST_DIMS {
            let message = format!("{}; pgvector supports 1 to {MOST_DIMS}", header.dims);
            return Err(VectorsError::Setting { setting: "dims", message }.into());
        }
        let mut client = connect(target)?;
        match kind(target, &mut client)? {
            Kind::Store | Kind::Unfinished => {
                return Err(PostgresError::AlreadyExists { address: target.to_string() });
            }
            Kind::Foreign => return Err(PostgresError::Foreign { address: target.to_string() }),
            Kind::Nothing => {}
        }
        let sql = |error: postgres::Error| match error.code() {
            // Another process created it in the meantime.
            Some(code) if *code == SqlState::DUPLICATE_SCHEMA => {
                PostgresError::AlreadyExists { address: target.to_string() }
            }
            _ => PostgresError::sql(target, "creating the store", &error),
        };
        let mut transaction = client.transaction().map_err(sql)?;
        transaction.batch_execute(&schema(target.name(), &header, comment)).map_err(sql)?;
        let insert = format!(
            "INSERT INTO {} (version, generation, dims, metric, half, fingerprint, made_by, precision,
             document_prompt) VALUES ($1, 0, $2, $3, $4, $5, $6, $7, $8)",
            table(target.name(), "meta")
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
    /// If the server cannot be reached, has no pgvector or no store of this name, or the store has
    /// a later format.
    pub fn open(target: &Target) -> Result<Self, PostgresError> {
        let mut client = connect(target)?;
        match kind(target, &mut client)? {
            Kind::Store => {}
            Kind::Unfinished => return Err(StoreError::Unfinished { path: target.to_string().into() }.into()),
            Kind::Foreign => return Err(PostgresError::Foreign { address: target.to_string() }),
            Kind::Nothing => return Err(PostgresError::NotAStore { address: target.to_string() }),
        }
        let header = read_header(target, &mut client)?;
        Ok(Self { target: target.clone(), client: Mutex::new(client), header })
    }

    /// Opens the store again if the server closed the connection or has another store of this name;
    /// returns `None` if this one can still be used.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn reopened(&self) -> Result<Option<Self>, PostgresError> {
        // Only a request reveals that a connection is closed.
        let header = read_header(&self.target, &mut self.client());
        if header.is_ok_and(|header| header == self.header) { Ok(None) } else { Self::open(&self.target).map(Some) }
    }

    /// Removes the store of this name with all its documents, finished or not.
    ///
    /// # Errors
    /// If there is no store of this name, another process writes to an unfinished one, or the
    /// server refuses.
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
    /// If the server refuses.
    pub fn remove(self) -> Result<(), PostgresError> {
        let drop = format!("DROP SCHEMA {} CASCADE", quoted(self.target.name()));
        self.client()
            .batch_execute(&drop)
            .map_err(|error| PostgresError::sql(&self.target, "removing the store", &error))
    }

    /// Returns the properties that never change.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Checks that the vectors were made by the model with this fingerprint.
    ///
    /// # Errors
    /// If another model made them; `made_by` names this one in the message.
    pub fn expect_fingerprint(&self, fingerprint: &[u8], made_by: &str) -> Result<(), PostgresError> {
        let address = self.target.to_string();
        Ok(expect_maker(Path::new(&address), (&self.header.fingerprint, &self.header.made_by), (fingerprint, made_by))?)
    }

    /// Returns the number of documents.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn len(&self) -> Result<usize, PostgresError> {
        self.read(|reader| reader.len())
    }

    /// Returns whether the store has no documents.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn is_empty(&self) -> Result<bool, PostgresError> {
        Ok(self.len()? == 0)
    }

    /// Adds documents with their vectors, all or none. A document replaces the one with the same id
    /// and moves to the end.
    ///
    /// # Errors
    /// If vectors have another dimension or are not finite, an id occurs twice, PostgreSQL cannot
    /// store a text, or the server refuses.
    pub fn add(&self, documents: &[Document<'_>], vectors: Rows<'_>) -> Result<Added, PostgresError> {
        self.check(documents, vectors)?;
        if documents.is_empty() {
            return Ok(Added { new: 0, replaced: 0 });
        }
        self.change("adding documents", |transaction| {
            let sql = |error| PostgresError::sql(&self.target, "adding documents", &error);
            let ids: Vec<&str> = documents.iter().map(|document| document.id).collect();
            let table = table(self.target.name(), "documents");
            let delete = format!("DELETE FROM {table} WHERE id = ANY($1)");
            let replaced = transaction.execute(&delete, &[&ids]).map_err(sql)? as usize;
            let copy = format!("COPY {table} (id, embedding, payload, checksum) FROM STDIN (FORMAT binary)");
            let mut out = transaction.copy_in(&copy).map_err(sql)?;
            let mut rows = CopyRows::new();
            for (row, document) in documents.iter().enumerate() {
                let vector = self.as_stored(vectors.row(row));
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

    /// Deletes the documents with these ids, and returns the ids that the store had.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn delete(&self, ids: &[&str]) -> Result<Vec<String>, PostgresError> {
        // No id contains a NUL character, and the server rejects strings that do.
        let ids: Vec<&str> = ids.iter().copied().filter(|id| !id.contains('\0')).collect();
        self.change("deleting documents", |transaction| {
            let delete =
                format!("DELETE FROM {} WHERE id = ANY($1) RETURNING id", table(self.target.name(), "documents"));
            let deleted = transaction.query(&delete, &[&ids]);
            let deleted = deleted.map_err(|error| PostgresError::sql(&self.target, "deleting documents", &error))?;
            Ok(deleted.iter().map(|row| row.get(0)).collect())
        })
    }

    /// Calls `look` with a reader of one state of the store, which does not see later changes.
    /// `look` must not use this store: its connection is locked until `look` returns.
    ///
    /// # Errors
    /// As `look`, or if the server refuses.
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

    /// Describes the store.
    ///
    /// # Errors
    /// If the server refuses.
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

    /// Runs `work` in a transaction that overlaps with no other writer's.
    pub(crate) fn change<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        let sql = |error| PostgresError::sql(&self.target, doing, &error);
        let meta = table(self.target.name(), "meta");
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
            return Err(PostgresError::damaged(&self.target, "another store has replaced it since it was opened"));
        }
        let done = work(&mut transaction)?;
        let count = format!("UPDATE {meta} SET generation = generation + 1");
        transaction.execute(&count, &[]).map_err(sql)?;
        transaction.commit().map_err(sql)?;
        Ok(done)
    }

    /// Locks the connection. If a thread panicked while it held the lock, the server has rolled its
    /// transaction back.
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
            check_finite(Rows::new(&self.as_stored(vectors.row(row)), 1, self.header.dims, self.header.dims)).map_err(
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
            if let Some(what) = unstorable(document) {
                let id = document.id.chars().take(80).collect();
                return Err(PostgresError::Document { id, what });
            }
        }
        Ok(())
    }

    /// Rounds a vector as it is stored.
    fn as_stored(&self, vector: &[f32]) -> Vec<f32> {
        match self.header.half {
            true => vector.iter().map(|value| f16::from_f32(*value).to_f32()).collect(),
            false => vector.to_vec(),
        }
    }

    fn copying(&self, error: std::io::Error) -> PostgresError {
        let what = error.to_string();
        match error.into_inner().and_then(|inner| inner.downcast::<postgres::Error>().ok()) {
            Some(error) => PostgresError::sql(&self.target, "adding documents", &error),
            None => PostgresError::Lost { address: self.target.to_string(), doing: "adding documents", what },
        }
    }
}

/// Returns why PostgreSQL cannot store a document, if it cannot.
fn unstorable(document: &Document<'_>) -> Option<&'static str> {
    let strings = document.fields.iter().flat_map(|(name, value)| [name.as_str(), value]).chain([document.text]);
    if document.id.contains('\0') || strings.clone().any(|string| string.contains('\0')) {
        return Some("it contains a NUL character, which PostgreSQL cannot store; remove it");
    }
    if document.id.len() > ID_BYTES {
        return Some("its id is longer than 2000 bytes; use a shorter one");
    }
    (strings.map(str::len).max() > Some(TEXT_BYTES))
        .then_some("its text has 256 MB or more; split it into several documents")
}

fn connect(target: &Target) -> Result<Client, PostgresError> {
    let tls = connector(&target.ssl);
    let tls = tls.map_err(|what| PostgresError::Address { shown: target.to_string(), what })?;
    let mut client = target
        .config
        .connect(tls)
        .map_err(|error| PostgresError::connect(target, target.config.get_password().is_some(), &error))?;
    let sql = |error| PostgresError::sql(target, "looking for pgvector", &error);
    let extension = "SELECT e.extversion, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                     WHERE e.extname = 'vector'";
    let Some(row) = client.query_opt(extension, &[]).map_err(sql)? else {
        return Err(PostgresError::NoExtension { address: target.to_string() });
    };
    let (found, schema): (String, String) = (row.try_get(0).map_err(sql)?, row.try_get(1).map_err(sql)?);
    if numbers(&found) < numbers(PGVECTOR) {
        return Err(PostgresError::OldExtension { address: target.to_string(), found, needed: PGVECTOR });
    }
    // Types and operators are found in the schema of pgvector; tables are named with their schema.
    client.batch_execute(&format!("SET search_path = {}", quoted(&schema))).map_err(sql)?;
    Ok(client)
}

/// Parses the numbers of a version.
fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|number| number.parse().ok()).collect()
}

/// Content of the schema of a store's name.
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
    let sql = |error| PostgresError::sql(target, "reading the header of the store", &error);
    let meta = table(target.name(), "meta");
    // Only the version: a later format may have other columns.
    let row = client.query_opt(&format!("SELECT version FROM {meta}"), &[]).map_err(sql)?;
    let version = row.ok_or_else(|| PostgresError::damaged(target, "the table `meta` is empty"))?;
    let version: i32 = version.try_get(0).map_err(sql)?;
    if version > VERSION {
        return Err(PostgresError::Newer { address: target.to_string(), version, known: VERSION });
    }
    if version < 1 {
        return Err(PostgresError::damaged(target, format!("format version {version} does not exist")));
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
    fn versions_are_compared_by_number() {
        assert!(numbers("0.10.0") > numbers(PGVECTOR) && numbers("0.6.2") < numbers(PGVECTOR));
        assert!(numbers("0.7.0") >= numbers(PGVECTOR) && numbers("1.0beta") > numbers(PGVECTOR));
    }

    #[test]
    fn unstorable_documents_are_refused_before_they_are_sent() {
        let (none, nul) = (BTreeMap::new(), BTreeMap::from([("a".to_owned(), "b\0".to_owned())]));
        let document = |id, text, fields| unstorable(&Document { id, text, fields });
        assert_eq!(document("a", "habari", &none), None);
        assert!(document("a\0", "", &none).is_some() && document("a", "\0", &none).is_some());
        assert!(document("a", "", &nul).is_some() && document(&"i".repeat(2001), "", &none).is_some());
    }
}
