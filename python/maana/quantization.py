"""Embeddings in fewer bits, with the names of ``sentence_transformers.quantization``."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from . import _maana
from ._arrays import as_rows

__all__ = ["quantize_embeddings", "semantic_search_faiss", "semantic_search_usearch"]

_NO_INDEX = "{} is not supported: use util.semantic_search for embeddings in memory, or maana.Store for many"
_PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")


def quantize_embeddings(
    embeddings: Any,
    precision: Literal["float32", "int8", "uint8", "binary", "ubinary"],
    ranges: np.ndarray | None = None,
    calibration_embeddings: np.ndarray | None = None,
) -> np.ndarray:
    """Round embeddings to fewer bits, value for value as the reference.

    Args:
        embeddings: ``(rows, columns)`` of floating-point numbers.
        precision: ``float32``, ``int8``, ``uint8``, ``binary`` or ``ubinary``.
        ranges: Least and greatest value of each column, ``(2, columns)``, for int8 and uint8.
        calibration_embeddings: Embeddings whose ranges are used if ``ranges`` is not given. Default:
            the embeddings themselves.

    Returns:
        ``(rows, columns)``; for binary precisions ``(rows, columns / 8)``.

    Raises:
        ValueError: If ranges would have to be found in a single embedding, or the precision is
            unknown.

    Example:
        >>> quantize_embeddings(np.array([[0.5, -0.5, 1, 1, 1, 1, 1, 1]]), "ubinary")
        array([[191]], dtype=uint8)
    """
    if precision not in _PRECISIONS:
        raise ValueError(f"Precision {precision!r} is not supported, must be one of {list(_PRECISIONS)}")
    kind = getattr(getattr(embeddings, "dtype", None), "kind", "f")
    if kind in "iu":
        raise ValueError("Embeddings to quantize must be float rather than int8 or uint8.")
    rows = as_rows(embeddings, "embeddings")
    if precision == "float32":
        return rows
    if precision in ("binary", "ubinary"):
        return _maana.quantize(rows, precision, None)
    if len(rows) == 0:
        return np.zeros(rows.shape, dtype=precision)
    if ranges is None:
        calibration = rows if calibration_embeddings is None else as_rows(calibration_embeddings, "calibration")
        ranges = _maana.ranges(calibration)
    return _maana.quantize(rows, precision, as_rows(ranges, "ranges"))


def semantic_search_faiss(
    query_embeddings: np.ndarray,
    corpus_embeddings: np.ndarray | None = None,
    corpus_index: Any = None,
    corpus_precision: Literal["float32", "uint8", "ubinary"] = "float32",
    top_k: int = 10,
    ranges: np.ndarray | None = None,
    calibration_embeddings: np.ndarray | None = None,
    rescore: bool = True,
    rescore_multiplier: int = 2,
    exact: bool = True,
    output_index: bool = False,
) -> tuple[list[list[dict[str, int | float]]], float, Any]:
    """Refused: `util.semantic_search` and `Store` search without faiss.

    Raises:
        NotImplementedError: Always.
    """
    raise NotImplementedError(_NO_INDEX.format("semantic_search_faiss"))


def semantic_search_usearch(
    query_embeddings: np.ndarray,
    corpus_embeddings: np.ndarray | None = None,
    corpus_index: Any = None,
    corpus_precision: Literal["float32", "int8", "ubinary", "binary"] = "float32",
    top_k: int = 10,
    ranges: np.ndarray | None = None,
    calibration_embeddings: np.ndarray | None = None,
    rescore: bool = True,
    rescore_multiplier: int = 2,
    exact: bool = True,
    output_index: bool = False,
) -> tuple[list[list[dict[str, int | float]]], float, Any]:
    """Refused: `util.semantic_search` and `Store` search without usearch.

    Raises:
        NotImplementedError: Always.
    """
    raise NotImplementedError(_NO_INDEX.format("semantic_search_usearch"))
