//! `training_state.safetensors`: parameters, moments and waiting gradients, tensor by tensor, streamed so that a large model
//! needs no second copy in memory. The layout follows from the model's tensors alone, so a reader can tell a foreign file.

use super::TENSORS_FILE;
use crate::TrainError;
use crate::plan::Position;
use maana_model::Tensor;
use serde_json::{Map, Value, json};
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// The arenas of a run, all of the layout of `Trainable::parameters`.
pub(crate) struct Arenas<T> {
    pub(crate) parameters: T,
    pub(crate) first_moments: T,
    pub(crate) second_moments: T,
    /// Written only where gradients wait for the next update.
    pub(crate) gradients: Option<T>,
}

impl<T> Arenas<T> {
    fn into_list(self) -> Vec<T> {
        let mut list = vec![self.parameters, self.first_moments, self.second_moments];
        list.extend(self.gradients);
        list
    }
}

impl Arenas<&mut [f32]> {
    /// The same arenas for a position: the gradients only if some wait there, else emptied.
    pub(super) fn for_position(&mut self, position: &Position) -> Arenas<&mut [f32]> {
        if let Some(gradients) = &mut self.gradients {
            gradients.fill(0.0);
        }
        Arenas {
            parameters: &mut *self.parameters,
            first_moments: &mut *self.first_moments,
            second_moments: &mut *self.second_moments,
            gradients: self.gradients.as_deref_mut().filter(|_| position.open > 0),
        }
    }
}

const KINDS: [&str; 4] = ["parameters", "first_moments", "second_moments", "gradients"];

/// Floats that are turned into bytes at a time.
const CHUNK: usize = 1 << 16;

/// Writes the file into the folder of a checkpoint that is not public yet, and gives back its checksum.
pub(super) fn write(folder: &Path, tensors: &[Tensor], arenas: Arenas<&[f32]>) -> std::io::Result<String> {
    let arenas = arenas.into_list();
    let mut file = BufWriter::new(maana_files::create_inside(&folder.join(TENSORS_FILE))?);
    let mut hash = Xxh3::new();
    let mut put = |bytes: &[u8]| -> std::io::Result<()> {
        hash.update(bytes);
        file.write_all(bytes)
    };
    put(&header(tensors, &KINDS[..arenas.len()]))?;
    let mut bytes = Vec::with_capacity(4 * CHUNK);
    for arena in arenas {
        for tensor in tensors {
            for floats in arena[tensor.range.clone()].chunks(CHUNK) {
                bytes.clear();
                bytes.extend(floats.iter().flat_map(|float| float.to_le_bytes()));
                put(&bytes)?;
            }
        }
    }
    file.flush()?;
    Ok(format!("{:016x}", hash.digest()))
}

/// Fills the arenas, or says what is wrong with the file. An outer error is one of the system, not of the file.
pub(super) fn read(
    path: &Path,
    tensors: &[Tensor],
    arenas: Arenas<&mut [f32]>,
    checksum: &str,
) -> Result<Result<(), String>, TrainError> {
    let arenas = arenas.into_list();
    fill(path, tensors, &KINDS[..arenas.len()], arenas, checksum)
}

/// Fills the parameters alone; `waiting` says whether the file has gradients as well.
pub(super) fn read_parameters(
    path: &Path,
    tensors: &[Tensor],
    waiting: bool,
    parameters: &mut [f32],
    checksum: &str,
) -> Result<Result<(), String>, TrainError> {
    fill(path, tensors, if waiting { &KINDS } else { &KINDS[..3] }, vec![parameters], checksum)
}

/// Reads the file to its end, the first of its kinds into `arenas`.
fn fill(
    path: &Path,
    tensors: &[Tensor],
    kinds: &[&str],
    arenas: Vec<&mut [f32]>,
    checksum: &str,
) -> Result<Result<(), String>, TrainError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stream = || -> std::io::Result<Result<(), String>> {
        let mut file = maana_files::open(path)?;
        let expected = header(tensors, kinds);
        let elements: usize = tensors.iter().map(|tensor| tensor.range.len()).sum();
        let (length, whole) = (file.metadata()?.len(), (expected.len() + 4 * elements * kinds.len()) as u64);
        if length != whole {
            return Ok(Err(format!("{name} has {length} bytes instead of {whole}")));
        }
        let mut found = vec![0; expected.len()];
        file.read_exact(&mut found)?;
        if found != expected {
            return Ok(Err(format!("the header of {name} is not that of this model's state")));
        }
        let mut hash = Xxh3::new();
        hash.update(&found);
        let mut bytes = vec![0; 4 * CHUNK];
        for arena in arenas {
            for tensor in tensors {
                for floats in arena[tensor.range.clone()].chunks_mut(CHUNK) {
                    let bytes = &mut bytes[..4 * floats.len()];
                    file.read_exact(bytes)?;
                    hash.update(bytes);
                    for (float, four) in floats.iter_mut().zip(bytes.chunks_exact(4)) {
                        *float = f32::from_le_bytes(four.try_into().expect("four bytes"));
                    }
                }
            }
        }
        loop {
            match file.read(&mut bytes)? {
                0 => break,
                read => hash.update(&bytes[..read]),
            }
        }
        Ok(match format!("{:016x}", hash.digest()) == checksum {
            true => Ok(()),
            false => Err(format!("the checksum of {name} is wrong, its content is damaged")),
        })
    };
    match stream() {
        Ok(result) => Ok(result),
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Ok(Err(format!("it has no {name}"))),
        Err(fault) => Err(TrainError::io("cannot read", path)(fault)),
    }
}

/// The length of the header and the header itself, as the format wants them.
fn header(tensors: &[Tensor], kinds: &[&str]) -> Vec<u8> {
    let mut entries = Map::new();
    entries.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut offset = 0;
    for kind in kinds {
        for tensor in tensors {
            let end = offset + 4 * tensor.range.len();
            let entry = json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end]});
            entries.insert(format!("{kind}.{}", tensor.name), entry);
            offset = end;
        }
    }
    let mut text = serde_json::to_vec(&Value::Object(entries)).expect("a header is plain data");
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.append(&mut text);
    header
}
