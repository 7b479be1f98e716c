"""An encoder for MTEB (needs ``mteb``)."""

from __future__ import annotations

from typing import Any

import numpy as np
from mteb.models import ModelMeta
from mteb.models.abs_encoder import AbsEncoder
from mteb.types import PromptType

from .model import SentenceTransformer

__all__ = ["MaanaEncoder"]


class MaanaEncoder(AbsEncoder):
    """Embeds the texts of MTEB's tasks, with the prompts of the model for queries and documents.

    Args:
        model: A folder, a name, or a model.

    Example:
        >>> mteb.evaluate(MaanaEncoder(model), tasks)  # doctest: +SKIP
    """

    def __init__(self, model: str | SentenceTransformer, revision: str | None = None, **kwargs: Any) -> None:
        is_open = isinstance(model, SentenceTransformer)
        self.model = model if is_open else SentenceTransformer(model, revision=revision, **kwargs)
        settings = {"name": f"maana/{self.model.name.strip('/').split('/')[-1]}", "revision": self.model.fingerprint()}
        self.mteb_model_meta = ModelMeta.create_empty(overwrites=settings)

    def encode(
        self,
        inputs: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """Return the embeddings of the texts of MTEB's batches: ``(texts, dimension)``."""
        texts = [text for batch in inputs for text in batch["text"]]
        if prompt_type == PromptType.query:
            return self.model.encode_query(texts)
        return self.model.encode_document(texts) if prompt_type == PromptType.document else self.model.encode(texts)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compare all embeddings with all others by the similarity of the model."""
        return self.model.similarity(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compare embeddings pair by pair by the similarity of the model."""
        return self.model.similarity_pairwise(embeddings1, embeddings2)
