"""`NanoBEIREvaluator`: small retrieval sets of the hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..model import SentenceTransformer
from .evaluator import SentenceEvaluator
from .of_texts import InformationRetrievalEvaluator

#: Names of the sets in arguments, and in splits and measures.
NAMES = {
    "climatefever": "ClimateFEVER",
    "dbpedia": "DBPedia",
    "fever": "FEVER",
    "fiqa2018": "FiQA2018",
    "hotpotqa": "HotpotQA",
    "msmarco": "MSMARCO",
    "nfcorpus": "NFCorpus",
    "nq": "NQ",
    "quoraretrieval": "QuoraRetrieval",
    "scidocs": "SCIDOCS",
    "arguana": "ArguAna",
    "scifact": "SciFact",
    "touche2020": "Touche2020",
}


class NanoBEIREvaluator(SentenceEvaluator):
    """The measures of `InformationRetrievalEvaluator` for each set of NanoBEIR, and their means.

    The sets are fetched from the hub by ``datasets``, which has to be installed.

    Args:
        dataset_names: Names of sets, such as ``msmarco``. Default: all thirteen.
        dataset_id: Name on the hub, with the subsets ``corpus``, ``queries`` and ``qrels``.
        truncate_dim: Number of leading columns of embeddings to measure with.
        aggregate_fn: Function of the list of a measure of all sets.
        aggregate_key: Its name in the names of the measures.
        query_prompts: Prompt in front of queries, or a dictionary by set.
        corpus_prompts: Prompt in front of documents, or a dictionary by set.

    The other arguments are those of `InformationRetrievalEvaluator`.

    Raises:
        ValueError: If a set is unknown, cannot be loaded, or has no prompt in a dictionary.
    """

    def __init__(
        self,
        dataset_names: Sequence[str] | None = None,
        dataset_id: str = "sentence-transformers/NanoBEIR-en",
        mrr_at_k: Sequence[int] = (10,),
        ndcg_at_k: Sequence[int] = (10,),
        accuracy_at_k: Sequence[int] = (1, 3, 5, 10),
        precision_recall_at_k: Sequence[int] = (1, 3, 5, 10),
        map_at_k: Sequence[int] = (100,),
        show_progress_bar: bool = False,
        batch_size: int = 32,
        write_csv: bool = True,
        truncate_dim: int | None = None,
        score_functions: Mapping[str, Callable[[Any, Any], Any]] | None = None,
        main_score_function: Any = None,
        aggregate_fn: Callable[[list[float]], float] = np.mean,
        aggregate_key: str = "mean",
        query_prompts: str | Mapping[str, str] | None = None,
        corpus_prompts: str | Mapping[str, str] | None = None,
        write_predictions: bool = False,
    ) -> None:
        super().__init__(f"NanoBEIR_{aggregate_key}{f'_{truncate_dim}' if truncate_dim else ''}", truncate_dim)
        self.dataset_names, self.dataset_id = check_names(dataset_names, list(NAMES)), dataset_id
        self.aggregate_fn = aggregate_fn
        prompts = {
            "query_prompt": self._by_set("query", query_prompts),
            "corpus_prompt": self._by_set("corpus", corpus_prompts),
        }
        options = {
            "mrr_at_k": mrr_at_k,
            "ndcg_at_k": ndcg_at_k,
            "accuracy_at_k": accuracy_at_k,
            "precision_recall_at_k": precision_recall_at_k,
            "map_at_k": map_at_k,
            "truncate_dim": truncate_dim,
            "score_functions": score_functions,
            "main_score_function": main_score_function,
            "write_predictions": write_predictions,
        }
        self.evaluators = []
        for name in self.dataset_names:
            queries, corpus, relevant = retrieval_set(dataset_id, name)
            own = {key: value[name] for key, value in prompts.items() if value is not None}
            title = f"Nano{NAMES[name.lower()]}{f'_{truncate_dim}' if truncate_dim else ''}"
            self.evaluators.append(InformationRetrievalEvaluator(queries, corpus, relevant, name=title, **options, **own))

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        found: dict[str, float] = {}
        by_measure: dict[str, list[float]] = {}
        for evaluator in self.evaluators:
            measures = evaluator(model, output_path, epoch, steps)
            found |= measures
            for name, value in measures.items():
                by_measure.setdefault(name.removeprefix(f"{evaluator.name}_"), []).append(value)
            primary = (evaluator.primary_metric or "").removeprefix(f"{evaluator.name}_")
        self.primary_metric = f"{self.name}_{primary}"
        return found | {f"{self.name}_{name}": float(self.aggregate_fn(values)) for name, values in by_measure.items()}

    def _by_set(self, role: str, prompts: str | Mapping[str, str] | None) -> Mapping[str, str] | None:
        """Return the prompts of one role by the name of the set."""
        if prompts is None or isinstance(prompts, str):
            return None if prompts is None else dict.fromkeys(self.dataset_names, prompts)
        if missing := [name for name in self.dataset_names if name not in prompts]:
            raise ValueError(f"The following datasets are missing {role} prompts: {missing}")
        return prompts


def check_names(names: Sequence[str] | None, default: list[str]) -> list[str]:
    """Return the names of sets.

    Raises:
        ValueError: If there is none, or one is unknown.
    """
    found = default if names is None else list(names)
    if not found:
        raise ValueError("dataset_names cannot be empty. Use None to evaluate on all datasets.")
    if unknown := [name for name in found if name.lower() not in NAMES]:
        raise ValueError(f"Dataset(s) {unknown} are not valid NanoBEIR datasets. Valid dataset names are: {list(NAMES)}")
    return found


def retrieval_set(dataset_id: str, name: str) -> tuple[dict[str, str], dict[str, str], dict[str, set[str]]]:
    """Return queries and documents by id, and for each query the ids of its relevant documents."""
    texts = []
    for subset in ("queries", "corpus"):
        rows = load_subset(dataset_id, subset, name, ("_id", "text"))
        texts.append({row["_id"]: row["text"] for row in rows if row["text"]})
    relevant: dict[str, set[str]] = {}
    for row in load_subset(dataset_id, "qrels", name, ("query-id", "corpus-id")):
        ids = row["corpus-id"]
        relevant.setdefault(row["query-id"], set()).update(ids if isinstance(ids, list) else [ids])
    return texts[0], texts[1], relevant


def load_subset(dataset_id: str, subset: str, name: str, columns: Sequence[str]) -> Any:
    """Return a subset of a set as ``datasets.Dataset``.

    Raises:
        ValueError: If it cannot be loaded, or a column is missing.
    """
    split = f"Nano{NAMES[name.lower()]}"
    where = f"subset '{subset}' split '{split}' from dataset '{dataset_id}'"
    try:
        from datasets import load_dataset

        rows = load_dataset(dataset_id, subset, split=split)
    except ImportError as error:
        raise ValueError("the sets of NanoBEIR are fetched by `datasets`, which is not installed") from error
    except Exception as error:
        raise ValueError(f"Could not load {where}: {error}") from error
    if missing := sorted(set(columns) - set(rows.column_names)):
        raise ValueError(f"The {where} is missing required columns: {missing}.")
    return rows
