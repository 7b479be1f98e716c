"""`util.mine_hard_negatives`, with the reference's arguments and choices."""

from __future__ import annotations

import hashlib
import logging
import os
import random
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import _maana
from ._datasets import columns_of

if TYPE_CHECKING:
    from .model import SentenceTransformer

logger = logging.getLogger(__name__)

_FORMATS = ("triplet", "n-tuple", "labeled-pair", "labeled-list")


def mine_hard_negatives(
    dataset: Any,
    model: SentenceTransformer,
    anchor_column_name: str | None = None,
    positive_column_name: str | None = None,
    corpus: list[str] | None = None,
    cross_encoder: Any = None,
    range_min: int = 0,
    range_max: int | None = None,
    max_score: float | None = None,
    min_score: float | None = None,
    absolute_margin: float | None = None,
    relative_margin: float | None = None,
    num_negatives: int = 3,
    sampling_strategy: Literal["random", "top"] = "top",
    query_prompt_name: str | None = None,
    query_prompt: str | None = None,
    corpus_prompt_name: str | None = None,
    corpus_prompt: str | None = None,
    include_positives: bool = False,
    output_format: Literal["triplet", "n-tuple", "labeled-pair", "labeled-list"] = "triplet",
    output_scores: bool = False,
    batch_size: int = 32,
    faiss_batch_size: int = 16384,
    use_faiss: bool = False,
    use_multi_process: list[str] | bool = False,
    verbose: bool = True,
    cache_folder: str | None = None,
    as_triplets: bool | None = None,
    margin: float | None = None,
) -> Any:
    """Find hard negatives: texts near to an anchor that do not answer it.

    Args:
        dataset: Pairs of an anchor and its positive: a ``datasets.Dataset``, a table, or a
            dictionary of columns. Rows with the same anchor are positives of one anchor.
        model: The model that embeds the texts.
        anchor_column_name: Column of anchors. Default: the first.
        positive_column_name: Column of positives. Default: the second.
        corpus: Further texts that may be negatives. Default: the positives of other anchors.
        cross_encoder: A `CrossEncoder` whose scores replace those of the model, if there are margins
            or limits.
        range_min: Number of the nearest texts to skip.
        range_max: Number of the nearest texts to consider. Default: one for each negative, or ten with a margin
            or a maximum score.
        max_score: Greatest score of a negative.
        min_score: Least score of a negative.
        absolute_margin: Least difference of the scores of the worst positive and a negative.
        relative_margin: The same, as a share of the positive's score.
        num_negatives: Negatives of an anchor.
        sampling_strategy: ``top`` for the nearest, ``random`` to draw from the range by the state
            of Python's ``random``.
        query_prompt_name: Name of the prompt of anchors.
        query_prompt: The prompt itself.
        corpus_prompt_name: Name of the prompt of other texts.
        corpus_prompt: The prompt itself.
        include_positives: Let positives be among the candidates, for a ranking; in ``n-tuple``.
        output_format: ``triplet``, ``n-tuple``, ``labeled-pair`` or ``labeled-list``.
        output_scores: Return scores, instead of labels where there are labels.
        batch_size: Ignored.
        faiss_batch_size: Ignored.
        use_faiss: Ignored: the search is exact.
        use_multi_process: Ignored: all threads are used already.
        verbose: Log the number of rows.
        cache_folder: Folder of embeddings, read if it has those of the same model and texts.
        as_triplets: Older form of ``output_format``.
        margin: Older name of ``absolute_margin``.

    Returns:
        A ``datasets.Dataset`` if ``dataset`` is one, else a dictionary of columns.

    Raises:
        ValueError: If there are no rows, or the range has no room for the negatives.
    """
    columns = columns_of(dataset, "dataset")
    names = list(columns)
    anchor = anchor_column_name if anchor_column_name in columns else names[0]
    if positive_column_name not in columns and len(names) < 2:
        raise ValueError("Dataset must contain at least two columns to select the positive column automatically.")
    positive = positive_column_name if positive_column_name in columns else names[1]
    if as_triplets is not None:
        output_format = "triplet" if as_triplets else "n-tuple"
    if include_positives and output_format != "n-tuple":
        logger.warning('include_positives=True gives output_format="n-tuple", which keeps the order of the ranking.')
        output_format = "n-tuple"
    if output_format not in _FORMATS:
        raise ValueError(f"Invalid output_format: {output_format}. Must be one of {', '.join(map(repr, _FORMATS))}.")
    if sampling_strategy not in ("top", "random"):
        raise ValueError(f"sampling_strategy is {sampling_strategy!r}; expected top or random")
    if num_negatives < 1:
        raise ValueError(f"num_negatives must be at least 1, got num_negatives={num_negatives}.")
    if range_min < 0:
        raise ValueError(f"range_min must be non-negative, got range_min={range_min}.")
    absolute_margin = margin if margin is not None else absolute_margin

    anchors, positives = columns[anchor], columns[positive]
    queries = list(dict.fromkeys(anchors))
    texts = list(dict.fromkeys([*(positives if corpus is None else corpus), *positives]))
    row_of = {text: row for row, text in enumerate(texts)}
    rows: dict[str, dict[int, None]] = {query: {} for query in queries}
    for query, text in zip(anchors, positives):
        rows[query][row_of[text]] = None

    document_vectors = _embeddings(model, "document", texts, corpus_prompt, corpus_prompt_name, cache_folder)
    query_vectors = _embeddings(model, "query", queries, query_prompt, query_prompt_name, cache_folder)
    bounds = {
        "absolute_margin": absolute_margin,
        "relative_margin": relative_margin,
        "max_score": max_score,
        "min_score": min_score,
    }
    settings: dict[str, Any] = {
        **bounds,
        "negatives": num_negatives,
        "range_min": range_min,
        "range_max": range_max,
        "include_positives": include_positives,
        "seed": random.getrandbits(63) if sampling_strategy == "random" else None,
    }
    rows_of = [list(of_query) for of_query in rows.values()]

    def rescore(query: int, candidates: list[int]) -> list[float]:
        scores = cross_encoder.predict([(queries[query], texts[row]) for row in candidates], show_progress_bar=False)
        return [float(score) for score in scores]

    rescored = cross_encoder is not None and any(value is not None for value in bounds.values())
    found = _maana.hard_negatives(
        model.similarity_fn_name, query_vectors, document_vectors, rows_of, settings, rescore if rescored else None
    )
    mined = _as_columns(found, queries, texts, (anchor, positive), output_format, output_scores, num_negatives)
    if verbose:
        total = num_negatives * sum(map(len, rows_of))
        count = sum(len(of_query[0]) * len(of_query[1]) for of_query in found)
        logger.info("%d rows; %d of the %d requested negatives", len(mined[anchor]), count, total)
    if hasattr(dataset, "column_names") and type(dataset).__module__.startswith("datasets"):
        return type(dataset).from_dict(mined)
    return mined


