//! Errors of the system with the path that they concern.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// An error of the system with the path that it concerns.
#[derive(Debug)]
pub struct FileError {
    /// The file or folder.
    pub path: PathBuf,
    /// The error of the system.
    pub source: io::Error,
}

impl FileError {
    /// Returns a function that adds the path to an error of the system, for [`Result::map_err`].
    pub fn at(path: impl Into<PathBuf>) -> impl Fn(io::Error) -> Self {
        let path = path.into();
        move |source| Self { path: path.clone(), source }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.source)
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::FileError;
    use std::error::Error;
    use std::io;

    #[test]
    fn errors_name_the_path_and_keep_their_cause() {
        let error = FileError::at("a/b")(io::ErrorKind::NotFound.into());
        assert!(error.to_string().starts_with("a/b: "), "{error}");
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::NotFound));
    }
}
