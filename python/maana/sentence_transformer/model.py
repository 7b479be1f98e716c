"""The names of ``sentence_transformers.sentence_transformer.model``."""

from ..model import SentenceTransformer

__all__ = ["SentenceTransformer"]
