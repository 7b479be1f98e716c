"""The names of ``sentence_transformers.base.evaluation``."""

from ..evaluation import SentenceEvaluator, SequentialEvaluator

#: The newer name of `SentenceEvaluator`.
BaseEvaluator = SentenceEvaluator

__all__ = ["BaseEvaluator", "SentenceEvaluator", "SequentialEvaluator"]
