//! Evaluation sets of every kind, from files or from rows of training data, and the scores of a
//! model on them at several dimensions from one encoding. Recipes, `maana evaluate` and its suites
//! all measure with [`EvaluationSet`].

mod content;
mod error;
mod find;
mod lists;
mod measure;
mod open;
mod show;
mod tabs;

pub use error::EvaluationError;
pub use find::find;
pub use measure::{DevLoss, Measuring};
pub use show::{InPrecision, Measured, chart, suite_rows, suite_table, table};

use content::Content;
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

/// An evaluation set in memory.
pub struct EvaluationSet {
    name: Option<String>,
    content: Content,
    notes: Vec<String>,
}

impl EvaluationSet {
    /// Returns the name in front of the measures. The only retrieval set of a run and the dev loss
    /// have none.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Replaces the name, or removes it.
    pub fn with_name(mut self, name: Option<String>) -> Self {
        self.name = name;
        self
    }

    /// Returns the name for display, which is never empty.
    pub fn title(&self) -> &str {
        match (&self.name, &self.content) {
            (Some(name), _) => name,
            (None, Content::Retrieval(set)) => &set.name,
            (None, _) => self.kind().name(),
        }
    }

    /// Returns warnings about the content.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}
