"""Data sets of people as files of JSON lines."""

from __future__ import annotations

import json
import math
import os
from typing import Any, Iterable, Mapping

from . import _maana
from .readers import columns_of_examples, is_example

#: Names of the column with the labels.
LABELS = ("label", "labels", "score", "scores")


def columns_of(dataset: Any, name: str) -> dict[str, list[Any]]:
    """Return the columns of a data set.

    Accepts ``datasets.Dataset``, tables of pandas, polars and Arrow, dictionaries of columns, and
    lists of dictionaries or of `InputExample`.

    Raises:
        TypeError: If the data set is a stream, or of another type.
        ValueError: If columns have different lengths, or there are no rows.
    """
    if is_stream(dataset):
        raise TypeError(
            f"{name} is a stream ({type(dataset).__name__}); a run draws its rows in a random order and can be resumed, "
            "which needs all of them: pass Dataset.from_list(list(stream.take(rows))), or the path of a file"
        )
    if getattr(dataset, "format", None) and dataset.format.get("type") == "custom":
        # A transformation, such as that of `resolve_ids`, makes the columns.
        columns = dict(dataset[:])
    elif hasattr(dataset, "to_pydict"):
        columns = dataset.to_pydict()
    elif isinstance(dataset, Mapping):
        columns = {key: list(values) for key, values in dataset.items()}
    elif hasattr(dataset, "to_dict") and hasattr(dataset, "columns"):
        # Tables of pandas and polars.
        listed = {"orient": "list"} if type(dataset).__module__.startswith("pandas") else {"as_series": False}
        columns = dataset.to_dict(**listed)
    elif hasattr(dataset, "column_names") and hasattr(dataset, "__len__"):
        columns = {column: list(dataset[column]) for column in dataset.column_names}
    elif isinstance(dataset, (list, tuple)) and dataset and all(isinstance(row, Mapping) for row in dataset):
        columns = {key: [row.get(key) for row in dataset] for key in dataset[0]}
    elif isinstance(dataset, (list, tuple)) and dataset and all(map(is_example, dataset)):
        columns = columns_of_examples(dataset, name)
    else:
        raise TypeError(
            f"{name} is of type {type(dataset).__name__}; expected a Dataset, a table, a dictionary of columns, a list of "
            "dictionaries or of InputExample, or the path of a file"
        )
    lengths = {key: len(values) for key, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{name}: columns have different lengths: {lengths}")
    if not lengths or not next(iter(lengths.values())):
        raise ValueError(f"{name} has no rows")
    return columns


def is_stream(dataset: Any) -> bool:
    """Return whether a data set is read once from its beginning to its end, such as
    ``datasets.IterableDataset``."""
    return hasattr(dataset, "__iter__") and not hasattr(dataset, "__len__") and not is_path(dataset)


def is_path(dataset: Any) -> bool:
    """Return whether a data set is named by its path."""
    return isinstance(dataset, (str, os.PathLike))


def is_several(dataset: Any) -> bool:
    """Return whether this is a dictionary of data sets, and not one of columns."""
    return isinstance(dataset, Mapping) and any(map(_is_dataset, dataset.values()))


def _is_dataset(values: Any) -> bool:
    """Return whether this is a data set of its own, and not the values of a column."""
    if isinstance(values, (list, tuple)):
        return bool(values) and (isinstance(values[0], Mapping) or is_example(values[0]))
    tables = ("to_pydict", "column_names", "columns")
    return is_path(values) or isinstance(values, Mapping) or any(hasattr(values, name) for name in tables)


def write(path: str, columns: Mapping[str, Iterable[Any]]) -> None:
    """Write columns as a file of JSON lines, atomically.

    Raises:
        ValueError: If a value is not a finite number, which is how tables mark missing values.
    """
    names = list(columns)

    def line(number: int, row: tuple[Any, ...]) -> str:
        try:
            return json.dumps(dict(zip(names, row)), ensure_ascii=False, allow_nan=False, default=_plain)
        except ValueError:
            missing = (name for name, value in zip(names, row) if isinstance(value, float) and not math.isfinite(value))
            found = next(missing, names[-1])
            message = f"row {number} (from 0): `{found}` is missing or not a finite number; correct it or leave the row out"
            raise ValueError(message) from None

    _maana.write_lines(path, [line(*row) for row in enumerate(zip(*(columns[name] for name in names)))])


def _plain(value: Any) -> Any:
    """Return numbers and arrays of NumPy as those of Python."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value is of type {type(value).__name__}; expected texts, numbers and lists of them")
