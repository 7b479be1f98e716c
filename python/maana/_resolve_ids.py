"""`resolve_ids`: the texts of ids that a data set has in their place."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._datasets import LABELS


@dataclass(frozen=True)
class _Lookup:
    """Values by id for a column of ids."""

    values: Mapping[Any, Any]
    #: Names of the column of values, one and several of which belong to a row.
    name: str
    plural: str


@dataclass(frozen=True)
class _Resolver:
    """The transformation of batches that `resolve_ids` returns."""

    lookups: Mapping[str, _Lookup]
    keep_columns: Sequence[str]
    max_list_length: int | None
    as_lists: bool

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for column, lookup in self.lookups.items():
            for name, values in self._resolved(column, self._rows(column, batch[column]), lookup):
                if name in found:
                    raise ValueError(f"Output column {name!r} is produced more than once. Rename the input columns.")
                found[name] = values
        kept = {name: self._rows(name, batch[name]) for name in self.keep_columns if name in batch}
        if twice := sorted(set(kept) & set(found)):
            raise ValueError(f"Output column {twice[0]!r} is produced more than once. Rename the input columns.")
        return found | kept

    def _rows(self, column: str, values: Any) -> list[Any]:
        """Return the values of a column, of which lists may be texts, cut to the longest list."""
        rows = list(values)
        if rows and isinstance(rows[0], str) and rows[0].lstrip().startswith("["):
            try:
                rows = [list(literal_eval(row)) for row in rows]
            except (ValueError, SyntaxError, TypeError) as error:
                raise ValueError(f"Column {column!r} has a list as a text that cannot be read: {error}") from None
        if rows and self.max_list_length is not None and not isinstance(rows[0], (str, bytes)) and hasattr(rows[0], "__len__"):
            rows = [row[: self.max_list_length] for row in rows]
        return rows

    def _resolved(self, column: str, rows: list[Any], lookup: _Lookup) -> list[tuple[str, list[Any]]]:
        """Return the columns of values for a column of ids."""
        if not rows or not isinstance(rows[0], (list, tuple)):
            return [(lookup.name, [self._value(column, key, lookup) for key in rows])]
        values = [[self._value(column, key, lookup) for key in row] for row in rows]
        if self.as_lists:
            return [(lookup.plural, values)]
        lengths = sorted(set(map(len, values)))
        if len(lengths) != 1 or not lengths[0]:
            raise ValueError(
                f"Rows of input column {column!r} hold lists of the lengths {lengths}; expected one length above 0. Set "
                'max_list_length to cut all rows to it, or output_format="lists".'
            )
        return [(f"{lookup.name}_{place + 1}", list(each)) for place, each in enumerate(zip(*values))]

    @staticmethod
    def _value(column: str, key: Any, lookup: _Lookup) -> Any:
        if key not in lookup.values:
            raise KeyError(f"ID {key!r} from input column {column!r} was not found in its lookup dataset.")
        return lookup.values[key]


def resolve_ids(
    lookups: Mapping[str, Any],
    keep_columns: Sequence[str] = LABELS,
    max_list_length: int | None = None,
    output_format: str = "columns",
) -> _Resolver:
    """Return a transformation of batches that replaces ids with values, for ``Dataset.set_transform``
    or ``Dataset.map(batched=True)``.

    Args:
        lookups: For each column of ids the data set with their values, or a tuple of it, the name of its
            column of ids and that of its values. A column may hold lists of ids.
        keep_columns: Columns to keep as they are.
        max_list_length: Number of values of a list to keep.
        output_format: ``columns`` for numbered columns of lists, which have one length, or ``lists``.

    Raises:
        TypeError: If a lookup is not a data set.
        ValueError: If a column is missing or ambiguous, or an argument is not valid.
    """
    if isinstance(keep_columns, str):
        raise TypeError(f"keep_columns must be a list or tuple of column names, got the string {keep_columns!r}.")
    if max_list_length is not None and max_list_length < 1:
        raise ValueError(f"max_list_length must be a positive integer or None, got {max_list_length}.")
    if output_format not in ("columns", "lists"):
        raise ValueError(f'output_format must be "columns" or "lists", got {output_format!r}.')
    found = {column: _lookup(column, each) for column, each in lookups.items()}
    return _Resolver(found, tuple(keep_columns), max_list_length, output_format == "lists")


def _lookup(column: str, given: Any) -> _Lookup:
    """Return the values by id of a data set, of which the last of equal ids counts."""
    dataset, *names = given if isinstance(given, tuple) else (given,)
    if isinstance(dataset, Mapping) or not hasattr(dataset, "column_names") or len(names) > 2:
        expected = "a Dataset, (dataset, id_col) or (dataset, id_col, value_col)"
        raise TypeError(f"lookups[{column!r}] is of type {type(given).__name__}; expected {expected}")
    if unknown := [name for name in names if name not in dataset.column_names]:
        raise ValueError(f"lookups[{column!r}]: {unknown[0]!r} is not a column of it ({sorted(dataset.column_names)}).")
    if not names:
        names.append(_only(column, "ID", [name for name in dataset.column_names if name == "id" or name.endswith("_id")]))
    if len(names) < 2:
        names.append(_only(column, "value", [name for name in dataset.column_names if name != names[0]]))
    dataset = dataset.with_format(None) if hasattr(dataset, "with_format") else dataset
    values = dict(zip(list(dataset[names[0]]), list(dataset[names[1]])))
    stem = next((column.removesuffix(end) for end in ("_ids", "_id", "_idx") if column.endswith(end)), column)
    if column.endswith("y_ids"):
        return _Lookup(values, stem, f"{stem[:-1]}ies")
    return _Lookup(values, stem, f"{stem}s" if column.endswith("_ids") else stem)


def _only(column: str, kind: str, names: list[str]) -> str:
    if len(names) != 1:
        raise ValueError(
            f"Cannot infer the {kind} column of lookups[{column!r}]: expected exactly one, found {names}. Pass a tuple "
            "(dataset, id_col, value_col)."
        )
    return names[0]
