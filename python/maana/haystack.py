"""Components for Haystack (needs ``haystack-ai``)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from .model import SentenceTransformer

__all__ = ["MaanaDocumentEmbedder", "MaanaTextEmbedder"]


class _Embedder:
    """Opens the model when it is first needed, as Haystack's components do."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._opened: SentenceTransformer | None = None

    def warm_up(self) -> None:
        """Open the model."""
        self._opened = self._opened or SentenceTransformer(self.model)

    def _ready(self) -> SentenceTransformer:
        self.warm_up()
        assert self._opened is not None
        return self._opened

    def to_dict(self) -> dict[str, Any]:
        """Return the component as a dictionary."""
        return default_to_dict(self, model=self.model)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> _Embedder:
        """Create a component from a dictionary."""
        return default_from_dict(cls, data)


@component
class MaanaTextEmbedder(_Embedder):
    """Embeds a query.

    Args:
        model: A folder or a name of a model.
    """

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, list[float]]:
        """Return ``{"embedding": …}`` of a query."""
        return {"embedding": self._ready().encode_query(text).tolist()}


@component
class MaanaDocumentEmbedder(_Embedder):
    """Embeds documents.

    Args:
        model: A folder or a name of a model.
    """

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Return ``{"documents": …}`` with the embedding of each document's content."""
        embeddings = self._ready().encode_document([document.content or "" for document in documents])
        pairs = zip(documents, embeddings)
        return {"documents": [replace(document, embedding=embedding.tolist()) for document, embedding in pairs]}
