//! The kind of model that a folder is opened as.

use super::head::HeadSettings;
use super::modules::{Chains, read_cross_encoder_modules, read_modules};
use super::scoring::is_cross_encoder;
use crate::ModelError;
use std::path::Path;

/// The kind of model that a folder is opened as.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    BiEncoder,
    /// A cross-encoder with its head, and settings that replace those of the folder.
    CrossEncoder(Option<&'a HeadSettings>),
    /// A model that becomes a cross-encoder.
    NewHead(&'a HeadSettings),
}

impl<'a> Kind<'a> {
    /// Reads kind and modules of a folder, which becomes a cross-encoder with settings of a head.
    pub(super) fn read(
        folder: &Path,
        head: Option<&'a HeadSettings>,
        notices: &mut Vec<String>,
    ) -> Result<(Self, Chains), ModelError> {
        if is_cross_encoder(folder)? {
            return Ok((Self::CrossEncoder(head), Chains::of(read_cross_encoder_modules(folder)?)));
        }
        let Some(head) = head else { return Ok((Self::BiEncoder, read_modules(folder, notices)?)) };
        // That pooling is assumed does not matter to a head.
        let list = read_modules(folder, &mut Vec::new())?.single(folder)?;
        notices.push(format!(
            "{}: the model has no head for pairs; it gets a new one with random weights (seed {})",
            folder.display(),
            head.seed
        ));
        Ok((Self::NewHead(head), Chains::of(list)))
    }
}
