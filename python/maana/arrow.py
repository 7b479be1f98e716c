"""Strings and embeddings in the columns of Arrow, without copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ArrowTexts", "fixed_size_lists"]


@dataclass(frozen=True)
class ArrowTexts:
    """Texts of Arrow where they lie in memory.

    Attributes:
        chunks: For each chunk the bytes of its texts, and the offsets of the texts in them.
        count: Number of texts.
    """

    chunks: list[tuple[np.ndarray, np.ndarray]]
    count: int

    def __len__(self) -> int:
        return self.count


def as_arrow_texts(texts: Any, name: str) -> ArrowTexts | None:
    """Return texts of Arrow, of polars, and of pandas with strings of Arrow; ``None`` for others.

    Raises:
        TypeError: If an element is null, or the elements are not strings.
    """
    if not (hasattr(texts, "__arrow_c_stream__") or hasattr(texts, "__arrow_c_array__")):
        return None
    try:
        import pyarrow
    except ImportError:
        return None
    try:
        column = pyarrow.chunked_array(texts)
    except (TypeError, ValueError, pyarrow.ArrowException):
        return None
    if not _is_string(column.type):
        raise TypeError(f"{name} is a column of type {column.type}; expected strings")
    if column.null_count:
        first = next(position for position, text in enumerate(column) if not text.is_valid)
        raise TypeError(f"{name}[{first}] is None; expected a string")
    if not (pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type)):
        column = column.cast(pyarrow.large_string())
    return ArrowTexts([_chunk(chunk) for chunk in column.chunks if len(chunk)], len(column))


def _is_string(kind: Any) -> bool:
    import pyarrow

    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_string_view, pyarrow.types.is_null)
    return any(test(kind) for test in tests)


def _chunk(chunk: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return bytes and offsets of an array of strings."""
    import pyarrow

    _, offsets, values = chunk.buffers()
    kind = np.int64 if pyarrow.types.is_large_string(chunk.type) else np.int32
    bounds = np.frombuffer(offsets, dtype=kind)[chunk.offset : chunk.offset + len(chunk) + 1]
    data = np.frombuffer(values, dtype=np.uint8) if values is not None and values.size else np.zeros(0, np.uint8)
    return data, bounds.astype(np.int64)


def fixed_size_lists(embeddings: np.ndarray) -> Any:
    """Return embeddings ``(rows, columns)`` as an array of ``FixedSizeList`` that shares their memory.

    Raises:
        ImportError: If pyarrow is not installed.

    Example:
        >>> fixed_size_lists(np.zeros((2, 3), np.float32)).type  # doctest: +SKIP
        FixedSizeListType(fixed_size_list<item: float>[3])
    """
    import pyarrow

    rows = np.ascontiguousarray(embeddings)
    if rows.ndim != 2:
        raise ValueError(f"embeddings have the shape {rows.shape}; expected (rows, columns)")
    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(rows.reshape(-1)), rows.shape[1])
