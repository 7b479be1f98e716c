"""A transformer for scikit-learn (needs ``scikit-learn``)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from .model import SentenceTransformer

__all__ = ["TextEmbedder"]


class TextEmbedder(TransformerMixin, BaseEstimator):
    """Turns texts into embeddings, as a step of a ``Pipeline``.

    Args:
        model: A folder or a name of a model.
        truncate_dim: Number of leading columns of embeddings to keep.
        normalize: Divide embeddings by their lengths.

    Example:
        >>> make_pipeline(TextEmbedder(model), LogisticRegression())  # doctest: +SKIP
    """

    def __init__(self, model: str, truncate_dim: int | None = None, normalize: bool = False) -> None:
        self.model = model
        self.truncate_dim = truncate_dim
        self.normalize = normalize

    def fit(self, texts: Any, labels: Any = None) -> TextEmbedder:
        """Open the model; nothing is learnt."""
        self.encoder_ = SentenceTransformer(self.model)
        return self

    def transform(self, texts: Any) -> np.ndarray:
        """Return the embeddings of texts: ``(texts, dimension)``."""
        return self.encoder_.encode(texts, truncate_dim=self.truncate_dim, normalize_embeddings=self.normalize)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "encoder_")
