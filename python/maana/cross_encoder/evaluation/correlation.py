"""`CrossEncoderCorrelationEvaluator`: correlation of scores with expected ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ... import _maana
from ...readers import texts_and_labels
from ..model import CrossEncoder
from ._pair_evaluator import PairEvaluator


class CrossEncoderCorrelationEvaluator(PairEvaluator):
    """Correlation of the scores of pairs with expected ones.

    Args:
        sentence_pairs: Pairs of texts.
        scores: The expected score of each pair.
        name: Beginning of the names of the measures.
        prompt_name: Name of the prompt in front of the first text of each pair.
        batch_size: Ignored.
        show_progress_bar: Show progress by ``tqdm``.
        write_csv: Append the measures to a CSV file, if the evaluator is called with a folder.

    Raises:
        ValueError: If there are not as many scores as pairs, or the model has several labels.
    """

    kind = "similarity"

    def __init__(
        self,
        sentence_pairs: Sequence[Sequence[str]],
        scores: Sequence[float],
        name: str = "",
        prompt_name: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        write_csv: bool = True,
    ) -> None:
        super().__init__(name, prompt_name, batch_size, show_progress_bar, write_csv)
        self.sentence_pairs, self.scores = sentence_pairs, scores
        self.primary_metric = "spearman"

    @classmethod
    def from_input_examples(cls, examples: Iterable[Any], **kwargs: Any) -> CrossEncoderCorrelationEvaluator:
        """Return an evaluator of examples with ``texts`` and ``label``."""
        return cls(*texts_and_labels(examples), **kwargs)

    def __call__(
        self, model: CrossEncoder, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the measures of a model by their names."""
        if model.num_labels != 1:
            raise ValueError(f"the model has {model.num_labels} labels; a correlation needs a model with one")
        scores = self.scores_of(model, self.sentence_pairs)
        measures = dict(_maana.measure_correlation(scores, np.asarray(self.scores, dtype=np.float64)))
        headers = {"pearson": "Pearson_Correlation", "spearman": "Spearman_Correlation"}
        return self.finish(measures, "spearman", headers, output_path, epoch, steps)
