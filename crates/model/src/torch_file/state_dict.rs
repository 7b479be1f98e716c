//! The tensors of a state dict, and their places in the storages of the file.

use super::globals::Global;
use super::messages::{CONVERT, DAMAGED, shown};
use super::storage::{StorageId, Storages};
use super::values::{Object, Value, Values};
use crate::weights::{StoredTensor, size_of_element};
use std::collections::HashSet;

/// Most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 8;

/// Bytes of all tensors together for each byte of the file: tied weights share a storage, but only
/// a few of them.
const MOST_SHARED: usize = 4;
/// Bytes that the tensors of any file may have.
const ALWAYS_ALLOWED: usize = 1 << 20;

/// Returns the tensors of a state dict by name.
pub(super) fn tensors(values: &Values<'_>, storages: &impl Storages) -> Result<Vec<(String, StoredTensor)>, String> {
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
        let tensor = tensor(values, storages, *function, arguments)
            .map_err(|reason| format!("tensor `{}` {reason}; {DAMAGED}", shown(name)))?;
        total =
            total.saturating_add(tensor.shape.iter().product::<usize>().saturating_mul(size_of_element(tensor.dtype)));
        tensors.push(((*name).to_owned(), tensor));
    }
    if total > storages.file_length().saturating_mul(MOST_SHARED).saturating_add(ALWAYS_ALLOWED) {
        return Err(format!(
            "its tensors have {total} bytes in a file of {}, as they share more than the tied weights of an encoder; \
             {CONVERT}",
            storages.file_length()
        ));
    }
    Ok(tensors)
}

/// Returns the place of a tensor, after checking that its elements lie in its storage.
fn tensor(
    values: &Values<'_>,
    storages: &impl Storages,
    function: Global,
    arguments: &[Value<'_>],
) -> Result<StoredTensor, String> {
    const MALFORMED: &str = "is described by other arguments than `torch.save` writes";
    let (&[storage, offset, shape, strides], others) = arguments.split_first_chunk::<4>().ok_or(MALFORMED)?;
    let Some(Object::Storage(id)) = values.object(storage) else { return Err(MALFORMED.into()) };
    let id = StorageId::of(values, *id)?;
    let dtype = match (function, others) {
        (Global::TypedTensor, [_, _, Value::Global(Global::Type(dtype) | Global::Storage(dtype)), ..]) => *dtype,
        (Global::OldTensor, []) | (Global::Tensor, [_, _, ..]) => id.dtype.ok_or("has no type")?,
        _ => return Err(MALFORMED.into()),
    };
    let storage = id.place(storages)?;
    let Value::Integer(offset) = offset else { return Err(MALFORMED.into()) };
    let offset = usize::try_from(offset).map_err(|_| format!("begins at the negative offset {offset}"))?;
    let (shape, strides) = (numbers(values, shape)?, numbers(values, strides)?);
    if shape.len() != strides.len() {
        return Err(format!("has {} dimensions and {} strides", shape.len(), strides.len()));
    }
    let beyond = || format!("of the shape {shape:?} has elements beyond its storage of {} bytes", storage.len());
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
    let end = end.filter(|end| *end <= storage.len()).ok_or_else(beyond)?;
    let bytes = storage.start + offset * size_of_element(dtype)..storage.start + end;
    let in_order = elements == 0 || is_in_order(&shape, &strides);
    Ok(StoredTensor { dtype, shape, bytes, strides: (!in_order).then_some(strides) })
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
