"""The names of ``sentence_transformers.base.evaluation``."""

from ..evaluation import BaseEvaluator, SentenceEvaluator, SequentialEvaluator

__all__ = ["BaseEvaluator", "SentenceEvaluator", "SequentialEvaluator"]
