"""`SentenceEvaluator`, the base class of evaluators, and the CSV files of some."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Sequence
from typing import Any

from ..model import SentenceTransformer


class SentenceEvaluator:
    """Measures a model. Call it with the model.

    Attributes:
        name: Beginning of the names of the measures.
        truncate_dim: Number of leading columns of embeddings to measure with.
        primary_metric: Name of the measure that stands for the others, once measured.
        greater_is_better: Whether a greater value of it is better.

    A class of your own has a method ``__call__(model, output_path=None, epoch=-1, steps=-1)`` that
    returns a number or a dictionary of numbers.
    """

    greater_is_better = True

    #: Kind of the evaluation set in recipes.
    kind = ""

    def __init__(self, name: str = "", truncate_dim: int | None = None) -> None:
        self.name = name
        self.truncate_dim = truncate_dim
        self.primary_metric: str | None = None

    def write(self, folder: str) -> str:
        """Write the texts below a folder, and return the path of the set."""
        raise NotImplementedError

    def prompts(self, model: SentenceTransformer) -> tuple[str, str]:
        """Return the prompts in front of queries and of documents."""
        return model.prompt_of("query"), model.prompt_of("document")

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the measures of a model by their names."""
        dimension = self.truncate_dim or model.get_embedding_dimension()
        with tempfile.TemporaryDirectory() as folder:
            path = self.write(folder)
            query, document = self.prompts(model)
            values, primary = model.native.evaluate(self.kind, path, dimension, query, document)
        prefix = f"{self.name}_" if self.name else ""
        self.primary_metric = prefix + primary
        return {prefix + name: value for name, value in json.loads(values).items()}


def append_row(folder: str, file_name: str, headers: Sequence[str], row: Sequence[Any]) -> None:
    """Append a row to a CSV file, which begins with its headers."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, file_name)
    is_new = not os.path.isfile(path)
    with open(path, "a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([headers, row] if is_new else [row])
