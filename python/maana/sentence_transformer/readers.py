"""The names of ``sentence_transformers.sentence_transformer.readers``."""

from ..readers import InputExample

__all__ = ["InputExample"]
