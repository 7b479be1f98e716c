"""`CrossEncoderClassificationEvaluator`: scores as a classifier of pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ... import _maana
from ...readers import texts_and_labels
from ..model import CrossEncoder
from ._pair_evaluator import PairEvaluator


class CrossEncoderClassificationEvaluator(PairEvaluator):
    """Scores as a classifier of pairs.

    The measures of a model with one label are accuracy, F1, precision, recall and average precision,
    those of a model with several labels macro, micro and weighted F1.

    Args:
        sentence_pairs: Pairs of texts.
        labels: The label of each pair: 0 or 1, or the number of a class.
        name: Beginning of the names of the measures.
        prompt_name: Name of the prompt in front of the first text of each pair.
        batch_size: Ignored.
        show_progress_bar: Show progress by ``tqdm``.
        write_csv: Append the measures to a CSV file, if the evaluator is called with a folder.

    Raises:
        ValueError: If there are not as many labels as pairs, or a label is none of the model's.
    """

    kind = "classification"

    def __init__(
        self,
        sentence_pairs: Sequence[Sequence[str]],
        labels: Sequence[int],
        *,
        name: str = "",
        prompt_name: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        write_csv: bool = True,
        **kwargs: Any,
    ) -> None:
        if len(sentence_pairs) != len(labels):
            raise ValueError("sentence_pairs and labels must have the same length")
        super().__init__(name, prompt_name, batch_size, show_progress_bar, write_csv)
        self.sentence_pairs, self.labels = sentence_pairs, np.asarray(labels)

    @classmethod
    def from_input_examples(cls, examples: Iterable[Any], **kwargs: Any) -> CrossEncoderClassificationEvaluator:
        """Return an evaluator of examples with ``texts`` and ``label``."""
        return cls(*texts_and_labels(examples), **kwargs)

    def __call__(
        self, model: CrossEncoder, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the measures of a model by their names."""
        classes = max(model.num_labels, 2)
        for place, label in enumerate(self.labels.tolist()):
            if label not in range(classes):
                raise ValueError(f"labels[{place}] is {label!r}; expected a number from 0 to {classes - 1}")
        scores = self.scores_of(model, self.sentence_pairs)
        if model.num_labels == 1:
            measures = dict(_maana.measure_binary(scores, [bool(label) for label in self.labels]))
            primary = "average_precision"
        else:
            found = np.argmax(scores, axis=1).tolist()
            measures = dict(_maana.measure_classes(found, [int(label) for label in self.labels]))
            primary = "f1_macro"
        return self.finish(measures, primary, _headers(measures), output_path, epoch, steps)


def _headers(measures: Iterable[str]) -> dict[str, str]:
    """Return the columns of measures of a classifier: ``f1_macro`` is ``Macro_F1``."""
    macro = {"f1_macro": "Macro_F1", "f1_micro": "Micro_F1", "f1_weighted": "Weighted_F1"}
    return {name: macro.get(name, "_".join(part.capitalize() for part in name.split("_"))) for name in measures}
