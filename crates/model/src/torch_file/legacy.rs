//! Files of PyTorch before 1.6: five pickles, one behind the other, of a number that identifies
//! them, the version of the form, the computer, the state dict and the keys of the storages. The
//! storages follow in the order of their keys, each with its number of elements in front.

use super::messages::{CONVERT, DAMAGED, shown};
use super::pickle;
use super::state_dict;
use super::storage::{StorageId, Storages};
use super::values::{Object, Value, Values};
use crate::weights::StoredTensor;
use std::collections::HashMap;
use std::ops::Range;

/// The first pickle.
pub(super) const MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// The version of the form; there is no other.
const VERSION: i64 = 1001;

/// Returns the tensors of a file that begins with [`MAGIC`].
pub(super) fn tensors(bytes: &[u8]) -> Result<Vec<(String, StoredTensor)>, String> {
    let mut at = MAGIC.len();
    let mut next = |name: &str| {
        let (values, length) = pickle::run(&bytes[at..]).map_err(|reason| format!("the pickle of {name}: {reason}"))?;
        at += length;
        Ok::<_, String>(values)
    };
    let version = next("its version")?.result;
    if version != Value::Integer(VERSION) {
        return Err(format!("its version is {} instead of the number {VERSION}; {DAMAGED}", version.kind()));
    }
    check_system(&next("its system")?)?;
    let state_dict = next("its tensors")?;
    let keys = next("the keys of its storages")?;
    let storages = FollowingStorages::read(bytes, at, &state_dict, &keys)?;
    state_dict::tensors(&state_dict, &storages).map_err(|reason| format!("the pickle of its tensors: {reason}"))
}

/// Checks that the computer that wrote the file had numbers in little-endian order.
fn check_system(system: &Values<'_>) -> Result<(), String> {
    let is_little = match system.object(system.result) {
        Some(Object::Dict(entries)) => entries.iter().find(|(key, _)| *key == Value::Text("little_endian")),
        _ => None,
    };
    match is_little {
        Some((_, Value::Bool(true))) => Ok(()),
        Some((_, Value::Bool(false))) => {
            Err(format!("a big-endian computer wrote it, but only little-endian files are read; {CONVERT}"))
        }
        _ => Err(format!("the pickle of its system lacks `little_endian`; {DAMAGED}")),
    }
}

/// The storages behind the pickles.
struct FollowingStorages<'a> {
    places: HashMap<&'a str, Range<usize>>,
    file_length: usize,
}

impl<'a> FollowingStorages<'a> {
    /// Finds the storages, which begin at `at`. Their types are those of the persistent ids in the
    /// state dict.
    fn read(bytes: &[u8], mut at: usize, state_dict: &Values<'a>, keys: &Values<'a>) -> Result<Self, String> {
        let Some(Object::List(list)) = keys.object(keys.result) else {
            return Err(format!("the keys of its storages are {} instead of a list; {DAMAGED}", keys.result.kind()));
        };
        let ids = ids(state_dict)?;
        let mut places = HashMap::with_capacity(list.len());
        for key in list {
            let Value::Text(key) = key else {
                return Err(format!("the key of a storage is {} instead of a text; {DAMAGED}", key.kind()));
            };
            let damaged = |reason: String| format!("storage `{}` {reason}; {DAMAGED}", shown(key));
            let id = ids.get(key).ok_or_else(|| damaged("belongs to no tensor".into()))?;
            let beyond = || damaged("lies beyond the end of the file".into());
            let count = bytes[at..].first_chunk().map(|count| i64::from_le_bytes(*count)).ok_or_else(beyond)?;
            if count != id.elements {
                return Err(damaged(format!("has {count} elements, but the tensors need {}", id.elements)));
            }
            let start = at + size_of::<i64>();
            let end = id.bytes(count).and_then(|length| start.checked_add(length));
            let end = end.filter(|end| *end <= bytes.len()).ok_or_else(beyond)?;
            if places.insert(*key, start..end).is_some() {
                return Err(damaged("is there twice".into()));
            }
            at = end;
        }
        match bytes.len() - at {
            0 => Ok(Self { places, file_length: bytes.len() }),
            rest => Err(format!("{rest} bytes follow its last storage; {DAMAGED}")),
        }
    }
}

/// Returns the persistent ids of a state dict by their keys. Those of one key have the same type
/// and number of elements.
fn ids<'a>(state_dict: &Values<'a>) -> Result<HashMap<&'a str, StorageId<'a>>, String> {
    let mut ids: HashMap<&str, StorageId<'_>> = HashMap::new();
    for object in &state_dict.objects {
        let Object::Storage(id) = object else { continue };
        let id = StorageId::of(state_dict, *id).map_err(|reason| format!("a tensor {reason}; {DAMAGED}"))?;
        let known = ids.entry(id.key).or_insert_with(|| id.clone());
        if (known.dtype, known.elements) != (id.dtype, id.elements) {
            return Err(format!("storage `{}` has two types or lengths; {DAMAGED}", shown(id.key)));
        }
    }
    Ok(ids)
}

impl Storages for FollowingStorages<'_> {
    fn place(&self, key: &str) -> Option<Range<usize>> {
        self.places.get(key).cloned()
    }

    fn name(&self, key: &str) -> String {
        format!("storage `{}`", shown(key))
    }

    fn file_length(&self) -> usize {
        self.file_length
    }
}
