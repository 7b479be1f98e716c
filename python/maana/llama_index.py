"""Embeddings for LlamaIndex (needs ``llama-index-core``)."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr

from .model import SentenceTransformer

__all__ = ["MaanaEmbedding"]


class MaanaEmbedding(BaseEmbedding):
    """A model as LlamaIndex's ``BaseEmbedding``.

    Args:
        model: A model, or a folder or name to open.
        **options: Arguments of ``BaseEmbedding``, such as ``embed_batch_size``.
    """

    _model: SentenceTransformer = PrivateAttr()

    def __init__(self, model: str | SentenceTransformer, **options: Any) -> None:
        opened = SentenceTransformer(model) if isinstance(model, str) else model
        super().__init__(**{"model_name": opened.name, "embed_batch_size": 256, **options})
        self._model = opened

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex stores the class."""
        return "MaanaEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._model.encode_query(query).tolist()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._model.encode_document(text).tolist()

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._model.encode_document(texts).tolist()
