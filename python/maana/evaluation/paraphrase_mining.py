"""`ParaphraseMiningEvaluator`: duplicates that are found by mining."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..model import SentenceTransformer
from ..util import paraphrase_mining
from .evaluator import SentenceEvaluator, append_row

#: Measures in the order of the CSV file.
_MEASURES = ("precision", "recall", "f1", "threshold", "average_precision")


class ParaphraseMiningEvaluator(SentenceEvaluator):
    """F1 and average precision of the pairs that `util.paraphrase_mining` finds.

    Args:
        sentences_map: Texts by id.
        duplicates_list: Pairs of ids of duplicates.
        duplicates_dict: The same as a dictionary, ``{id: {id: True}}``.
        add_transitive_closure: Duplicates of a duplicate are duplicates.
        query_chunk_size: Ignored.
        corpus_chunk_size: Ignored.
        max_pairs: Number of pairs to find.
        top_k: Number of pairs of a text.
        show_progress_bar: Show progress by ``tqdm``.
        batch_size: Ignored.
        name: Beginning of the names of the measures.
        write_csv: Append the measures to a CSV file, if the evaluator is called with a folder.
        truncate_dim: Number of leading columns of embeddings to measure with.
    """

    def __init__(
        self,
        sentences_map: Mapping[Any, str],
        duplicates_list: Iterable[tuple[Any, Any]] | None = None,
        duplicates_dict: Mapping[Any, Mapping[Any, bool]] | None = None,
        add_transitive_closure: bool = False,
        query_chunk_size: int = 5000,
        corpus_chunk_size: int = 100000,
        max_pairs: int = 500000,
        top_k: int = 100,
        show_progress_bar: bool = False,
        batch_size: int = 16,
        name: str = "",
        write_csv: bool = True,
        truncate_dim: int | None = None,
    ) -> None:
        super().__init__(name, truncate_dim)
        self.ids, self.sentences = list(sentences_map), list(sentences_map.values())
        self.max_pairs, self.top_k, self.show_progress_bar = max_pairs, top_k, show_progress_bar
        marked = (
            (first, second) for first, others in (duplicates_dict or {}).items() for second in others if others[second]
        )
        known = [pair for pair in [*marked, *(duplicates_list or ())] if all(each in sentences_map for each in pair)]
        self.duplicates = {frozenset(pair) for pair in (_closed(known) if add_transitive_closure else known)}
        self.write_csv = write_csv
        self.csv_file = f"paraphrase_mining_evaluation{'_' + name if name else ''}_results.csv"
        self.csv_headers = ["epoch", "steps", *_MEASURES]
        self.primary_metric = "average_precision"

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        pairs = paraphrase_mining(
            model,
            self.sentences,
            show_progress_bar=self.show_progress_bar,
            max_pairs=self.max_pairs,
            top_k=self.top_k,
            truncate_dim=self.truncate_dim,
        )
        measures = self._measures(pairs)
        if output_path is not None and self.write_csv:
            append_row(output_path, self.csv_file, self.csv_headers, [epoch, steps, *map(measures.get, _MEASURES)])
        prefix = f"{self.name}_" if self.name else ""
        self.primary_metric = f"{prefix}average_precision"
        order = ("average_precision", "f1", "precision", "recall", "threshold")
        return {f"{prefix}{measure}": measures[measure] for measure in order}

    def _measures(self, pairs: list[Any]) -> dict[str, float]:
        """Return the measures of pairs in descending order; those of equal scores count together."""
        best = dict.fromkeys(_MEASURES, 0.0)
        found = before = 0
        average = 0.0
        for place, (score, first, second) in enumerate(pairs):
            found += frozenset((self.ids[first], self.ids[second])) in self.duplicates
            following = pairs[min(place + 1, len(pairs) - 1)][0]
            if place + 1 < len(pairs) and following == score:
                continue
            if found > before:
                precision, recall = found / (place + 1), found / len(self.duplicates)
                f1 = 2 * precision * recall / (precision + recall)
                average += precision * (found - before)
                if f1 > best["f1"]:
                    best |= {"f1": f1, "precision": precision, "recall": recall, "threshold": (score + following) / 2}
            before = found
        return best | {"average_precision": average / len(self.duplicates) if self.duplicates else 0.0}


def _closed(pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return all pairs within each group of texts that pairs connect."""
    group: dict[Any, list[Any]] = {}
    for first, second in pairs:
        one, other = group.setdefault(first, [first]), group.setdefault(second, [second])
        if one is not other:
            one += other
            group |= dict.fromkeys(other, one)
    groups = {id(members): members for members in group.values()}.values()
    return [(first, second) for members in groups for first in members for second in members if first != second]
