//! The storages of tensors: blocks of bytes of the file that persistent ids in a pickle refer to.

use super::globals::Global;
use super::messages::shown;
use super::values::{Value, Values};
use crate::weights::size_of_element;
use safetensors::Dtype;
use std::ops::Range;

/// Most bytes of the key of a storage, which is a number.
const LONGEST_KEY: usize = 64;

/// The storages of a file.
pub(super) trait Storages {
    /// Returns the place of the bytes of a storage in the file, if it is there.
    fn place(&self, key: &str) -> Option<Range<usize>>;

    /// Returns the name of a storage, as errors show it.
    fn name(&self, key: &str) -> String;

    /// Returns the length of the file.
    fn file_length(&self) -> usize;
}

/// The persistent id of a storage, or of a part of one.
#[derive(Clone, PartialEq)]
pub(super) struct StorageId<'a> {
    /// The type of its elements, if it has one.
    pub(super) dtype: Option<Dtype>,
    pub(super) key: &'a str,
    pub(super) elements: i64,
    /// First element and number of elements of the part.
    part: Option<(i64, i64)>,
}

impl<'a> StorageId<'a> {
    /// Returns the storage of a persistent id: the word `storage`, the type, the key, the device on
    /// which it was, and the number of elements. In files of before PyTorch 1.6 a part follows, or
    /// `None`.
    pub(super) fn of(values: &Values<'a>, id: Value<'a>) -> Result<Self, String> {
        const MALFORMED: &str = "has another persistent id than `torch.save` writes";
        let items = values.tuple(id).ok_or(MALFORMED)?;
        let (&[Value::Text("storage"), Value::Global(class), Value::Text(key), _, Value::Integer(elements)], part) =
            items.split_first_chunk::<5>().ok_or(MALFORMED)?
        else {
            return Err(MALFORMED.into());
        };
        let dtype = match class {
            Global::Storage(dtype) => Some(dtype),
            Global::UntypedStorage => None,
            _ => return Err("has a storage of another class than those of `torch`".into()),
        };
        if key.len() > LONGEST_KEY {
            return Err(format!("lies in storage `{}`, whose name is too long", shown(key)));
        }
        let part = match part {
            [] | [Value::None] => None,
            [part] => match values.tuple(*part) {
                Some([Value::Text(_), Value::Integer(first), Value::Integer(count)]) => Some((*first, *count)),
                _ => return Err(MALFORMED.into()),
            },
            _ => return Err(MALFORMED.into()),
        };
        Ok(Self { dtype, key, elements, part })
    }

    /// Returns a number of elements in bytes.
    pub(super) fn bytes(&self, elements: i64) -> Option<usize> {
        usize::try_from(elements).ok()?.checked_mul(self.dtype.map_or(1, size_of_element))
    }

    /// Returns the place of its bytes in the file.
    pub(super) fn place(&self, storages: &impl Storages) -> Result<Range<usize>, String> {
        let name = storages.name(self.key);
        let place = storages.place(self.key).ok_or_else(|| format!("lies in {name}, which the file lacks"))?;
        let length = self.bytes(self.elements).filter(|length| *length <= place.len());
        let length = length
            .ok_or_else(|| format!("has a storage of {} elements in {name} of {} bytes", self.elements, place.len()))?;
        let Some((first, count)) = self.part else { return Ok(place.start..place.start + length) };
        let part = self.bytes(first).zip(self.bytes(count));
        let part = part.and_then(|(first, count)| Some(first..first.checked_add(count)?));
        match part {
            Some(part) if part.end <= length => Ok(place.start + part.start..place.start + part.end),
            _ => Err(format!("has elements {first} and {count} more of a storage of {} in {name}", self.elements)),
        }
    }
}
