"""Functions of embeddings with the names and arguments of ``sentence_transformers.util``.

They take arrays of NumPy, tensors of PyTorch and lists. The result is a tensor if an argument is
one, else an array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from . import _maana
from ._arrays import as_rows
from ._hard_negatives import mine_hard_negatives
from ._names import fullname, import_from_string
from ._refusals import refused_names
from ._resolve_ids import resolve_ids
from ._similarities import (
    cos_sim,
    dot_score,
    euclidean_sim,
    like,
    manhattan_sim,
    pairwise_angle_sim,
    pairwise_cos_sim,
    pairwise_dot_score,
    pairwise_euclidean_sim,
    pairwise_manhattan_sim,
    pytorch_cos_sim,
)
from .quantization import quantize_embeddings
from .similarity import SimilarityFunction

if TYPE_CHECKING:
    from .model import SentenceTransformer

__all__ = [
    "SimilarityFunction",
    "community_detection",
    "cos_sim",
    "dot_score",
    "euclidean_sim",
    "fullname",
    "import_from_string",
    "information_retrieval",
    "manhattan_sim",
    "mine_hard_negatives",
    "normalize_embeddings",
    "pairwise_angle_sim",
    "pairwise_cos_sim",
    "pairwise_dot_score",
    "pairwise_euclidean_sim",
    "pairwise_manhattan_sim",
    "paraphrase_mining",
    "paraphrase_mining_embeddings",
    "pytorch_cos_sim",
    "quantize_embeddings",
    "resolve_ids",
    "semantic_search",
    "truncate_embeddings",
]

_SPARSE = "embeddings are dense arrays"
_TENSORS = "embeddings are arrays; torch.from_numpy makes tensors of them"
_MULTI_VECTOR = "a text has one embedding: use cos_sim or dot_score"
_DEVICES = "all threads of the CPU work in one process"

#: Functions of the reference that are not supported, with the remedy.
_REFUSED = {
    "all_gather": _DEVICES,
    "all_gather_with_grad": _DEVICES,
    "batch_to_device": _TENSORS,
    "compute_count_vector": _SPARSE,
    "get_device_name": "the device is the CPU",
    "http_get": "use urllib.request.urlretrieve, or huggingface_hub.hf_hub_download",
    "maxsim": _MULTI_VECTOR,
    "maxsim_pairwise": _MULTI_VECTOR,
    "select_max_active_dims": _SPARSE,
    "to_scipy_coo": _SPARSE,
}

__getattr__ = refused_names(__name__, _REFUSED)


def normalize_embeddings(embeddings: Any) -> Any:
    """Return the rows divided by their lengths."""
    rows = as_rows(embeddings, "embeddings")
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
    return like(rows / lengths, embeddings)


def truncate_embeddings(embeddings: Any, truncate_dim: int | None) -> Any:
    """Return the first ``truncate_dim`` columns, without normalising them again."""
    return embeddings[..., :truncate_dim]


def _name_of(score_function: Callable[[Any, Any], Any]) -> str:
    """Return the name of a score function of this module, or of the reference's of the same name.

    Raises:
        ValueError: If it is another function.
    """
    found = getattr(score_function, "__name__", repr(score_function))
    names = {"cos_sim": "cosine", "pytorch_cos_sim": "cosine", "dot_score": "dot"}
    names |= {"euclidean_sim": "euclidean", "manhattan_sim": "manhattan"}
    if found in names:
        return names[found]
    raise ValueError(f"score_function is {found}; expected cos_sim, dot_score, euclidean_sim or manhattan_sim")


def semantic_search(
    query_embeddings: Any,
    corpus_embeddings: Any,
    query_chunk_size: int = 100,
    corpus_chunk_size: int = 500000,
    top_k: int = 10,
    score_function: Callable[[Any, Any], Any] = cos_sim,
) -> list[list[dict[str, int | float]]]:
    """Find the nearest rows of a corpus for each query.

    Args:
        query_embeddings: ``(queries, columns)``, or one embedding.
        corpus_embeddings: ``(rows, columns)``.
        query_chunk_size: Ignored: memory is bounded for any number of queries.
        corpus_chunk_size: Ignored, likewise.
        top_k: Number of hits per query.
        score_function: ``cos_sim``, ``dot_score``, ``euclidean_sim`` or ``manhattan_sim``.

    Returns:
        For each query a list of ``{"corpus_id": row, "score": score}``, best first.

    Raises:
        ValueError: If the embeddings have different numbers of columns or are not finite.

    Example:
        >>> semantic_search([[1.0, 0.0]], [[0.0, 1.0], [2.0, 0.0]], top_k=1)
        [[{'corpus_id': 1, 'score': 1.0}]]
    """
    queries = as_rows(query_embeddings, "query_embeddings")
    corpus = as_rows(corpus_embeddings, "corpus_embeddings")
    if len(corpus) == 0 or len(queries) == 0:
        return [[] for _ in range(len(queries))]
    found, scores = _maana.search(_name_of(score_function), queries, corpus, top_k)
    return [
        [{"corpus_id": row, "score": score} for row, score in zip(rows, row_scores)]
        for rows, row_scores in zip(found.tolist(), scores.tolist())
    ]


def information_retrieval(*args: Any, **kwargs: Any) -> list[list[dict[str, int | float]]]:
    """Find the nearest rows of a corpus for each query: an older name of `semantic_search`."""
    return semantic_search(*args, **kwargs)


def paraphrase_mining(
    model: SentenceTransformer,
    sentences: list[str],
    show_progress_bar: bool = False,
    batch_size: int = 32,
    query_chunk_size: int = 5000,
    corpus_chunk_size: int = 100000,
    max_pairs: int = 500000,
    top_k: int = 100,
    score_function: Callable[[Any, Any], Any] = cos_sim,
    truncate_dim: int | None = None,
    prompt_name: str | None = None,
    prompt: str | None = None,
) -> list[list[float | int]]:
    """Find the pairs of sentences with the greatest cosines.

    The arguments are those of the reference; batch and chunk sizes change nothing.

    Returns:
        ``[score, lower row, higher row]`` for each pair, best first.
    """
    embeddings = model.encode(
        sentences,
        show_progress_bar=show_progress_bar,
        batch_size=batch_size,
        truncate_dim=truncate_dim,
        prompt_name=prompt_name,
        prompt=prompt,
    )
    return paraphrase_mining_embeddings(
        embeddings, query_chunk_size, corpus_chunk_size, max_pairs, top_k, score_function
    )


def paraphrase_mining_embeddings(
    embeddings: Any,
    query_chunk_size: int = 5000,
    corpus_chunk_size: int = 100000,
    max_pairs: int = 500000,
    top_k: int = 100,
    score_function: Callable[[Any, Any], Any] = cos_sim,
) -> list[list[float | int]]:
    """Find the pairs of rows with the greatest cosines.

    Returns:
        ``[score, lower row, higher row]`` for each pair, best first.

    Raises:
        ValueError: If ``score_function`` is not ``cos_sim``, or a value is not finite.
    """
    if _name_of(score_function) != "cosine":
        raise ValueError("score_function is not cos_sim; paraphrases are mined by cosine only")
    rows = as_rows(embeddings, "embeddings")
    return [list(pair) for pair in _maana.paraphrases(rows, top_k, max_pairs)]


def community_detection(
    embeddings: Any,
    threshold: float = 0.75,
    min_community_size: int = 10,
    batch_size: int = 1024,
    show_progress_bar: bool = False,
) -> list[list[int]]:
    """Find communities: rows whose cosine with a central row is at least ``threshold``.

    Args:
        embeddings: ``(rows, columns)``.
        threshold: The least cosine with the central row.
        min_community_size: The least number of rows of a community.
        batch_size: Ignored.
        show_progress_bar: Ignored.

    Returns:
        The rows of each community, the largest community first, its central row first.
    """
    rows = as_rows(embeddings, "embeddings")
    if len(rows) < min_community_size:
        return []
    return _maana.communities(rows, threshold, min_community_size)