def _embeddings(
    model: SentenceTransformer,
    role: Literal["query", "document"],
    texts: list[str],
    prompt: str | None,
    prompt_name: str | None,
    cache_folder: str | None,
) -> np.ndarray:
    """Return normalised embeddings, from the cache if it has them."""
    path = None
    if cache_folder:
        os.makedirs(cache_folder, exist_ok=True)
        key = repr((model.fingerprint(), role, prompt, prompt_name, model.truncate_dim, texts)).encode()
        path = os.path.join(cache_folder, f"{role}_embeddings_{hashlib.sha256(key).hexdigest()}.npy")
        if os.path.exists(path):
            return np.load(path)
    encode = model.encode_query if role == "query" else model.encode_document
    embeddings = encode(texts, prompt_name, prompt, normalize_embeddings=True)
    if path:
        with open(f"{path}.{os.getpid()}", "wb") as file:
            np.save(file, embeddings)
        os.replace(file.name, path)
    return embeddings


def _as_columns(
    found: list[tuple[list[tuple[int, float]], list[tuple[int, float]]]],
    queries: list[str],
    texts: list[str],
    names: tuple[str, str],
    output_format: str,
    with_scores: bool,
    wanted: int,
) -> dict[str, list[Any]]:
    """Return positives and negatives of each query in one of the formats."""
    anchor, positive = names
    last = {"triplet": ["negative"], "n-tuple": [f"negative_{number + 1}" for number in range(wanted)]}
    columns: dict[str, list[Any]] = {name: [] for name in (anchor, positive, *last.get(output_format, []))}
    label = {"labeled-pair": ("label", "score"), "labeled-list": ("labels", "scores")}.get(output_format, (None, "scores"))
    label_name = label[1] if with_scores else label[0]
    if label_name:
        columns[label_name] = []

    def add(*row: Any, label: Any) -> None:
        for values, value in zip(columns.values(), (*row, label)):
            values.append(value)

    for query, (positives, negatives) in zip(queries, found):
        if output_format == "labeled-pair":
            labelled = [*((*hit, 1) for hit in positives), *((*hit, 0) for hit in negatives)]
            for row, score, number in labelled:
                add(query, texts[row], label=score if with_scores else number)
            continue
        for row, score in positives:
            if output_format == "triplet":
                for negative, other in negatives:
                    add(query, texts[row], texts[negative], label=[score, other])
            elif output_format == "n-tuple" and len(negatives) == wanted:
                others = [texts[negative] for negative, _ in negatives]
                add(query, texts[row], *others, label=[score, *(other for _, other in negatives)])
            elif output_format == "labeled-list" and negatives:
                scores = [score, *(other for _, other in negatives)]
                documents = [texts[row], *(texts[negative] for negative, _ in negatives)]
                add(query, documents, label=scores if with_scores else [1] + [0] * len(negatives))
    return columns
