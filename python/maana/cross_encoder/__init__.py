"""Models that score pairs of texts, with the calls of ``sentence_transformers.cross_encoder``."""

from .._refusals import refused_class
from ..model_card import CrossEncoderModelCardData
from . import losses
from .model import CrossEncoder
from .trainer import CrossEncoderTrainer
from .training_args import CrossEncoderTrainingArguments

CrossEncoderDataCollator = refused_class(
    "CrossEncoderDataCollator", "batches are made by the engine; prompts of the arguments prepare their columns"
)

__all__ = [
    "CrossEncoder",
    "CrossEncoderDataCollator",
    "CrossEncoderModelCardData",
    "CrossEncoderTrainer",
    "CrossEncoderTrainingArguments",
    "losses",
]
