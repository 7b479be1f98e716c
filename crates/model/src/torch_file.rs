//! Weights as `torch.save` writes them: since PyTorch 1.6 a zip file whose entry `data.pkl` is a
//! pickle of a state dict, and whose entries `data/0`, `data/1` and so on are the storages of its
//! tensors; before, pickles with the storages behind them ([`legacy`]). Pickles are read by a
//! machine that knows only what a state dict needs: it computes lists of numbers and names, calls
//! nothing, and refuses everything else by name.

mod archive;
mod globals;
mod legacy;
mod messages;
mod pickle;
mod state_dict;
mod storage;
#[cfg(test)]
mod tests;
mod values;

use crate::ModelError;
use crate::weights::StoredTensor;
use archive::Archive;
use maana_files::MappedFile;
use messages::CONVERT;

/// The word in the first header of a tar file, and its place.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// Reads the names and places of the tensors of a file.
///
/// # Errors
/// Returns an error if the file is damaged, or holds anything but tensors that are stored as they
/// are. Memory and time are bounded by limits and by the length of the file.
pub(crate) fn read(file: &MappedFile) -> Result<Vec<(String, StoredTensor)>, ModelError> {
    let bytes = file.map(0..file.length()).map_err(ModelError::io(file.path()))?;
    tensors(&bytes).map_err(|reason| ModelError::invalid(file.path(), reason))
}

fn tensors(bytes: &[u8]) -> Result<Vec<(String, StoredTensor)>, String> {
    if bytes.starts_with(legacy::MAGIC) {
        return legacy::tensors(bytes);
    }
    if bytes.get(TAR.0..).is_some_and(|rest| rest.starts_with(TAR.1)) {
        return Err(format!("it is a tar file, the form of PyTorch 0.1, which is not read; {CONVERT}"));
    }
    let archive = Archive::read(bytes).map_err(|reason| format!("not a sound file of PyTorch: {reason}"))?;
    if let Some(place) = archive.entry("byteorder")
        && &bytes[place.clone()] != b"little"
    {
        let order = String::from_utf8_lossy(&bytes[place]).chars().take(20).collect::<String>();
        let name = archive.name("byteorder");
        return Err(format!(
            "entry `{name}` says {order:?}, but only numbers in little-endian order are read; {CONVERT}"
        ));
    }
    let pickle = archive.entry("data.pkl").expect("every archive has it");
    let state_dict = pickle::run(&bytes[pickle]).and_then(|(values, _)| state_dict::tensors(&values, &archive));
    state_dict.map_err(|reason| format!("entry `{}`: {reason}", archive.name("data.pkl")))
}
