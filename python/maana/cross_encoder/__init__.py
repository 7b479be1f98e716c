"""Models that score pairs of texts, with the calls of ``sentence_transformers.cross_encoder``."""

from . import losses
from .model import CrossEncoder
from .trainer import CrossEncoderTrainer
from .training_args import CrossEncoderTrainingArguments

__all__ = ["CrossEncoder", "CrossEncoderTrainer", "CrossEncoderTrainingArguments", "losses"]
