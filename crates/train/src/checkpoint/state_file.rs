//! The file of a training state, of the model or of a layer that a loss owns: parameters, moments,
//! the average of the parameters and pending gradients, streamed tensor by tensor so that a large
//! model needs no second copy in memory. The owner and its optimizer determine the layout, so that
//! a file of another model is recognised.

use crate::TrainError;
use crate::linear_layer::LinearLayer;
use maana_model::{StatePart, Tensor, Trainable};
use serde_json::{Map, Value, json};
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// Name of the model's file in a checkpoint.
pub(super) const TENSORS_FILE: &str = "training_state.safetensors";

/// The parts of the file in order.
const PARTS: [(StatePart, &str); 5] = [
    (StatePart::Parameters, "parameters"),
    (StatePart::FirstMoments, "first_moments"),
    (StatePart::SecondMoments, "second_moments"),
    (StatePart::Average, "average"),
    (StatePart::Gradients, "gradients"),
];

/// The owner of a training state.
pub(super) trait Stateful {
    /// As [`Trainable::state_tensors`].
    fn state_tensors(&self, part: StatePart) -> Vec<Tensor>;

    /// As [`Trainable::read_state`].
    fn read_state(&self, part: StatePart, first: usize, into: &mut [f32]);

    /// As [`Trainable::write_state`].
    fn write_state(&mut self, part: StatePart, first: usize, values: &[f32]);

    /// As [`Trainable::clear_gradients`].
    fn clear_gradients(&mut self);
}

impl<M: Trainable> Stateful for M {
    fn state_tensors(&self, part: StatePart) -> Vec<Tensor> {
        Trainable::state_tensors(self, part)
    }

    fn read_state(&self, part: StatePart, first: usize, into: &mut [f32]) {
        Trainable::read_state(self, part, first, into);
    }

    fn write_state(&mut self, part: StatePart, first: usize, values: &[f32]) {
        Trainable::write_state(self, part, first, values);
    }

    fn clear_gradients(&mut self) {
        Trainable::clear_gradients(self);
    }
}

impl Stateful for &LinearLayer {
    fn state_tensors(&self, part: StatePart) -> Vec<Tensor> {
        self.arena().state_tensors(part)
    }

    fn read_state(&self, part: StatePart, first: usize, into: &mut [f32]) {
        self.arena().read(part, first, into);
    }

    fn write_state(&mut self, part: StatePart, first: usize, values: &[f32]) {
        self.arena().write(part, first, values);
    }

    fn clear_gradients(&mut self) {
        self.arena().clear_gradients();
    }
}

/// Parts that only some files have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Optional {
    /// The running average of the parameters, if the run keeps one and it has begun.
    pub(super) average: bool,
    /// Gradients, if some are pending.
    pub(super) gradients: bool,
}

impl Optional {
    /// The parts with their names and tensors.
    fn parts(self, model: &impl Stateful) -> Vec<(StatePart, &'static str, Vec<Tensor>)> {
        let present = |part: &StatePart| match part {
            StatePart::Average => self.average,
            StatePart::Gradients => self.gradients,
            _ => true,
        };
        let parts = PARTS.into_iter().filter(|(part, _)| present(part));
        parts.map(|(part, name)| (part, name, model.state_tensors(part))).collect()
    }
}

/// Floats that are converted to bytes at a time.
const CHUNK: usize = 1 << 16;

/// Returns ranges of at most [`CHUNK`] elements, in the order of the file.
fn chunks(tensors: &[Tensor]) -> impl Iterator<Item = std::ops::Range<usize>> {
    tensors.iter().flat_map(|tensor| {
        let end = tensor.range.end;
        tensor.range.clone().step_by(CHUNK).map(move |start| start..end.min(start + CHUNK))
    })
}

