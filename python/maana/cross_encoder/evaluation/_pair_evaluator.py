"""The base class of evaluators of cross-encoders, and their CSV files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from ...evaluation.evaluator import SentenceEvaluator, append_row
from ..model import CrossEncoder

logger = logging.getLogger("maana")


class PairEvaluator(SentenceEvaluator):
    """An evaluator of the scores of pairs.

    Attributes:
        csv_file: Name of the CSV file.
        csv_headers: Names of its columns, once measured.
    """

    csv_headers: list[str]

    def __init__(
        self, name: str, prompt_name: str | None, batch_size: int, show_progress_bar: bool | None, write_csv: bool
    ) -> None:
        super().__init__(name)
        self.prompt_name, self.batch_size = prompt_name, batch_size
        self.show_progress_bar, self.write_csv = show_progress_bar, write_csv
        self.csv_file = f"{self._class_name()}{'_' + name if name else ''}_results{self.suffix()}.csv"

    @classmethod
    def _class_name(cls) -> str:
        """Return the class that names the CSV file: that of the reference, not of a subclass."""
        return next(base.__name__ for base in reversed(cls.__mro__) if base.__name__.startswith("CrossEncoder"))

    def suffix(self) -> str:
        return ""

    def scores_of(self, model: CrossEncoder, pairs: Sequence[Sequence[str]]) -> np.ndarray:
        return model.predict(
            pairs,
            prompt_name=self.prompt_name,
            batch_size=self.batch_size,
            show_progress_bar=self.show_progress_bar,
        )

    def finish(
        self,
        measures: Mapping[str, float],
        primary: str,
        headers: Mapping[str, str],
        output_path: str | None,
        epoch: int,
        steps: int,
    ) -> dict[str, float]:
        """Write the measures that have a column to the CSV file, and return all of them by name."""
        self.csv_headers = ["epoch", "steps", *headers.values()]
        if output_path is not None and self.write_csv:
            row = [epoch, steps, *(measures[name] for name in headers)]
            append_row(output_path, self.csv_file, self.csv_headers, row)
        prefix = f"{self.name}_" if self.name else ""
        self.primary_metric = prefix + primary
        logger.info("%s: %s", self._class_name(), ", ".join(f"{name} {value:.4f}" for name, value in measures.items()))
        return {prefix + name: float(value) for name, value in measures.items()}
