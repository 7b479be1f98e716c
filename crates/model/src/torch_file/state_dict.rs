//! The tensors of a state dict, and their places in the entries of the file.

use super::archive::Archive;
use super::globals::Global;
use super::messages::{CONVERT, DAMAGED, shown};
use super::values::{Object, Value, Values};
use crate::weights::{StoredTensor, size_of_element};
use safetensors::Dtype;
use std::collections::HashSet;

/// Most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 8;

/// Most bytes of the name of a storage, which is a number.
const LONGEST_KEY: usize = 64;

/// Bytes of all tensors together for each byte of the file: tied weights share a storage, but only
/// a few of them.
const MOST_SHARED: usize = 4;
/// Bytes that the tensors of any file may have.
const ALWAYS_ALLOWED: usize = 1 << 20;

/// A storage of the file.
struct Storage {
    /// The type of its elements, if it has one.
    dtype: Option<Dtype>,
    /// The offset of its first byte in the file.
    start: usize,
    /// Its length in bytes.
    length: usize,
}

/// Returns the tensors of a state dict by name.
pub(super) fn tensors(values: &Values<'_>, archive: &Archive<'_>) -> Result<Vec<(String, StoredTensor)>, String> {
    let Some(Object::Dict(entries)) = values.object(values.result) else {
        return Err(format!("it holds {} instead of a dict of tensors; {CONVERT}", values.result.kind()));
    };
    let mut names = HashSet::with_capacity(entries.len());
    let mut tensors = Vec::with_capacity(entries.len());
    let mut total = 0_usize;
    for (key, value) in entries {
        let Value::Text(name) = key else {
            return Err(format!("it names a tensor with {} instead of a text; {CONVERT}", key.kind()));
        };
        let Some(Object::Tensor(function, arguments)) = values.object(*value) else {
            return Err(format!("`{}` is {} instead of a tensor; {CONVERT}", shown(name), value.kind()));
        };
        if !names.insert(*name) {
            return Err(format!("tensor `{}` is there twice; {DAMAGED}", shown(name)));
        }
        let tensor = tensor(values, archive, *function, arguments)
            .map_err(|reason| format!("tensor `{}` {reason}; {DAMAGED}", shown(name)))?;
        total =
            total.saturating_add(tensor.shape.iter().product::<usize>().saturating_mul(size_of_element(tensor.dtype)));
        tensors.push(((*name).to_owned(), tensor));
    }
    if total > archive.file_length().saturating_mul(MOST_SHARED).saturating_add(ALWAYS_ALLOWED) {
        return Err(format!(
            "its tensors have {total} bytes in a file of {}, as they share more than the tied weights of an encoder; \
             {CONVERT}",
            archive.file_length()
        ));
    }
    Ok(tensors)
}

/// Returns the place of a tensor, after checking that its elements lie in its storage.
fn tensor(
    values: &Values<'_>,
    archive: &Archive<'_>,
    function: Global,
    arguments: &[Value<'_>],
) -> Result<StoredTensor, String> {
    const MALFORMED: &str = "is described by other arguments than `torch.save` writes";
    let (&[storage, offset, shape, strides, _, _], others) = arguments.split_first_chunk::<6>().ok_or(MALFORMED)?;
    let Some(Object::Storage(id)) = values.object(storage) else { return Err(MALFORMED.into()) };
    let storage = self::storage(id, archive)?;
    let dtype = match (function, others.first()) {
        (Global::TypedTensor, Some(Value::Global(Global::Type(dtype) | Global::Storage(dtype)))) => *dtype,
        (Global::Tensor, _) => storage.dtype.ok_or("has no type")?,
        _ => return Err(MALFORMED.into()),
    };
    let Value::Integer(offset) = offset else { return Err(MALFORMED.into()) };
    let offset = usize::try_from(offset).map_err(|_| format!("begins at the negative offset {offset}"))?;
    let (shape, strides) = (numbers(values, shape)?, numbers(values, strides)?);
    if shape.len() != strides.len() {
        return Err(format!("has {} dimensions and {} strides", shape.len(), strides.len()));
    }
    let beyond = || format!("of the shape {shape:?} has elements beyond its storage of {} bytes", storage.length);
    let elements = shape.iter().try_fold(1_usize, |product, length| product.checked_mul(*length)).ok_or_else(beyond)?;
    // Elements from the first to the end of the last.
    let extent = match elements {
        0 => Some(0),
        _ => shape
            .iter()
            .zip(&strides)
            .try_fold(1_usize, |extent, (length, stride)| extent.checked_add((length - 1).checked_mul(*stride)?)),
    };
    let end = extent.and_then(|extent| offset.checked_add(extent)?.checked_mul(size_of_element(dtype)));
    let end = end.filter(|end| *end <= storage.length).ok_or_else(beyond)?;
    let bytes = storage.start + offset * size_of_element(dtype)..storage.start + end;
    let in_order = elements == 0 || is_in_order(&shape, &strides);
    Ok(StoredTensor { dtype, shape, bytes, strides: (!in_order).then_some(strides) })
}

/// Returns the storage of a persistent id: the word `storage`, the type, the entry, the device on
/// which it was, and the number of elements.
fn storage(id: &[Value<'_>; 5], archive: &Archive<'_>) -> Result<Storage, String> {
    let [Value::Text("storage"), Value::Global(class), Value::Text(key), _, Value::Integer(elements)] = *id else {
        return Err("has another persistent id than `torch.save` writes".into());
    };
    let dtype = match class {
        Global::Storage(dtype) => Some(dtype),
        Global::UntypedStorage => None,
        _ => return Err("has a storage of another class than those of `torch`".into()),
    };
    if key.len() > LONGEST_KEY {
        return Err(format!("lies in entry `data/{}`, whose name is too long", shown(key)));
    }
    let entry = format!("data/{key}");
    let place = archive.entry(&entry);
    let entry = archive.name(&entry);
    let place = place.ok_or_else(|| format!("lies in entry `{}`, which the file lacks", shown(&entry)))?;
    let length =
        usize::try_from(elements).ok().and_then(|elements| elements.checked_mul(dtype.map_or(1, size_of_element)));
    match length {
        Some(length) if length <= place.len() => Ok(Storage { dtype, start: place.start, length }),
        _ => Err(format!("has a storage of {elements} elements in entry `{}` of {} bytes", shown(&entry), place.len())),
    }
}

/// Returns a tuple of lengths or strides.
fn numbers(values: &Values<'_>, tuple: Value<'_>) -> Result<Vec<usize>, String> {
    let items = values.tuple(tuple).ok_or("has a shape or strides that are no tuple")?;
    if items.len() > MOST_DIMENSIONS {
        return Err(format!("has {} dimensions, more than {MOST_DIMENSIONS}", items.len()));
    }
    let number = |item: &Value<'_>| match item {
        Value::Integer(number) => usize::try_from(*number).ok(),
        _ => None,
    };
    let numbers = items.iter().map(number).collect::<Option<_>>();
    numbers.ok_or_else(|| "has a length or stride that is not a whole number from 0 on".into())
}

/// Returns whether elements are in the order of their indices, without gaps.
fn is_in_order(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(length, stride)| {
        let fits = *length == 1 || *stride == expected;
        expected *= length;
        fits
    })
}
