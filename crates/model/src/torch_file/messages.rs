//! Parts of error messages: remedies and names.

/// The remedy of a damaged file.
pub(super) const DAMAGED: &str = "it is damaged or cut short, fetch it again (`maana fetch NAME --again`)";
/// The remedy of a sound file in a form that is not read.
pub(super) const CONVERT: &str =
    "convert it in Python with `SentenceTransformer(folder).save_pretrained(other_folder)`";

/// Returns the start of a name from a file, as errors show it.
pub(super) fn shown(name: &str) -> String {
    let start: String = name.chars().take(100).collect();
    if start.len() < name.len() { format!("{start}…") } else { start }
}
