//! Verification: compares every document with its checksum.

use crate::error::PostgresError;
use crate::schema::{Payload, encode, table};
use crate::store::Store;
use crate::wire::Received;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::ToSql;

/// A damaged document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Id of the document.
    pub id: String,
    /// Description of the damage.
    pub what: String,
}

/// Result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Number of documents that were read.
    pub documents: usize,
    /// Damaged documents; empty for an intact store.
    pub damages: Vec<Damage>,
}

impl Store {
    /// Reads every document and compares it with its checksum.
    ///
    /// # Errors
    /// If the server refuses. Damage is a result, not an error.
    pub fn verify(&self) -> Result<Verified, PostgresError> {
        self.read(|reader| {
            let (transaction, target, header) = reader.parts();
            let sql = |error| PostgresError::sql(target, "reading documents", &error);
            let select = format!(
                "SELECT id, embedding, payload::text, checksum FROM {} ORDER BY seq",
                table(target.name(), "documents")
            );
            let none: [&(dyn ToSql + Sync); 0] = [];
            let mut rows = transaction.query_raw(&select, none).map_err(sql)?;
            let mut verified = Verified::default();
            while let Some(row) = rows.next().map_err(sql)? {
                let id: String = row.try_get(0).map_err(sql)?;
                let vector: Received = row.try_get(1).map_err(sql)?;
                let payload: String = row.try_get(2).map_err(sql)?;
                let checksum: i64 = row.try_get(3).map_err(sql)?;
                verified.documents += 1;
                let what = match serde_json::from_str::<Payload>(&payload) {
                    Err(error) => format!("its payload is malformed: {error}"),
                    Ok(_) if vector.0.len() != header.dims => format!("its vector has {} dims", vector.0.len()),
                    Ok(payload) if encode(&id, &vector.0, &payload).1 != checksum => "its checksum is wrong".to_owned(),
                    Ok(_) => continue,
                };
                verified.damages.push(Damage { id, what });
            }
            Ok(verified)
        })
    }
}
