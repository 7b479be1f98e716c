"""Inputs of people as lists of strings and arrays of float32, and arrays as what they asked for."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


#: Remedies for elements that are no strings.
_REMEDIES: dict[type, str] = {
    dict: "; of a route: the text itself, with encode_query, encode_document or task=…",
    list: "; join the texts of a pair",
    tuple: "; join the texts of a pair",
}


def is_tensor(value: Any) -> bool:
    """Return whether a value is a tensor of PyTorch, without importing it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def to_tensor(array: np.ndarray) -> Any:
    """Return an array as a tensor that shares its memory.

    Raises:
        ImportError: If PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        message = "convert_to_tensor=True needs PyTorch, which is not installed; omit it to get arrays of NumPy"
        raise ImportError(message) from error
    return torch.from_numpy(array)


def as_rows(embeddings: Any, name: str) -> np.ndarray:
    """Return embeddings as an array ``(rows, columns)`` of float32 in C order.

    Arrays of this form are not copied. A single embedding becomes one row.

    Raises:
        ValueError: If rows have different lengths, or there are more than two dimensions.
        TypeError: If the values are not numbers.
    """
    if is_tensor(embeddings):
        embeddings = embeddings.detach().cpu().float().numpy()
    elif isinstance(embeddings, (list, tuple)) and any(is_tensor(row) for row in embeddings):
        embeddings = [row.detach().cpu().float().numpy() if is_tensor(row) else row for row in embeddings]
    try:
        array = np.asarray(embeddings)
    except ValueError as error:
        raise ValueError(f"{name}: rows have different lengths; expected an array (rows, columns)") from error
    if array.dtype == object or array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has values of type {array.dtype}; expected numbers")
    if array.ndim == 1:
        array = array[np.newaxis, :] if array.size else array.reshape(0, 0)
    if array.ndim != 2:
        raise ValueError(f"{name} has the shape {array.shape}; expected (rows, columns)")
    return np.ascontiguousarray(array, dtype=np.float32)


def as_floats(values: Any, name: str) -> np.ndarray:
    """Return numbers as an array of float32 in C order, of any number of dimensions.

    Raises:
        TypeError: If the values are not numbers.
    """
    array = np.asarray(values.detach().cpu().float().numpy() if is_tensor(values) else values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has values of type {array.dtype}; expected numbers")
    return np.ascontiguousarray(array, dtype=np.float32)


def is_single(texts: Any) -> bool:
    """Return whether the input is one text and not several."""
    return isinstance(texts, str) or (isinstance(texts, np.ndarray) and texts.ndim == 0)


def as_texts(texts: Any, name: str = "inputs") -> list[str]:
    """Return texts as a list of strings.

    Lists, tuples, arrays of NumPy, columns of pandas, polars and Arrow, and other iterables are
    accepted.

    Raises:
        TypeError: If an element is not a string; the message names its position.
    """
    if is_single(texts):
        return [str(texts)]
    if texts is None or isinstance(texts, (bytes, dict, int, float)):
        remedy = _REMEDIES.get(type(texts), "")
        raise TypeError(f"{name} is of type {type(texts).__name__}; expected a string or a list of strings{remedy}")
    if isinstance(texts, np.ndarray):
        texts = texts.tolist()
    elif hasattr(texts, "to_pylist"):
        texts = texts.to_pylist()
    elif not isinstance(texts, list):
        try:
            texts = list(texts)
        except TypeError:
            message = f"{name} is of type {type(texts).__name__}; expected a string or a list of strings"
            raise TypeError(message) from None
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            found = "None" if text is None else f"of type {type(text).__name__}"
            raise TypeError(f"{name}[{position}] is {found}; expected a string{_REMEDIES.get(type(text), '')}")
    return texts
