"""Evaluators with the names and arguments of ``sentence_transformers.evaluation``."""

from .._refusals import refused_class
from ..similarity import SimilarityFunction
from .evaluator import SentenceEvaluator
from .mse import MSEEvaluator
from .nano_beir import NanoBEIREvaluator
from .of_texts import (
    BinaryClassificationEvaluator,
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
    RerankingEvaluator,
    TranslationEvaluator,
    TripletEvaluator,
)
from .paraphrase_mining import ParaphraseMiningEvaluator
from .sequential import SequentialEvaluator

#: The newer name of `SentenceEvaluator`.
BaseEvaluator = SentenceEvaluator

LabelAccuracyEvaluator = refused_class(
    "LabelAccuracyEvaluator", "a trained classifier of SoftmaxLoss is not part of the model; use BinaryClassificationEvaluator"
)
MSEEvaluatorFromDataFrame = refused_class(
    "MSEEvaluatorFromDataFrame", "use MSEEvaluator with two columns of the table for each pair of languages"
)

__all__ = [
    "BaseEvaluator",
    "BinaryClassificationEvaluator",
    "EmbeddingSimilarityEvaluator",
    "InformationRetrievalEvaluator",
    "LabelAccuracyEvaluator",
    "MSEEvaluator",
    "MSEEvaluatorFromDataFrame",
    "NanoBEIREvaluator",
    "ParaphraseMiningEvaluator",
    "RerankingEvaluator",
    "SentenceEvaluator",
    "SequentialEvaluator",
    "SimilarityFunction",
    "TranslationEvaluator",
    "TripletEvaluator",
]
