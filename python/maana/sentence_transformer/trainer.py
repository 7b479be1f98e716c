"""The names of ``sentence_transformers.sentence_transformer.trainer``."""

from ..trainer import SentenceTransformerTrainer

__all__ = ["SentenceTransformerTrainer"]
