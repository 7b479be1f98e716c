"""Evaluators with the names and arguments of ``sentence_transformers.evaluation``."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any, Callable, Iterable, Mapping, Sequence

from . import _maana
from ._datasets import write
from .model import SentenceTransformer
from .similarity import SimilarityFunction

__all__ = [
    "BinaryClassificationEvaluator",
    "EmbeddingSimilarityEvaluator",
    "InformationRetrievalEvaluator",
    "RerankingEvaluator",
    "SentenceEvaluator",
    "SequentialEvaluator",
    "SimilarityFunction",
    "TranslationEvaluator",
    "TripletEvaluator",
]


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

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the measures of a model by their names."""
        dimension = self.truncate_dim or model.get_embedding_dimension()
        with tempfile.TemporaryDirectory() as folder:
            path = self.write(folder)
            query, document = model.prompt_of("query"), model.prompt_of("document")
            values, primary = model.native.evaluate(self.kind, path, dimension, query, document)
        prefix = f"{self.name}_" if self.name else ""
        self.primary_metric = prefix + primary
        return {prefix + name: value for name, value in json.loads(values).items()}


class _Pairs(SentenceEvaluator):
    """An evaluator of rows of texts with the same number of columns."""

    columns: tuple[str, ...] = ()

    def __init__(self, rows: Sequence[Sequence[Any]], name: str = "", truncate_dim: int | None = None) -> None:
        super().__init__(name, truncate_dim)
        lengths = {len(values) for values in rows}
        if len(lengths) > 1:
            raise ValueError(f"{', '.join(self.columns)} have different lengths: {sorted(lengths)}")
        self.rows = rows

    def write(self, folder: str) -> str:
        path = os.path.join(folder, f"{self.name or self.kind}.jsonl")
        write(path, dict(zip(self.columns, self.rows)))
        return path


class EmbeddingSimilarityEvaluator(_Pairs):
    """Correlation of similarities with scores (STS)."""

    kind, columns = "similarity", ("sentence1", "sentence2", "score")

    def __init__(
        self,
        sentences1: Sequence[str],
        sentences2: Sequence[str],
        scores: Sequence[float],
        batch_size: int = 16,
        main_similarity: Any = None,
        similarity_fn_names: Any = None,
        name: str = "",
        show_progress_bar: bool = False,
        write_csv: bool = True,
        precision: Any = None,
        truncate_dim: int | None = None,
    ) -> None:
        super().__init__((sentences1, sentences2, list(map(float, scores))), name, truncate_dim)


class BinaryClassificationEvaluator(_Pairs):
    """Accuracy, F1 and average precision of similarities as a classifier of pairs."""

    kind, columns = "binary", ("sentence1", "sentence2", "label")

    def __init__(
        self,
        sentences1: Sequence[str],
        sentences2: Sequence[str],
        labels: Sequence[int],
        name: str = "",
        batch_size: int = 32,
        show_progress_bar: bool = False,
        write_csv: bool = True,
        truncate_dim: int | None = None,
        similarity_fn_names: Any = None,
    ) -> None:
        super().__init__((sentences1, sentences2, list(map(int, labels))), name, truncate_dim)


class TripletEvaluator(_Pairs):
    """Share of triplets whose anchor is nearer to the positive than to the negative."""

    kind, columns = "triplet", ("anchor", "positive", "negative")

    def __init__(
        self,
        anchors: Sequence[str],
        positives: Sequence[str],
        negatives: Sequence[str],
        name: str = "",
        truncate_dim: int | None = None,
        **ignored: Any,
    ) -> None:
        super().__init__((anchors, positives, negatives), name, truncate_dim)


class TranslationEvaluator(_Pairs):
    """Share of texts whose nearest target is their own, in both directions."""

    kind, columns = "translation", ("source", "target")

    def __init__(
        self,
        source_sentences: Sequence[str],
        target_sentences: Sequence[str],
        name: str = "",
        truncate_dim: int | None = None,
        **ignored: Any,
    ) -> None:
        super().__init__((source_sentences, target_sentences), name, truncate_dim)


class RerankingEvaluator(SentenceEvaluator):
    """Order of relevant and other documents of each query.

    Args:
        samples: Dictionaries with ``query``, ``positive`` and ``negative``.
    """

    kind = "reranking"

    def __init__(
        self,
        samples: Iterable[Mapping[str, Any]],
        at_k: int = 10,
        name: str = "",
        truncate_dim: int | None = None,
        **ignored: Any,
    ) -> None:
        super().__init__(name, truncate_dim)
        if at_k != 10:
            raise NotImplementedError(f"at_k is {at_k}; measures are at 10")
        self.samples = list(samples)

    def write(self, folder: str) -> str:
        path = os.path.join(folder, f"{self.name or self.kind}.jsonl")
        write(path, {key: [sample[key] for sample in self.samples] for key in ("query", "positive", "negative")})
        return path


class InformationRetrievalEvaluator(SentenceEvaluator):
    """Retrieval: the sixteen measures of the model card, and more.

    Args:
        queries: Texts by id.
        corpus: Texts by id.
        relevant_docs: For each query the ids of its relevant documents.
    """

    kind = "retrieval"

    def __init__(
        self,
        queries: Mapping[str, str],
        corpus: Mapping[str, str],
        relevant_docs: Mapping[str, Iterable[str]],
        corpus_chunk_size: int = 50000,
        mrr_at_k: Sequence[int] = (10,),
        ndcg_at_k: Sequence[int] = (10,),
        accuracy_at_k: Sequence[int] = (1, 3, 5, 10),
        precision_recall_at_k: Sequence[int] = (1, 3, 5, 10),
        map_at_k: Sequence[int] = (100,),
        show_progress_bar: bool = False,
        batch_size: int = 32,
        name: str = "",
        write_csv: bool = True,
        truncate_dim: int | None = None,
        **ignored: Any,
    ) -> None:
        super().__init__(name, truncate_dim)
        given = {"mrr_at_k": mrr_at_k, "ndcg_at_k": ndcg_at_k, "map_at_k": map_at_k}
        given |= {"accuracy_at_k": accuracy_at_k, "precision_recall_at_k": precision_recall_at_k}
        usual = {"mrr_at_k": [10], "ndcg_at_k": [10], "map_at_k": [100]}
        for key, values in given.items():
            if list(values) != usual.get(key, [1, 3, 5, 10]):
                raise NotImplementedError(f"{key} is {list(values)}; expected {usual.get(key, [1, 3, 5, 10])}")
        self.queries, self.corpus = dict(queries), dict(corpus)
        self.relevant_docs = {query: set(documents) for query, documents in relevant_docs.items()}

    def write(self, folder: str) -> str:
        path = os.path.join(folder, self.name or self.kind)
        os.makedirs(path, exist_ok=True)
        for name, texts in (("queries", self.queries), ("corpus", self.corpus)):
            write(os.path.join(path, f"{name}.jsonl"), {"_id": map(str, texts), "text": texts.values()})
        pairs = [(query, document) for query, found in self.relevant_docs.items() for document in sorted(map(str, found))]
        lines = ["query-id\tcorpus-id\tscore", *(f"{query}\t{document}\t1" for query, document in pairs)]
        _maana.write_lines(os.path.join(path, "qrels.tsv"), lines)
        return path


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
