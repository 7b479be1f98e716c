"""`SequentialEvaluator`: several evaluators, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ..model import SentenceTransformer
from .evaluator import SentenceEvaluator


class SequentialEvaluator(SentenceEvaluator):
    """Several evaluators, one after the other.

    Args:
        evaluators: The evaluators, also those of other packages and functions of the model.
        main_score_function: Function of the list of their primary measures, whose value is the
            measure ``sequential_score``. Default: the last of them.
    """

    def __init__(
        self, evaluators: Iterable[Any], main_score_function: Callable[[list[float]], float] | None = None
    ) -> None:
        super().__init__()
        self.evaluators = list(evaluators)
        self.main_score_function = main_score_function
        self.primary_metric = "sequential_score"

    def main_score(self, scores: list[float]) -> float:
        """Return the measure ``sequential_score`` of primary measures."""
        if not scores:
            return 0.0
        return float(scores[-1] if self.main_score_function is None else self.main_score_function(scores))

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        measures: dict[str, float] = {}
        scores: list[float] = []
        for number, evaluator in enumerate(self.evaluators):
            found = evaluator(model, output_path, epoch, steps)
            found = found if isinstance(found, Mapping) else {f"evaluator_{number}": found}
            primary = getattr(evaluator, "primary_metric", None) or next(iter(found), None)
            scores += [found[primary]] if primary is not None else []
            measures |= found
        return {**measures, "sequential_score": self.main_score(scores)}
