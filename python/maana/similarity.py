"""Names of similarity functions, and the functions that they stand for."""

from __future__ import annotations

from enum import Enum
from typing import Any, Callable

from . import _similarities as similarities

_ALL = {
    "cosine": (similarities.cos_sim, similarities.pairwise_cos_sim),
    "dot": (similarities.dot_score, similarities.pairwise_dot_score),
    "euclidean": (similarities.euclidean_sim, similarities.pairwise_euclidean_sim),
    "manhattan": (similarities.manhattan_sim, similarities.pairwise_manhattan_sim),
}


class SimilarityFunction(str, Enum):
    """Similarity functions of embeddings; greater is more similar."""

    COSINE = "cosine"
    DOT_PRODUCT = "dot"
    DOT = "dot"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"

    @staticmethod
    def to_similarity_fn(similarity_function: str | SimilarityFunction) -> Callable[[Any, Any], Any]:
        """Return the function that compares all rows with all rows.

        Raises:
            ValueError: If there is no similarity of this name.
        """
        return _ALL[SimilarityFunction(similarity_function).value][0]

    @staticmethod
    def to_similarity_pairwise_fn(similarity_function: str | SimilarityFunction) -> Callable[[Any, Any], Any]:
        """Return the function that compares rows pair by pair.

        Raises:
            ValueError: If there is no similarity of this name.
        """
        return _ALL[SimilarityFunction(similarity_function).value][1]

    @staticmethod
    def possible_values() -> list[str]:
        """Return the names of all similarities."""
        return list(_ALL)
