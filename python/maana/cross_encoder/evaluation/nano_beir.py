"""`CrossEncoderNanoBEIREvaluator`: small sets of the hub, whose first documents by BM25 are reranked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import numpy as np

from ...evaluation.evaluator import SentenceEvaluator, append_row
from ...evaluation.nano_beir import NAMES, check_names, load_subset, retrieval_set
from ..model import CrossEncoder
from .reranking import CrossEncoderRerankingEvaluator


class CrossEncoderNanoBEIREvaluator(SentenceEvaluator):
    """The measures of `CrossEncoderRerankingEvaluator` for sets of NanoBEIR, and their means.

    The sets are fetched from the hub by ``datasets``, which has to be installed.

    Args:
        dataset_names: Names of sets, such as ``msmarco``. Default: all but ``arguana`` and
            ``touche2020``, whose task is another one.
        dataset_id: Name on the hub, with the subsets ``corpus``, ``queries``, ``qrels`` and ``bm25``.
        rerank_k: Number of documents of each query to rerank.
        aggregate_fn: Function of the list of a measure of all sets.
        aggregate_key: Its name in the names of the measures.

    The other arguments are those of `CrossEncoderRerankingEvaluator`.

    Raises:
        ValueError: If a set is unknown or cannot be loaded, or the model has several labels.
    """

    def __init__(
        self,
        dataset_names: Sequence[str] | None = None,
        dataset_id: str = "sentence-transformers/NanoBEIR-en",
        rerank_k: int = 100,
        at_k: int = 10,
        always_rerank_positives: bool = True,
        prompt_name: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool = False,
        write_csv: bool = True,
        aggregate_fn: Callable[[list[float]], float] = np.mean,
        aggregate_key: str = "mean",
    ) -> None:
        super().__init__(f"NanoBEIR_R{rerank_k}_{aggregate_key}")
        self.dataset_names = check_names(dataset_names, [name for name in NAMES if name not in ("arguana", "touche2020")])
        self.dataset_id, self.rerank_k, self.at_k = dataset_id, rerank_k, at_k
        self.aggregate_fn, self.write_csv = aggregate_fn, write_csv
        self.csv_file = f"NanoBEIR_evaluation_{aggregate_key}_results.csv"
        self.csv_headers = ["epoch", "steps", "MAP", f"MRR@{at_k}", f"NDCG@{at_k}"]
        self.primary_metric = f"ndcg@{at_k}"
        options = (prompt_name, batch_size, show_progress_bar, write_csv)
        self.evaluators = [
            CrossEncoderRerankingEvaluator(
                self._samples(name), at_k, always_rerank_positives, f"Nano{NAMES[name.lower()]}_R{rerank_k}", *options
            )
            for name in self.dataset_names
        ]

    def __call__(
        self, model: CrossEncoder, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the measures of a model by their names."""
        found: dict[str, float] = {}
        by_measure: dict[str, list[float]] = {}
        for evaluator in self.evaluators:
            measures = evaluator(model, output_path, epoch, steps)
            found |= measures
            for name, value in measures.items():
                by_measure.setdefault(name.removeprefix(f"{evaluator.name}_"), []).append(value)
        means = {name: float(self.aggregate_fn(values)) for name, values in by_measure.items()}
        if output_path is not None and self.write_csv:
            columns = ("map", f"mrr@{self.at_k}", f"ndcg@{self.at_k}")
            append_row(output_path, self.csv_file, self.csv_headers, [epoch, steps, *map(means.get, columns)])
        self.primary_metric = f"{self.name}_ndcg@{self.at_k}"
        return found | {f"{self.name}_{name}": value for name, value in means.items()}

    def _samples(self, name: str) -> list[dict[str, Any]]:
        """Return the queries of a set with their positives and their first documents."""
        queries, corpus, relevant = retrieval_set(self.dataset_id, name)
        return [
            {
                "query": queries[row["query-id"]],
                "positive": [corpus[document] for document in sorted(relevant[row["query-id"]])],
                "documents": [corpus[document] for document in row["corpus-ids"][: self.rerank_k]],
            }
            for row in load_subset(self.dataset_id, "bm25", name, ("query-id", "corpus-ids"))
        ]
