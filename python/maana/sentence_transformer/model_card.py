"""The names of ``sentence_transformers.sentence_transformer.model_card``."""

from ..model_card import SentenceTransformerModelCardData

__all__ = ["SentenceTransformerModelCardData"]
