"""The names of ``sentence_transformers.sentence_transformer``, for imports from there."""

from ..model import SentenceTransformer
from ..model_card import SentenceTransformerModelCardData
from ..trainer import SentenceTransformerTrainer
from ..training_args import SentenceTransformerTrainingArguments

__all__ = [
    "SentenceTransformer",
    "SentenceTransformerModelCardData",
    "SentenceTransformerTrainer",
    "SentenceTransformerTrainingArguments",
]
