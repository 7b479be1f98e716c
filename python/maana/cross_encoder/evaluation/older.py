"""Older names of the evaluators."""

from __future__ import annotations

from .classification import CrossEncoderClassificationEvaluator
from .correlation import CrossEncoderCorrelationEvaluator
from .reranking import CrossEncoderRerankingEvaluator


class CEBinaryAccuracyEvaluator(CrossEncoderClassificationEvaluator):
    """An older name of `CrossEncoderClassificationEvaluator`."""


class CEBinaryClassificationEvaluator(CrossEncoderClassificationEvaluator):
    """An older name of `CrossEncoderClassificationEvaluator`."""


class CEF1Evaluator(CrossEncoderClassificationEvaluator):
    """An older name of `CrossEncoderClassificationEvaluator`."""


class CESoftmaxAccuracyEvaluator(CrossEncoderClassificationEvaluator):
    """An older name of `CrossEncoderClassificationEvaluator`."""


class CECorrelationEvaluator(CrossEncoderCorrelationEvaluator):
    """An older name of `CrossEncoderCorrelationEvaluator`."""


class CERerankingEvaluator(CrossEncoderRerankingEvaluator):
    """An older name of `CrossEncoderRerankingEvaluator`."""
