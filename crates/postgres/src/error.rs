//! Errors of a store in a database, with the remedy where it is known.

use maana_vectors::VectorsError;
use maana_vectors::store::StoreError;
use postgres::error::SqlState;
use std::fmt::Display;

/// Seconds that a writer waits for its turn.
pub(crate) const LOCK_SECONDS: u32 = 30;

/// An error of a store. After any error, the store is in the state before or after the call, never
/// in between.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// A malformed address.
    #[error("{shown}: {what} (an address is postgres://USER@HOST/DATABASE?store=NAME)")]
    Address {
        /// The address, without its password.
        shown: String,
        /// Description of the error.
        what: String,
    },
    /// The server cannot be reached, or rejects the user.
    #[error("{address}: cannot connect: {what}{}", also(.remedy))]
    Connect {
        /// The address.
        address: String,
        /// Message of the system or of the server.
        what: String,
        /// The remedy, where it is known.
        remedy: Option<&'static str>,
    },
    /// A connection that was lost during an operation.
    #[error(
        "{address}: the connection was lost while {doing}: {what}; what was reported as done before is durable; try again"
    )]
    Lost {
        /// The address.
        address: String,
        /// The operation.
        doing: &'static str,
        /// Message of the system.
        what: String,
    },
    /// An operation that the server refused.
    #[error("{address}: the server refused while {doing}: {what}{}", also(.remedy))]
    Refused {
        /// The address.
        address: String,
        /// The operation.
        doing: &'static str,
        /// Message of the server.
        what: String,
        /// The remedy, where it is known.
        remedy: Option<&'static str>,
    },
    /// A database without pgvector.
    #[error(
        "{address}: the database has no extension `vector`; ask its administrator to install pgvector on the server and run \
         CREATE EXTENSION vector in this database"
    )]
    NoExtension {
        /// The address.
        address: String,
    },
    /// A version of pgvector that is too old.
    #[error(
        "{address}: pgvector {found} is too old, {needed} or later is needed; ask the server's administrator to install it \
         and run ALTER EXTENSION vector UPDATE in this database"
    )]
    OldExtension {
        /// The address.
        address: String,
        /// The installed version.
        found: String,
        /// The oldest supported version.
        needed: &'static str,
    },
    /// No store of this name.
    #[error(
        "{address}: the database has no store of this name; create it with `maana index`, or name another with store=NAME"
    )]
    NotAStore {
        /// The address.
        address: String,
    },
    /// A schema of this name that is not a store.
    #[error("{address}: the database has a schema of this name that is not a store; name another with store=NAME")]
    Foreign {
        /// The address.
        address: String,
    },
    /// A store that exists already.
    #[error(
        "{address}: the database already has a store of this name; add to it with `maana add`, or name another with store=NAME"
    )]
    AlreadyExists {
        /// The address.
        address: String,
    },
    /// A store of a later version of this program.
    #[error("{address}: format version {version}, but this program reads only up to {known}; use a newer program")]
    Newer {
        /// The address.
        address: String,
        /// The version of the store.
        version: i32,
        /// The latest supported version.
        known: i32,
    },
    /// A damaged store.
    #[error("{address}: damaged: {what}; restore the database from a backup, or index again")]
    Damaged {
        /// The address.
        address: String,
        /// Description of the error.
        what: String,
    },
    /// Another writer that takes too long.
    #[error(
        "{address}: another process has been writing to this store for {seconds} seconds; try again when it is done"
    )]
    Locked {
        /// The address.
        address: String,
        /// Time of waiting.
        seconds: u32,
    },
    /// An id or a text that PostgreSQL cannot store.
    #[error("document `{id}`: {what}")]
    Document {
        /// The first characters of the id.
        id: String,
        /// The problem and its remedy.
        what: &'static str,
    },
    /// A filter for a field that no document has.
    #[error("no document has a field `{field}`; the fields are: {present}")]
    NoField {
        /// The field.
        field: String,
        /// The fields that documents have.
        present: String,
    },
    /// Vectors that cannot be stored or searched.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// An error that all kinds of stores share.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn also(remedy: &Option<&'static str>) -> String {
    remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default()
}

impl PostgresError {
    /// Explains a failed connection.
    pub(crate) fn connect(address: &impl Display, has_password: bool, error: &postgres::Error) -> Self {
        let remedy = match error.code() {
            Some(code) if *code == SqlState::INVALID_PASSWORD => {
                Some("set the right password in the environment variable PGPASSWORD, or in the address")
            }
            Some(code) if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                Some("name a user and an sslmode that the server accepts: postgres://USER@HOST/DATABASE?sslmode=MODE")
            }
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => Some("create it with `createdb`, or name another"),
            Some(_) => None,
            None if !has_password && message(error).contains("password missing") => {
                Some("set it in the environment variable PGPASSWORD, or in the address")
            }
            None => {
                Some("check that the server runs, the address is right, and the sslmode is one that the server accepts")
            }
        };
        Self::Connect { address: address.to_string(), what: message(error), remedy }
    }

    /// Explains a failed statement.
    pub(crate) fn sql(address: &impl Display, doing: &'static str, error: &postgres::Error) -> Self {
        let (address, what) = (address.to_string(), message(error));
        let Some(code) = error.code() else {
            let system = std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>());
            return match error.is_closed() || system {
                true => Self::Lost { address, doing, what },
                false => Self::Refused { address, doing, what, remedy: None },
            };
        };
        // 57P01 to 57P03: the server is shutting down or starting.
        if [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW].contains(code) {
            return Self::Lost { address, doing, what };
        }
        if *code == SqlState::LOCK_NOT_AVAILABLE {
            return Self::Locked { address, seconds: LOCK_SECONDS };
        }
        let remedy = match code {
            code if *code == SqlState::INSUFFICIENT_PRIVILEGE => Some(
                "ask the owner of the database to GRANT it to this user (creating a store needs CREATE ON DATABASE)",
            ),
            code if *code == SqlState::DISK_FULL => Some("free space on the server; the store is unchanged"),
            code if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME => {
                Some("the store has been removed in the meantime")
            }
            _ => None,
        };
        Self::Refused { address, doing, what, remedy }
    }

    pub(crate) fn damaged(address: &impl Display, what: impl Into<String>) -> Self {
        Self::Damaged { address: address.to_string(), what: what.into() }
    }
}

/// Returns the message of the server, or of the client with its causes.
pub(crate) fn message(error: &postgres::Error) -> String {
    if let Some(server) = error.as_db_error() {
        let more = [server.detail(), server.hint()].into_iter().flatten();
        return more.fold(server.message().to_owned(), |message, more| format!("{message} ({more})"));
    }
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let next_message = next.to_string();
        if !message.contains(&next_message) {
            message = format!("{message}: {next_message}");
        }
        cause = next.source();
    }
    message
}
