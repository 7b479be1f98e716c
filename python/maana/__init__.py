"""Sentence embeddings on the computers people have, with the calls of Sentence Transformers.

>>> from maana import SentenceTransformer
>>> model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2")  # doctest: +SKIP
>>> model.encode(["Habari ya asubuhi", "Good morning"]).shape  # doctest: +SKIP
(2, 384)
"""

from . import evaluation, losses, quantization, util
from ._maana import __version__, set_threads
from .model import SentenceTransformer
from .similarity import SimilarityFunction
from .store import Hit, Store
from .trainer import SentenceTransformerTrainer
from .training_args import SentenceTransformerTrainingArguments

__all__ = [
    "Hit",
    "SentenceTransformer",
    "SentenceTransformerTrainer",
    "SentenceTransformerTrainingArguments",
    "SimilarityFunction",
    "Store",
    "__version__",
    "evaluation",
    "losses",
    "quantization",
    "set_threads",
    "util",
]
