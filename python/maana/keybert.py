"""A backend for KeyBERT (needs ``keybert``)."""

from __future__ import annotations

import numpy as np
from keybert.backend import BaseEmbedder

from .model import SentenceTransformer

__all__ = ["MaanaBackend"]


class MaanaBackend(BaseEmbedder):
    """Embeds the documents and words of KeyBERT.

    Args:
        model: A folder, a name, or a model.

    Example:
        >>> KeyBERT(model=MaanaBackend(model))  # doctest: +SKIP
    """

    def __init__(self, model: str | SentenceTransformer) -> None:
        super().__init__(embedding_model=model if isinstance(model, SentenceTransformer) else SentenceTransformer(model))

    def embed(self, documents: list[str], verbose: bool = False) -> np.ndarray:
        """Return the embeddings of documents or words: ``(texts, dimension)``."""
        return self.embedding_model.encode(list(documents), show_progress_bar=verbose)
