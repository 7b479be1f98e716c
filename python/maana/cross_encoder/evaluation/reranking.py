"""`CrossEncoderRerankingEvaluator`: order of the documents of each query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from ... import _maana
from ..model import CrossEncoder
from ._pair_evaluator import PairEvaluator


class CrossEncoderRerankingEvaluator(PairEvaluator):
    """Order of the documents of each query.

    Args:
        samples: Dictionaries with ``query``, ``positive`` (a text or several) and either ``negative``, or
            ``documents`` in the order of a first search, whose measures are returned too.
        at_k: Number of documents up to which MRR and nDCG count.
        always_rerank_positives: Score positives that are not in ``documents`` as well.
        name: Beginning of the names of the measures.
        prompt_name: Name of the prompt in front of each query.
        batch_size: Ignored.
        show_progress_bar: Show progress by ``tqdm``.
        write_csv: Append the measures to a CSV file, if the evaluator is called with a folder.
        mrr_at_k: Older name of ``at_k``.

    Raises:
        ValueError: If a sample lacks a field, or the model has several labels.
    """

    kind = "reranking"

    def __init__(
        self,
        samples: Sequence[Mapping[str, Any]] | Mapping[Any, Mapping[str, Any]],
        at_k: int = 10,
        always_rerank_positives: bool = True,
        name: str = "",
        prompt_name: str | None = None,
        batch_size: int = 64,
        show_progress_bar: bool = False,
        write_csv: bool = True,
        mrr_at_k: int | None = None,
    ) -> None:
        self.at_k = at_k if mrr_at_k is None else mrr_at_k
        super().__init__(name, prompt_name, batch_size, show_progress_bar, write_csv)
        self.samples = list(samples.values() if isinstance(samples, Mapping) else samples)
        self.always_rerank_positives = always_rerank_positives
        self.primary_metric = f"ndcg@{self.at_k}"

    def suffix(self) -> str:
        return f"_@{self.at_k}"

    def __call__(
        self, model: CrossEncoder, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the measures of a model by their names."""
        if model.num_labels != 1:
            raise ValueError(f"the model has {model.num_labels} labels; reranking needs a model with one")
        before, pairs, flags = [], [], []
        for sample in self.samples:
            query, positive, documents = _fields(sample)
            if "documents" in sample:
                before.append(_first_order(positive, documents))
            documents, relevant = self._candidates(positive, documents, "documents" in sample)
            pairs += [(query, text) for text in documents]
            flags.append(relevant)
        scores = iter(self.scores_of(model, pairs).tolist() if pairs else [])
        lists = [(list(islice(scores, len(relevant))), relevant) for relevant in flags]
        measures = dict(_maana.measure_reranking(lists, self.at_k))
        headers = dict(zip(measures, ("MAP", f"MRR@{self.at_k}", f"NDCG@{self.at_k}")))
        if before:
            found = _maana.measure_reranking(before, self.at_k)
            measures |= {f"base_{measure}": value for measure, value in found}
        return self.finish(measures, f"ndcg@{self.at_k}", headers, output_path, epoch, steps)

    def _candidates(self, positive: list[str], documents: list[str], found: bool) -> tuple[list[str], list[bool]]:
        """Return the texts to score for a query, and which of them are relevant; none if none is."""
        if not found:
            return positive + documents, [True] * len(positive) + [False] * len(documents)
        if self.always_rerank_positives:
            documents = positive + [text for text in documents if text not in positive]
        relevant = [text in positive for text in documents]
        # A query without a relevant document counts with 0, whatever its scores.
        return (documents, relevant) if any(relevant) else ([], [])


def _fields(sample: Mapping[str, Any]) -> tuple[str, list[str], list[str]]:
    """Return the query, the positives, and the documents or the negatives of a sample.

    Raises:
        ValueError: If one of them is missing.
    """
    for key in ("query", "positive"):
        if key not in sample:
            raise ValueError(f"CrossEncoderRerankingEvaluator requires a '{key}' key in each sample.")
    if ("negative" in sample) == ("documents" in sample):
        raise ValueError(
            "CrossEncoderRerankingEvaluator requires exactly one of 'negative' and 'documents' in each sample."
        )
    positive, others = sample["positive"], sample["negative" if "negative" in sample else "documents"]
    return sample["query"], [positive] if isinstance(positive, str) else list(positive), list(others)


def _first_order(positive: list[str], documents: list[str]) -> tuple[list[float], list[bool]]:
    """Return scores that keep the order of documents, behind which are the positives that it lacks."""
    relevant = [text in positive for text in documents]
    if any(relevant):
        relevant += [True] * (len(positive) - sum(relevant))
    return [float(len(relevant) - place) for place in range(len(relevant))], relevant
