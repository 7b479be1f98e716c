//! The files of an evaluation set.

use maana_eval::Kind;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The files of an evaluation set: `[[evaluation.sets]]` in a recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetSpec {
    /// Beginning of the names of the measures. Default: from the name of the file or folder.
    pub name: Option<String>,
    /// The kind. Default: from the files and their columns.
    pub kind: Option<Kind>,
    /// Files or folders. Default: the rows that `split` holds out of the training data.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Columns in the order of their roles. Default: all, in file order.
    pub columns: Option<Vec<String>>,
    /// Candidates up to which MRR and nDCG of reranking count. Default 10.
    pub at_k: Option<usize>,
    /// Names of the labels of a cross-encoder with several, by which labels may be named.
    #[serde(skip)]
    pub classes: Vec<String>,
}

impl SetSpec {
    /// Returns the set of one file or folder, with defaults.
    pub fn of(path: impl Into<PathBuf>) -> Self {
        Self { files: vec![path.into()], ..Self::default() }
    }

    /// Resolves relative paths against a folder.
    pub fn relative_to(mut self, folder: &Path) -> Self {
        self.files.iter_mut().for_each(|path| *path = folder.join(&path));
        self
    }
}

/// Candidates of a query up to which MRR and nDCG of reranking count, as in the reference.
pub(super) const AT_K: usize = 10;

/// Returns the paths for messages.
pub(super) fn listed(files: &[PathBuf]) -> String {
    match files {
        [] => "the evaluation set".into(),
        files => files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
    }
}
