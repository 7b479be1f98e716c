//! Texts and fields in the payloads of a folder's store. The store itself sees opaque bytes.

use super::error::SearchError;
use super::request::Content;
use maana_vectors::store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// Returns the payload of a document.
pub(super) fn payload(content: &Content) -> Vec<u8> {
    serde_json::to_vec(content).expect("texts are JSON")
}

/// Returns the text and fields of a row.
///
/// # Errors
/// If the file is damaged, or the payload was not written by [`payload`].
pub(super) fn content(store: &Store, row: usize) -> Result<Content, SearchError> {
    let document = store.document(row)?;
    serde_json::from_slice(document.payload).map_err(|_| SearchError::Foreign { id: document.id.to_owned() })
}

/// Returns the names of the fields of the first documents.
///
/// # Errors
/// As [`content`].
pub(super) fn fields(store: &Store) -> Result<Vec<String>, SearchError> {
    const DOCUMENTS: usize = 1000;
    let mut names = BTreeSet::new();
    for row in store.rows().take(DOCUMENTS) {
        names.extend(content(store, row)?.fields.into_keys());
    }
    Ok(names.into_iter().collect())
}

/// Checks that some document has each field of the filters; an empty store has every field.
///
/// # Errors
/// Names the first missing field; otherwise as [`content`].
pub(super) fn check_filters(store: &Store, filters: &[(String, String)]) -> Result<(), SearchError> {
    let mut missing: Vec<&str> = filters.iter().map(|(field, _)| field.as_str()).collect();
    let mut present = BTreeMap::new();
    for row in store.rows() {
        if missing.is_empty() {
            return Ok(());
        }
        let fields = content(store, row)?.fields;
        missing.retain(|field| !fields.contains_key(*field));
        fields.into_keys().for_each(|field| *present.entry(field).or_insert(0) += 1);
    }
    let Some(field) = missing.first().filter(|_| !store.is_empty()) else { return Ok(()) };
    let present: Vec<String> = present.into_keys().collect();
    let present = if present.is_empty() { "none (index with --keep)".to_owned() } else { present.join(", ") };
    Err(SearchError::NoField { field: field.to_string(), present })
}
