//! The location of a store: a folder of this machine, or a schema of a PostgreSQL database.

#[cfg(feature = "postgres")]
use super::database;
use super::error::SearchError;
use super::folder;
use super::searcher::Searcher;
use super::store_trait::{ReadStore, Verified, WriteStore};
use maana_model::TextEncoder;
#[cfg(feature = "postgres")]
use maana_postgres as postgres;
use maana_vectors::store::Writer;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// Location of a store.
#[derive(Clone, Debug)]
pub enum StoreLocation {
    /// A folder.
    Folder(PathBuf),
    /// A schema of a database.
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Target>),
}

impl StoreLocation {
    /// Parses a location: the address of a database, else a folder. An address without a password
    /// takes that of the environment variable `PGPASSWORD`.
    ///
    /// # Errors
    /// If an address is malformed, or this program was built without PostgreSQL.
    pub fn parse(path: &Path) -> Result<Self, SearchError> {
        #[cfg(feature = "postgres")]
        if let Some(url) = path.to_str().filter(|word| postgres::Target::is_address(word)) {
            let target = postgres::Target::parse(url)?.or_password(std::env::var("PGPASSWORD").ok());
            return Ok(Self::Postgres(Box::new(target)));
        }
        #[cfg(not(feature = "postgres"))]
        if let Some(url) = path.to_str().filter(|word| word.starts_with("postgres")).filter(|word| word.contains("://"))
        {
            let address = url.rsplit('@').next().unwrap_or_default().to_owned();
            return Err(SearchError::NoPostgres { address });
        }
        Ok(Self::Folder(path.to_owned()))
    }

    /// Returns the folder of a store that has one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => None,
        }
    }

    /// Opens the store for reading.
    ///
    /// # Errors
    /// If there is no store, it is damaged or of a later format, or the server cannot be reached.
    pub fn read(&self) -> Result<Box<dyn ReadStore>, SearchError> {
        Ok(match self {
            Self::Folder(folder) => Box::new(Searcher::open(folder)?),
            #[cfg(feature = "postgres")]
            Self::Postgres(target) => Box::new(postgres::Store::open(target)?),
        })
    }

    /// Opens the store for changes. A folder has one writer at a time; in a database writers take
    /// turns.
    ///
    /// # Errors
    /// As [`StoreLocation::read`], or if another process writes to the folder.
    pub fn write(&self) -> Result<Box<dyn WriteStore>, SearchError> {
        Ok(match self {
            Self::Folder(folder) => Box::new(Writer::open(folder)?),
            #[cfg(feature = "postgres")]
            Self::Postgres(target) => Box::new(postgres::Store::open(target)?),
        })
    }

    /// Begins a store for the encoder's vectors, which can be read only after
    /// [`WriteStore::finish`], or continues one that was begun for the same vectors; one for other
    /// vectors is replaced. With `half`, values take two bytes: bf16 in a folder, f16 in a
    /// database.
    ///
    /// # Errors
    /// If there is a finished store already, or it cannot be created.
    pub fn begin(&self, encoder: &TextEncoder, made_by: &str, half: bool) -> Result<Box<dyn WriteStore>, SearchError> {
        Ok(match self {
            Self::Folder(folder) => Box::new(folder::begin(folder, encoder, made_by, half)?),
            #[cfg(feature = "postgres")]
            Self::Postgres(target) => Box::new(database::begin(target, encoder, made_by, half)?),
        })
    }

    /// Removes a store, finished or not. Other files in its folder remain.
    ///
    /// # Errors
    /// If the store cannot be removed.
    pub fn remove(&self) -> Result<(), SearchError> {
        match self {
            Self::Folder(folder) => Ok(Writer::remove_at(folder)?),
            #[cfg(feature = "postgres")]
            Self::Postgres(target) => Ok(postgres::Store::remove_at(target)?),
        }
    }

    /// Reads the whole store and returns its damaged parts.
    ///
    /// # Errors
    /// If there is no store, or it cannot be read. Damage is a result, not an error.
    pub fn verify(&self) -> Result<Verified, SearchError> {
        match self {
            Self::Folder(folder) => folder::verify(folder),
            #[cfg(feature = "postgres")]
            Self::Postgres(target) => database::verify(target),
        }
    }
}

impl Display for StoreLocation {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(out),
            #[cfg(feature = "postgres")]
            Self::Postgres(target) => target.fmt(out),
        }
    }
}
