//! What can go wrong with a store in a database: which store, what is wrong, what would mend it.

use crate::Target;
use maana_vectors::VectorsError;
use maana_vectors::store::StoreError;
use postgres::error::SqlState;

/// An error of a store. Whatever it says, the store is in the state before or after the call, never between.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// An address that cannot be understood.
    #[error("{shown}: {what} (an address is postgres://USER@HOST/DATABASE?store=NAME)")]
    Address {
        /// The address, without its password.
        shown: String,
        /// What is wrong with it.
        what: String,
    },
    /// No way to the server, or not through its door.
    #[error("{place}: cannot connect: {what}{}", also(.remedy))]
    Connect {
        /// The address.
        place: String,
        /// What the system or the server said.
        what: String,
        /// What would mend it, where that is known.
        remedy: Option<&'static str>,
    },
    /// A connection that ended before its work did.
    #[error(
        "{place}: the connection was lost while {doing}: {what}; what was said to be done before is there, try again"
    )]
    Lost {
        /// The address.
        place: String,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        what: String,
    },
    /// The server refused something.
    #[error("{place}: the server refused while {doing}: {what}{}", also(.remedy))]
    Refused {
        /// The address.
        place: String,
        /// What was being done.
        doing: &'static str,
        /// What the server said.
        what: String,
        /// What would mend it, where that is known.
        remedy: Option<&'static str>,
    },
    /// A database without pgvector.
    #[error(
        "{place}: the database has no extension `vector`; let its administrator install pgvector on the server and run \
         CREATE EXTENSION vector in this database"
    )]
    NoExtension {
        /// The address.
        place: String,
    },
    /// A pgvector that cannot do what is needed.
    #[error(
        "{place}: pgvector {found} is too old, {needed} or later is needed; let the server's administrator install it \
         and run ALTER EXTENSION vector UPDATE in this database"
    )]
    OldExtension {
        /// The address.
        place: String,
        /// The version that is there.
        found: String,
        /// The least that does.
        needed: &'static str,
    },
    /// No store of this name.
    #[error(
        "{place}: no store of this name is in the database; create it with `maana index`, or say another with store=NAME"
    )]
    NotAStore {
        /// The address.
        place: String,
    },
    /// A schema of this name, and it is something else.
    #[error("{place}: the database has a schema of this name that is no store; say another with store=NAME")]
    Foreign {
        /// The address.
        place: String,
    },
    /// A store where one was to be created.
    #[error(
        "{place}: a store of this name is in the database already; add to it with `maana add`, or say another with store=NAME"
    )]
    AlreadyExists {
        /// The address.
        place: String,
    },
    /// A store of a later version of this program.
    #[error("{place}: format version {version}, and this program reads up to {known}; use a newer one")]
    Newer {
        /// The address.
        place: String,
        /// Its version.
        version: i32,
        /// The last version known here.
        known: i32,
    },
    /// Something in the store that this program did not write so.
    #[error("{place}: damaged: {what}; restore the database from a copy, or index again")]
    Damaged {
        /// The address.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// A writer whose turn does not end.
    #[error("{place}: another process has been writing to this store for {seconds} seconds; try again when it is done")]
    Locked {
        /// The address.
        place: String,
        /// How long it was waited for.
        seconds: u32,
    },
    /// An id or a text that PostgreSQL cannot keep.
    #[error("document `{id}`: {what}")]
    Document {
        /// The id, as far as it can be told.
        id: String,
        /// What is wrong, and what would mend it.
        what: &'static str,
    },
    /// A filter for a field that no document has.
    #[error("no document has a field `{field}`; kept are: {present}")]
    NoField {
        /// The field.
        field: String,
        /// The fields that documents have.
        present: String,
    },
    /// Vectors that cannot be kept or searched for.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// What is wrong in every store alike.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn also(remedy: &Option<&'static str>) -> String {
    remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default()
}

impl PostgresError {
    /// What a failed connection means.
    pub(crate) fn connect(target: &Target, error: &postgres::Error) -> Self {
        let remedy = match error.code() {
            Some(code) if *code == SqlState::INVALID_PASSWORD => {
                Some("give the right password in the environment variable PGPASSWORD, or in the address")
            }
            Some(code) if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                Some("name a user, and an sslmode, that the server lets in: postgres://USER@HOST/DATABASE?sslmode=MODE")
            }
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => Some("create it with `createdb`, or name another"),
            Some(_) => None,
            None if target.config.get_password().is_none() && told(error).contains("password missing") => {
                Some("give it in the environment variable PGPASSWORD, or in the address")
            }
            None => Some("check that the server runs, that the address is right, and what sslmode the server wants"),
        };
        Self::Connect { place: target.to_string(), what: told(error), remedy }
    }

    /// What a failed statement means.
    pub(crate) fn sql(target: &Target, doing: &'static str, error: &postgres::Error) -> Self {
        let (place, what) = (target.to_string(), told(error));
        let Some(code) = error.code() else {
            let system = std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>());
            return match error.is_closed() || system {
                true => Self::Lost { place, doing, what },
                false => Self::Refused { place, doing, what, remedy: None },
            };
        };
        // 57P01 to 57P03: the server is being stopped, or has just come up.
        if [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW].contains(code) {
            return Self::Lost { place, doing, what };
        }
        if *code == SqlState::LOCK_NOT_AVAILABLE {
            return Self::Locked { place, seconds: crate::store::LOCK_SECONDS };
        }
        let remedy = match code {
            code if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                Some("let the owner of the database GRANT it to this user (creating a store needs CREATE ON DATABASE)")
            }
            code if *code == SqlState::DISK_FULL => Some("make room on the server; what was whole before is untouched"),
            code if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME => {
                Some("somebody has removed the store meanwhile")
            }
            _ => None,
        };
        Self::Refused { place, doing, what, remedy }
    }

    pub(crate) fn damaged(target: &Target, what: impl Into<String>) -> Self {
        Self::Damaged { place: target.to_string(), what: what.into() }
    }
}

/// What the client's error says, with what led to it, or what the server said.
pub(crate) fn told(error: &postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        let more = [said.detail(), said.hint()].into_iter().flatten();
        return more.fold(said.message().to_owned(), |told, more| format!("{told} ({more})"));
    }
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let said = next.to_string();
        if !told.contains(&said) {
            told = format!("{told}: {said}");
        }
        cause = next.source();
    }
    told
}