/// Writes the file to the folder of a checkpoint that is not public yet. Returns its checksum.
pub(super) fn write(path: &Path, model: &impl Stateful, optional: Optional) -> std::io::Result<String> {
    let parts = optional.parts(model);
    let mut file = BufWriter::new(maana_files::create_inside(path)?);
    let mut hash = Xxh3::new();
    let mut put = |bytes: &[u8]| -> std::io::Result<()> {
        hash.update(bytes);
        file.write_all(bytes)
    };
    put(&header(&parts))?;
    let (mut floats, mut bytes) = (vec![0.0; CHUNK], Vec::with_capacity(4 * CHUNK));
    for (part, _, tensors) in parts {
        for range in chunks(&tensors) {
            let floats = &mut floats[..range.len()];
            model.read_state(part, range.start, floats);
            bytes.clear();
            bytes.extend(floats.iter().flat_map(|float| float.to_le_bytes()));
            put(&bytes)?;
        }
    }
    file.flush()?;
    Ok(format!("{:016x}", hash.digest()))
}

/// Loads the complete state of the model; gradients become zero if the file has none. Returns the
/// fault of an invalid file; the outer error is one of the system.
pub(super) fn read(
    path: &Path,
    model: &mut impl Stateful,
    optional: Optional,
    checksum: &str,
) -> Result<Result<(), String>, TrainError> {
    if !optional.gradients {
        model.clear_gradients();
    }
    fill(path, model, optional, Some, checksum)
}

/// Loads only the parameters that were evaluated: their average, if the file has one.
pub(super) fn read_parameters(
    path: &Path,
    model: &mut impl Stateful,
    optional: Optional,
    checksum: &str,
) -> Result<Result<(), String>, TrainError> {
    let evaluated = if optional.average { StatePart::Average } else { StatePart::Parameters };
    fill(path, model, optional, |part| (part == evaluated).then_some(StatePart::Parameters), checksum)
}

/// Reads the complete file, and its parts into those parts of the model that `target` returns.
fn fill(
    path: &Path,
    model: &mut impl Stateful,
    optional: Optional,
    target: impl Fn(StatePart) -> Option<StatePart>,
    checksum: &str,
) -> Result<Result<(), String>, TrainError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut stream = || -> std::io::Result<Result<(), String>> {
        let mut file = maana_files::open(path)?;
        let parts = optional.parts(model);
        let expected = header(&parts);
        let elements: usize = parts.iter().flat_map(|(_, _, tensors)| tensors).map(|tensor| tensor.range.len()).sum();
        let (length, whole) = (file.metadata()?.len(), (expected.len() + 4 * elements) as u64);
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
        let (mut floats, mut bytes) = (vec![0.0; CHUNK], vec![0; 4 * CHUNK]);
        for (part, _, tensors) in parts {
            let target = target(part);
            for range in chunks(&tensors) {
                let (floats, bytes) = (&mut floats[..range.len()], &mut bytes[..4 * range.len()]);
                file.read_exact(bytes)?;
                hash.update(bytes);
                let Some(part) = target else { continue };
                for (float, bytes) in floats.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *float = f32::from_le_bytes(*bytes);
                }
                model.write_state(part, range.start, floats);
            }
        }
        Ok(match format!("{:016x}", hash.digest()) == checksum {
            true => Ok(()),
            false => Err(format!("the checksum of {name} is wrong, its content is damaged")),
        })
    };
    match stream() {
        Ok(result) => Ok(result),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Err(format!("it has no {name}"))),
        Err(error) => Err(TrainError::io("cannot read", path)(error)),
    }
}

/// Returns the header with its length.
fn header(parts: &[(StatePart, &str, Vec<Tensor>)]) -> Vec<u8> {
    let mut entries = Map::new();
    entries.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut offset = 0;
    for (_, part, tensors) in parts {
        for tensor in tensors {
            let end = offset + 4 * tensor.range.len();
            let entry = json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end]});
            entries.insert(format!("{part}.{}", tensor.name), entry);
            offset = end;
        }
    }
    let mut text = serde_json::to_vec(&Value::Object(entries)).expect("a header is plain data");
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.append(&mut text);
    header
}
