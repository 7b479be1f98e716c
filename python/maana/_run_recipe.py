"""The recipe of a run: its data, written to files where they have none, and its evaluations."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ._datasets import LABELS, columns_of, is_path, is_several, write

__all__ = ["RunData", "by_set", "dev_loss_sets"]


class RunData:
    """The training data of a run.

    Args:
        dataset: A data set, or a dictionary of several by name.
        folder: Folder of the files of data sets without one.

    Attributes:
        several: Whether there are several data sets.
        has_labels: Whether a data set has a column of labels.
        tables: Fields ``train`` and ``columns`` of the recipe by data set.
    """

    def __init__(self, dataset: Any, folder: str) -> None:
        self.several = is_several(dataset)
        self.has_labels = False
        self.tables: dict[str, dict[str, Any]] = {}
        for name, each in (dict(dataset) if self.several else {"train": dataset}).items():
            path, columns = file_of(folder, name, each)
            self.has_labels |= any(column in columns for column in LABELS)
            self.tables[name] = {"train": [path], **({"columns": columns} if columns else {})}

    def table(self, losses: dict[str, Any], sampler: str | None, **settings: Any) -> dict[str, Any]:
        """Return the table `[data]`, with the loss of each set where there are several, and settings
        such as ``prompts`` that are given for all columns, by column, or by set."""
        shared: dict[str, Any] = {}
        own: dict[str, dict[str, Any]] = {name: {} for name in self.tables}
        for field, value in settings.items():
            for name, part in by_set(field, value, self.tables if self.several else None).items():
                target = shared if name is None else own[name]
                target[field] = part
        if not self.several:
            return {**next(iter(self.tables.values())), **shared}
        sets = [{"name": name, **table, "loss": losses[name].table, **own[name]} for name, table in self.tables.items()]
        return {"sets": sets, "sampler": sampler or "proportional", **shared}


def by_set(field: str, value: Any, sets: Mapping[str, Any] | None) -> dict[str | None, Any]:
    """Return an argument of the trainer by data set, or under ``None`` if it is that of all columns.

    The argument is a value for all columns, a dictionary by column, or, with several data sets, a
    dictionary by set of one of them. A text with a dictionary as JSON is read.

    Raises:
        ValueError: If a name is that of no data set, while others are.
    """
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = json.loads(value)
    if value is None or value == {}:
        return {}
    if not isinstance(value, Mapping):
        return {None: value}
    named = [name for name in value if sets is not None and name in sets]
    if not named:
        if any(isinstance(each, Mapping) for each in value.values()):
            known = f"the data sets are {list(sets)}" if sets else "there is one data set, which has no name"
            raise ValueError(f"{field} is given by data set ({list(value)}), but {known}")
        return {None: dict(value)}
    if others := sorted(set(value) - set(named)):
        raise ValueError(f"{field} names {others}, but the data sets are {list(sets or {})}")
    return {name: dict(part) if isinstance(part, Mapping) else part for name, part in value.items()}


def dev_loss_sets(dataset: Any, folder: str) -> list[dict[str, Any]]:
    """Return the evaluation sets of the dev loss. That of a single data set has no name, so that its
    measure is ``loss``, as in the reference."""
    sets: list[dict[str, Any]] = []
    several = is_several(dataset)
    for name, each in (dataset if several else {"": dataset}).items():
        path, columns = file_of(folder, f"{name or 'train'}.dev", each)
        sets.append({"name": name, "kind": "loss", "files": [path], **({"columns": columns} if columns else {})})
    return sets


def file_of(folder: str, name: str, dataset: Any) -> tuple[str, list[str]]:
    """Return the path and the columns of a data set, which is written if it has no file."""
    if is_path(dataset):
        return os.path.abspath(os.fspath(dataset)), []
    columns = columns_of(dataset, name)
    path = os.path.abspath(os.path.join(folder, f"{name}.jsonl"))
    write(path, columns)
    return path, list(columns)
