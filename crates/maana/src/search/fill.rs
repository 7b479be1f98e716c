//! Documents of a file into a store.

use super::corpus::{Corpus, Fields};
use super::error::SearchError;
use super::store_trait::{Added, WriteStore};
use crate::texts::embed;
use maana_data::DataError;
use maana_model::{Role, TextEncoder};
use std::path::Path;

/// Result of [`add`] and [`index`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indexed {
    /// Documents that were added.
    pub added: Added,
    /// Documents that an interrupted run had added before.
    pub held: usize,
    /// Documents of an interrupted run that this file does not have.
    pub removed: usize,
    /// Documents with a blank text, which are skipped.
    pub skipped: usize,
    /// A note on the choice of the column of texts, if several columns hold texts.
    pub chosen: Option<String>,
}

/// Embeds the documents of a file and adds them to a store, a few thousand at a time; `progress`
/// receives the number of documents that are durable. Documents without ids are numbered from the
/// greatest number that is an id in the store.
///
/// # Errors
/// If another model made the store, or the same in another precision or with another prompt; if the
/// file cannot be read, lacks a column or has an id twice; if the store cannot be written.
/// Documents that were reported to `progress` remain.
pub fn add(
    embedder: &TextEncoder,
    writer: &mut dyn WriteStore,
    corpus: &Path,
    fields: &Fields,
    progress: &mut dyn FnMut(u64),
) -> Result<Indexed, SearchError> {
    let mut corpus = Corpus::open(corpus, fields)?;
    if !corpus.has_id {
        corpus.numbered_from = writer.ids()?.iter().filter_map(|id| id.parse().ok()).max().unwrap_or(0);
    }
    fill(embedder, writer, &mut corpus, false, progress)
}

/// Fills a store that was begun with the documents of a file. Documents of an interrupted run
/// remain, except those that this file does not have. The caller finishes the store.
///
/// # Errors
/// As [`add`].
pub fn index(
    embedder: &TextEncoder,
    writer: &mut dyn WriteStore,
    corpus: &Path,
    fields: &Fields,
    progress: &mut dyn FnMut(u64),
) -> Result<Indexed, SearchError> {
    let mut corpus = Corpus::open(corpus, fields)?;
    let continues = writer.documents()? > 0;
    let mut indexed = fill(embedder, writer, &mut corpus, continues, progress)?;
    if continues {
        let ids = writer.ids()?;
        let others: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !corpus.seen.contains_key(*id)).collect();
        indexed.removed = writer.delete(&others)?.documents;
    }
    Ok(indexed)
}

/// Adds the documents of a file; with `skip_held` except those that the store already has.
fn fill(
    embedder: &TextEncoder,
    writer: &mut dyn WriteStore,
    corpus: &mut Corpus,
    skip_held: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Indexed, SearchError> {
    writer.expect_fingerprint(&embedder.fingerprint(), writer.made_by())?;
    let ours = embedder.precision().name();
    if let Some(store) = writer.precision().filter(|store| *store != ours) {
        return Err(SearchError::OtherPrecision { store: store.to_owned(), ours });
    }
    let ours = embedder.role_prompt(Role::Document);
    if let Some(store) = writer.document_prompt().filter(|store| *store != ours) {
        return Err(SearchError::OtherPrompt { store: store.to_owned(), ours: ours.to_owned() });
    }
    let mut indexed = Indexed { chosen: corpus.chosen.take(), ..Indexed::default() };
    loop {
        let mut chunk = corpus.next_chunk()?;
        if chunk.is_empty() {
            break;
        }
        if skip_held {
            let mut held = writer.holds(&chunk)?.into_iter();
            let before = chunk.len();
            chunk.retain(|_| !held.next().expect("an answer for each document"));
            indexed.held += before - chunk.len();
        }
        let texts: Vec<&str> = chunk.iter().map(|(_, content)| content.text.as_str()).collect();
        let vectors = embed(embedder, &texts, embedder.role_prompt(Role::Document), &mut |_| {})?;
        let outcome = writer.add(&chunk, vectors.view())?;
        let added = &mut indexed.added;
        added.new += outcome.new;
        added.replaced += outcome.replaced;
        indexed.skipped = corpus.skipped;
        progress((added.new + added.replaced + indexed.held) as u64);
    }
    if indexed.added.new + indexed.added.replaced + indexed.held == 0 {
        return Err(DataError::NoRows { path: corpus.path.clone() }.into());
    }
    Ok(indexed)
}
