//! The workflow of `maana demo`: an embedded recipe with its data, and some searches.

use crate::recipe::{LocatedRecipe, RecipeError};
use maana_data::RetrievalSet;
use maana_eval::EvalError;
use maana_files::FileError;
use maana_kernels::{Context, Matrix};
use maana_model::{Role, TextEncoder};
use std::path::Path;

const RECIPE: &str = include_str!("../../../recipes/demo.toml");

/// Name of the recipe in the folder of the demo.
pub const NAME: &str = "demo.toml";

const FILES: [(&str, &str); 4] = [
    ("demo/train.jsonl", include_str!("../../../recipes/demo/train.jsonl")),
    ("demo/dev/queries.jsonl", include_str!("../../../recipes/demo/dev/queries.jsonl")),
    ("demo/dev/corpus.jsonl", include_str!("../../../recipes/demo/dev/corpus.jsonl")),
    ("demo/dev/qrels/test.tsv", include_str!("../../../recipes/demo/dev/qrels/test.tsv")),
];

/// Writes recipe and data of the demo below `folder` and reads the recipe, with settings of the
/// command line.
///
/// # Errors
/// If the folder cannot be written, or a setting is invalid.
pub fn unpack(folder: &Path, settings: &[String]) -> Result<LocatedRecipe, RecipeError> {
    let recipe = folder.join(NAME);
    // The recipe first: it identifies the folder of a demo.
    for (name, text) in [(NAME, RECIPE)].into_iter().chain(FILES) {
        let path = folder.join(name);
        let folder = path.parent().unwrap_or(folder);
        let written = std::fs::create_dir_all(folder).and_then(|()| maana_files::write(&path, text));
        written.map_err(FileError::at(path))?;
    }
    LocatedRecipe::read(&recipe, settings)
}

/// Returns the embedded pairs: (positive, anchor).
pub fn pairs() -> Vec<(String, String)> {
    #[derive(serde::Deserialize)]
    struct Pair {
        positive: String,
        anchor: String,
    }
    let pair = |line: &str| serde_json::from_str::<Pair>(line).expect("the embedded data are valid");
    FILES[0].1.lines().map(pair).map(|pair| (pair.positive, pair.anchor)).collect()
}

/// A query and its hits, best first.
pub struct Search {
    /// The query.
    pub query: String,
    /// Score, text, and whether the text is relevant.
    pub hits: Vec<(f32, String, bool)>,
}

/// Finds the three nearest documents of some queries of the set.
///
/// # Errors
/// If a text cannot be embedded.
pub fn searches(
    encoder: &TextEncoder,
    context: &Context,
    set: &RetrievalSet,
    queries: &[usize],
) -> Result<Vec<Search>, EvalError> {
    let documents: Vec<&str> = set.corpus.iter().map(|(_, text)| text.as_str()).collect();
    let query_texts: Vec<&str> = queries.iter().map(|&query| set.queries[query].1.as_str()).collect();
    let documents: Matrix = encoder.encode(&documents, Role::Document)?;
    let query_rows = encoder.encode(&query_texts, Role::Query)?;
    let scores = crate::similarity::compare(context, encoder.similarity(), query_rows.view(), documents.view());
    let search = |(row, &query): (usize, &usize)| {
        let relevant = &set.relevant[query].documents;
        let hit = |(score, document): (f32, u32)| {
            let document = document as usize;
            (score, set.corpus[document].1.clone(), relevant.binary_search(&document).is_ok())
        };
        Search {
            query: set.queries[query].1.clone(),
            hits: maana_kernels::top_k(scores.row(row), 3).into_iter().map(hit).collect(),
        }
    };
    Ok(queries.iter().enumerate().map(search).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_recipe_has_its_data() {
        let folder = tempfile::tempdir().unwrap();
        let located = unpack(folder.path(), &["training.epochs=2".into()]).unwrap();
        assert_eq!(located.recipe.training.epochs, 2.0);
        assert!(located.path(&located.recipe.data.train[0]).is_file());
        let set = RetrievalSet::open(located.path(&located.recipe.evaluation.retrieval[0])).unwrap();
        assert_eq!(set.queries.len(), 300);
    }
}
