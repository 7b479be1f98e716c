"""Similarities of all rows of two arrays, and of their rows one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _maana
from ._arrays import as_rows, is_tensor, to_tensor


class Scores(np.ndarray):
    """An array of similarities that functions of PyTorch take as a tensor, such as ``torch.stack``."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*_tensors(args), **_tensors(kwargs or {}))

    def __array_wrap__(self, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> Any:
        """Return the numbers of functions such as ``mean`` as those of other arrays."""
        return np.asarray(array)[()] if array.ndim == 0 else array.view(Scores)

    def __repr__(self) -> str:
        return repr(np.asarray(self))


def _tensors(value: Any) -> Any:
    """Return arguments with tensors in the place of similarities."""
    if isinstance(value, Scores):
        return to_tensor(np.asarray(value))
    if isinstance(value, dict):
        return {name: _tensors(each) for name, each in value.items()}
    return type(value)(map(_tensors, value)) if type(value) in (list, tuple) else value


def like(result: np.ndarray, *arguments: Any) -> Any:
    """Return the result as a tensor if an argument is one or holds one."""
    held = (next(iter(value), None) for value in arguments if isinstance(value, (list, tuple)))
    return to_tensor(result) if any(map(is_tensor, (*arguments, *held))) else result


def _all_pairs(name: str, a: Any, b: Any) -> Any:
    return like(_maana.similarity(name, as_rows(a, "a"), as_rows(b, "b")).view(Scores), a, b)


def _pairwise(name: str, a: Any, b: Any) -> Any:
    return like(_maana.similarity_pairwise(name, as_rows(a, "a"), as_rows(b, "b")).view(Scores), a, b)


def cos_sim(a: Any, b: Any) -> Any:
    """Return the cosines of all rows of ``a`` with all rows of ``b``: ``(rows of a, rows of b)``."""
    return _all_pairs("cosine", a, b)


pytorch_cos_sim = cos_sim


def dot_score(a: Any, b: Any) -> Any:
    """Return the dot products of all rows of ``a`` with all rows of ``b``."""
    return _all_pairs("dot", a, b)


def euclidean_sim(a: Any, b: Any) -> Any:
    """Return the negated Euclidean distances of all rows of ``a`` and ``b``."""
    return _all_pairs("euclidean", a, b)


def manhattan_sim(a: Any, b: Any) -> Any:
    """Return the negated Manhattan distances of all rows of ``a`` and ``b``."""
    return _all_pairs("manhattan", a, b)


def pairwise_cos_sim(a: Any, b: Any) -> Any:
    """Return the cosine of each row of ``a`` with the same row of ``b``."""
    return _pairwise("cosine", a, b)


def pairwise_dot_score(a: Any, b: Any) -> Any:
    """Return the dot product of each row of ``a`` with the same row of ``b``."""
    return _pairwise("dot", a, b)


def pairwise_euclidean_sim(a: Any, b: Any) -> Any:
    """Return the negated Euclidean distance of each row of ``a`` and the same row of ``b``."""
    return _pairwise("euclidean", a, b)


def pairwise_manhattan_sim(a: Any, b: Any) -> Any:
    """Return the negated Manhattan distance of each row of ``a`` and the same row of ``b``."""
    return _pairwise("manhattan", a, b)


def pairwise_angle_sim(x: Any, y: Any) -> Any:
    """Return the absolute normalised angle of each row of ``x`` with the same row of ``y`` (AnglE).

    Raises:
        ValueError: If the number of columns is odd, or the shapes differ.
    """
    first, second = as_rows(x, "x"), as_rows(y, "y")
    if first.shape != second.shape or first.shape[1] % 2:
        raise ValueError(f"x has the shape {first.shape} and y {second.shape}; expected the same, with an even width")
    (a, b), (c, d) = (np.split(rows.astype(np.float64), 2, axis=1) for rows in (first, second))
    # The quotient of two complex numbers for each column, and its length for each row.
    scale = np.sqrt((c**2 + d**2).sum(axis=1) * (a**2 + b**2).sum(axis=1))
    angles = np.abs((a * c + b * d + b * c - a * d).sum(axis=1)) / scale
    return like(angles.astype(np.float32), x, y)
