//! Names of models and revisions. They become parts of paths and addresses, so they are checked
//! first.

/// Returns whether a text is safe as one component of a path.
pub(super) fn is_component(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    !text.is_empty() && text.len() <= 128 && text.chars().all(plain) && !text.starts_with('.') && !text.contains("..")
}

/// Returns whether a text is the name of a model: `organisation/model` or `model`.
pub(crate) fn is_id(id: &str) -> bool {
    let parts: Vec<&str> = id.split('/').collect();
    parts.len() <= 2 && id.len() <= 96 && parts.iter().all(|part| is_component(part)) && !id.contains("--")
}

/// Returns whether a text can be a branch, tag or commit.
pub(super) fn is_revision(revision: &str) -> bool {
    revision.split('/').all(is_component)
}
