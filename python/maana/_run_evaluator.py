"""The evaluators of a trainer, called during its run."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from .evaluation import SentenceEvaluator, SequentialEvaluator

#: Kind, name, dimension, measures and the name of the primary one, of one evaluation.
Measured = tuple[str, str, int, list[tuple[str, float]], str]

logger = logging.getLogger(__name__)

#: Prefix that the log puts in front of the names of measures.
_PREFIX = "eval_"


class RunEvaluator:
    """Calls evaluators on a model as it is at a moment of its run.

    Args:
        evaluator: An evaluator of this package or of another, a function of the model, or a list of
            them: anything that is called with ``(model, output_path, epoch, steps)`` and returns a
            number or a dictionary of numbers.
        model: The model, whose weights are those of the moment while an evaluator runs.
        output_path: Folder that evaluators receive for their files.

    Raises:
        TypeError: If an evaluator cannot be called.
    """

    def __init__(self, evaluator: Any, model: Any, output_path: str) -> None:
        several = isinstance(evaluator, (list, tuple))
        self.evaluator = SequentialEvaluator(evaluator) if several else evaluator
        self.model, self.output_path = model, output_path
        for each in _flat(self.evaluator):
            if not callable(each):
                raise TypeError(f"an evaluator is of type {type(each).__name__}; expected a function of the model")

    def names(self) -> list[str]:
        """Return the names of the evaluators."""
        return [getattr(each, "__name__", type(each).__name__) for each in _flat(self.evaluator)]

    def __call__(self, native: Any, step: int, epoch: float) -> list[Measured]:
        """Return the measures of a native model after a number of updates and of epochs."""
        os.makedirs(self.output_path, exist_ok=True)
        before, self.model.native = self.model.native, native
        try:
            return _in_one(_distinct(self._measure(self.evaluator, epoch, step, "evaluator")))
        finally:
            self.model.native = before

    def _measure(self, evaluator: Any, epoch: float, step: int, name: str) -> list[Measured]:
        if type(evaluator) is SequentialEvaluator:
            parts = [
                self._measure(each, epoch, step, f"evaluator_{number}")
                for number, each in enumerate(evaluator.evaluators)
            ]
            score = evaluator.main_score([primary(part) for part in parts if part])
            own = ("own", "", self._dimension(None), [("sequential_score", score)], "sequential_score")
            return [*(measured for part in parts for measured in part), own]
        result = evaluator(self.model, self.output_path, epoch, step)
        return [self._measured(evaluator, result, name)]

    def _measured(self, evaluator: Any, result: Any, name: str) -> Measured:
        measures = dict(result) if isinstance(result, Mapping) else {name: result}
        values = [(key.removeprefix(_PREFIX), _number(evaluator, key, value)) for key, value in measures.items()]
        if not values:
            raise ValueError(f"{_name(evaluator)} returned an empty dictionary; expected at least one measure")
        best = (getattr(evaluator, "primary_metric", None) or "").removeprefix(_PREFIX)
        best = best if best in dict(values) else values[0][0]
        kind, prefix = "own", ""
        if isinstance(evaluator, SentenceEvaluator) and evaluator.kind:
            kind, prefix = evaluator.kind, f"{evaluator.name}_" if evaluator.name else ""
        if not all(key.startswith(prefix) for key, _ in values):
            kind, prefix = "own", ""
        values = [(key.removeprefix(prefix), value) for key, value in values]
        dimension = self._dimension(getattr(evaluator, "truncate_dim", None))
        return kind, prefix.removesuffix("_"), dimension, values, best.removeprefix(prefix)

    def _dimension(self, truncate_dim: int | None) -> int:
        """Return the number of columns of the embeddings that are measured; 0 for scores of pairs."""
        if not hasattr(self.model, "get_embedding_dimension"):
            return 0
        return truncate_dim or self.model.get_embedding_dimension()


def primary(measured: list[Measured]) -> float:
    """Return the primary measure of the last of several evaluations."""
    *_, values, best = measured[-1]
    return dict(values)[best]


def as_dict(measured: list[Measured]) -> dict[str, float]:
    """Return the measures by their names."""
    return {f"{name}_{key}" if name else key: value for _, name, _, values, _ in measured for key, value in values}


def _distinct(measured: list[Measured]) -> list[Measured]:
    """Return the measures without those that a later one of the same name replaces."""
    seen: set[str] = set()
    kept: list[Measured] = []
    for kind, name, dimension, values, best in reversed(measured):
        keys = {key: f"{name}_{key}" if name else key for key, _ in values}
        if twice := sorted(seen.intersection(keys.values())):
            logger.warning("Two evaluators measure %s; the later one counts. Give them different names.", twice[0])
        values = [(key, value) for key, value in values if keys[key] not in seen]
        seen.update(keys.values())
        if values:
            kept.append((kind, name, dimension, values, best if best in dict(values) else values[0][0]))
    return kept[::-1]


def _in_one(measured: list[Measured]) -> list[Measured]:
    """Return the measures with those of no known kind as one evaluation at the end, which is one table
    of the model card."""
    own = [each for each in measured if each[0] == "own"]
    if not own:
        return measured
    values = [value for _, _, _, values, _ in own for value in values]
    return [*(each for each in measured if each[0] != "own"), (*own[-1][:3], values, own[-1][4])]


def _number(evaluator: Any, key: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        found = f"{key} = {value!r:.60}"
        raise ValueError(f"{_name(evaluator)} returned {found}; expected a number, or a dictionary of numbers") from None


def _name(evaluator: Any) -> str:
    return getattr(evaluator, "__name__", type(evaluator).__name__)


def _flat(evaluator: Any) -> list[Any]:
    """Return evaluators without nesting."""
    if type(evaluator) is not SequentialEvaluator:
        return [evaluator]
    return [each for one in evaluator.evaluators for each in _flat(one)]
