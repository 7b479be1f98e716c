//! Documents of a file into a store.

use super::corpus::{CHUNK, Corpus, Fields};
use super::error::SearchError;
use super::request::Content;
use super::store_trait::{Added, WriteStore};
use crate::texts::embed_role;
use maana_data::DataError;
use maana_model::{Role, TextEncoder};
use maana_vectors::store::StoreError;
use std::collections::HashSet;
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
    encoder: &TextEncoder,
    writer: &mut dyn WriteStore,
    corpus: &Path,
    fields: &Fields,
    progress: &mut dyn FnMut(u64),
) -> Result<Indexed, SearchError> {
    let mut corpus = Corpus::open(corpus, fields)?;
    if !corpus.has_id {
        corpus.numbered_from = greatest_number(writer)?;
    }
    fill(encoder, writer, &mut corpus, false, progress)
}

/// Fills a store that was begun with the documents of a file. Documents of an interrupted run
/// remain, except those that this file does not have. The caller finishes the store.
///
/// # Errors
/// As [`add`].
pub fn index(
    encoder: &TextEncoder,
    writer: &mut dyn WriteStore,
    corpus: &Path,
    fields: &Fields,
    progress: &mut dyn FnMut(u64),
) -> Result<Indexed, SearchError> {
    let mut corpus = Corpus::open(corpus, fields)?;
    let continues = writer.documents()? > 0;
    let mut indexed = fill(encoder, writer, &mut corpus, continues, progress)?;
    if continues {
        let ids = writer.ids()?;
        let others: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !corpus.seen.contains_key(*id)).collect();
        indexed.removed = writer.delete(&others)?.documents;
    }
    Ok(indexed)
}

/// Embeds documents of a program and adds them to a store, a few thousand at a time. Documents
/// without ids are numbered from the greatest number that is an id in the store.
///
/// # Errors
/// If another model made the store, or the same in another precision or with another prompt; if an
/// id occurs twice; if a text cannot be embedded, or the store cannot be written.
pub fn add_documents(
    encoder: &TextEncoder,
    writer: &mut dyn WriteStore,
    documents: Vec<(Option<String>, Content)>,
) -> Result<Added, SearchError> {
    expect_encoder(encoder, writer)?;
    let has_ids = documents.iter().all(|(id, _)| id.is_some());
    let last = if has_ids { 0 } else { greatest_number(writer)? };
    let numbered = documents.into_iter().zip(1..).map(|((id, content), number): (_, u64)| {
        let id = id.unwrap_or_else(|| last.saturating_add(number).to_string());
        (id, content)
    });
    let documents: Vec<(String, Content)> = numbered.collect();
    let mut ids = HashSet::new();
    if let Some((id, _)) = documents.iter().find(|(id, _)| !ids.insert(id)) {
        return Err(StoreError::DuplicateId { id: id.clone() }.into());
    }
    let mut added = Added::default();
    for chunk in documents.chunks(CHUNK) {
        add_chunk(encoder, writer, chunk, &mut added)?;
    }
    Ok(added)
}

/// Checks that the encoder's vectors may be added to the store.
fn expect_encoder(encoder: &TextEncoder, writer: &dyn WriteStore) -> Result<(), SearchError> {
    writer.expect_fingerprint(&encoder.fingerprint(), writer.made_by())?;
    let ours = encoder.precision().name();
    if let Some(store) = writer.precision().filter(|store| *store != ours) {
        return Err(SearchError::OtherPrecision { store: store.to_owned(), ours });
    }
    let ours = encoder.role_prompt(Role::Document);
    if let Some(store) = writer.document_prompt().filter(|store| *store != ours) {
        return Err(SearchError::OtherPrompt { store: store.to_owned(), ours: ours.to_owned() });
    }
    Ok(())
}

/// Returns the greatest number among the ids, 0 without any.
fn greatest_number(writer: &dyn WriteStore) -> Result<u64, SearchError> {
    Ok(writer.ids()?.iter().filter_map(|id| id.parse().ok()).max().unwrap_or(0))
}

/// Embeds documents, adds them, and counts them.
fn add_chunk(
    encoder: &TextEncoder,
    writer: &mut dyn WriteStore,
    chunk: &[(String, Content)],
    added: &mut Added,
) -> Result<(), SearchError> {
    let texts: Vec<&str> = chunk.iter().map(|(_, content)| content.text.as_str()).collect();
    let vectors = embed_role(encoder, &texts, Role::Document)?;
    let outcome = writer.add(chunk, vectors.view())?;
    added.new += outcome.new;
    added.replaced += outcome.replaced;
    Ok(())
}

/// Adds the documents of a file; with `skip_held` except those that the store already has.
fn fill(
    encoder: &TextEncoder,
    writer: &mut dyn WriteStore,
    corpus: &mut Corpus,
    skip_held: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Indexed, SearchError> {
    expect_encoder(encoder, writer)?;
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
        let added = &mut indexed.added;
        add_chunk(encoder, writer, &chunk, added)?;
        indexed.skipped = corpus.skipped;
        progress((added.new + added.replaced + indexed.held) as u64);
    }
    if indexed.added.new + indexed.added.replaced + indexed.held == 0 {
        return Err(DataError::NoRows { path: corpus.path.clone() }.into());
    }
    Ok(indexed)
}
