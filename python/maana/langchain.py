"""Embeddings for LangChain (needs ``langchain-core``)."""

from __future__ import annotations

from typing import Any

from langchain_core.embeddings import Embeddings

from .model import SentenceTransformer

__all__ = ["MaanaEmbeddings"]


class MaanaEmbeddings(Embeddings):
    """A model as LangChain's ``Embeddings``.

    Args:
        model: A model, or a folder or name to open.
        **options: Arguments of `SentenceTransformer`.

    Example:
        >>> MaanaEmbeddings("golden/tiny-bert").embed_query("Habari")  # doctest: +SKIP
    """

    def __init__(self, model: str | SentenceTransformer, **options: Any) -> None:
        self.model = SentenceTransformer(model, **options) if isinstance(model, str) else model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed documents."""
        return self.model.encode_document(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        """Embed a query."""
        return self.model.encode_query(text).tolist()
