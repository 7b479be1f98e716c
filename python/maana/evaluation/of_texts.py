"""Evaluators of texts, which the engine measures: similarity, triplets, retrieval and others."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .. import _maana
from .._datasets import write
from ..model import SentenceTransformer
from ..models._module import refuse_others
from ..similarity import SimilarityFunction
from .evaluator import SentenceEvaluator


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
        query_prompt: Prompt in front of queries. Default: that of the model.
        query_prompt_name: Its name.
        corpus_prompt: Prompt in front of documents. Default: that of the model.
        corpus_prompt_name: Its name.
        score_functions: Names of similarities, which may name that of the model only.
        main_score_function: The same.

    Raises:
        NotImplementedError: For other numbers of documents, similarities and predictions.
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
        score_functions: Mapping[str, Any] | None = None,
        main_score_function: str | SimilarityFunction | None = None,
        query_prompt: str | None = None,
        query_prompt_name: str | None = None,
        corpus_prompt: str | None = None,
        corpus_prompt_name: str | None = None,
        write_predictions: bool = False,
    ) -> None:
        super().__init__(name, truncate_dim)
        refuse_others({"write_predictions": write_predictions}, {"write_predictions": False})
        self.similarities = list(score_functions or ())
        if main_score_function is not None:
            self.similarities.append(SimilarityFunction(main_score_function).value)
        self.query_prompt, self.query_prompt_name = query_prompt, query_prompt_name
        self.corpus_prompt, self.corpus_prompt_name = corpus_prompt, corpus_prompt_name
        given = {"mrr_at_k": mrr_at_k, "ndcg_at_k": ndcg_at_k, "map_at_k": map_at_k}
        given |= {"accuracy_at_k": accuracy_at_k, "precision_recall_at_k": precision_recall_at_k}
        usual = {"mrr_at_k": [10], "ndcg_at_k": [10], "map_at_k": [100]}
        for key, values in given.items():
            if list(values) != usual.get(key, [1, 3, 5, 10]):
                raise NotImplementedError(f"{key} is {list(values)}; expected {usual.get(key, [1, 3, 5, 10])}")
        self.queries, self.corpus = dict(queries), dict(corpus)
        self.relevant_docs = {query: set(documents) for query, documents in relevant_docs.items()}

    def prompts(self, model: SentenceTransformer) -> tuple[str, str]:
        if others := sorted(set(self.similarities) - {model.similarity_fn_name}):
            raise NotImplementedError(
                f"the similarity {others[0]!r} is not that of the model, {model.similarity_fn_name!r}; omit "
                "score_functions and main_score_function, or set similarity_fn_name of the model"
            )
        query = model.prompts[self.query_prompt_name] if self.query_prompt_name else self.query_prompt
        corpus = model.prompts[self.corpus_prompt_name] if self.corpus_prompt_name else self.corpus_prompt
        return (
            model.prompt_of("query") if query is None else query,
            model.prompt_of("document") if corpus is None else corpus,
        )

    def write(self, folder: str) -> str:
        path = os.path.join(folder, self.name or self.kind)
        os.makedirs(path, exist_ok=True)
        for name, texts in (("queries", self.queries), ("corpus", self.corpus)):
            write(os.path.join(path, f"{name}.jsonl"), {"_id": map(str, texts), "text": texts.values()})
        pairs = [(query, document) for query, found in self.relevant_docs.items() for document in sorted(map(str, found))]
        lines = ["query-id\tcorpus-id\tscore", *(f"{query}\t{document}\t1" for query, document in pairs)]
        _maana.write_lines(os.path.join(path, "qrels.tsv"), lines)
        return path
