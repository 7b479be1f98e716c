"""Sentence embeddings on the computers people have, with the calls of Sentence Transformers.

>>> from maana import SentenceTransformer
>>> model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2")  # doctest: +SKIP
>>> model.encode(["Habari ya asubuhi", "Good morning"]).shape  # doctest: +SKIP
(2, 384)
"""

from . import quantization, util
from ._maana import __version__, set_threads
from .model import SentenceTransformer
from .similarity import SimilarityFunction
from .store import Hit, Store

__all__ = [
    "Hit",
    "SentenceTransformer",
    "SimilarityFunction",
    "Store",
    "__version__",
    "quantization",
    "set_threads",
    "util",
]
