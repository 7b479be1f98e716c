"""Sentence embeddings on the computers people have, with the calls of Sentence Transformers.

>>> from maana import SentenceTransformer
>>> model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2")  # doctest: +SKIP
>>> model.encode(["Habari ya asubuhi", "Good morning"]).shape  # doctest: +SKIP
(2, 384)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import callbacks, datasets, evaluation, losses, models, quantization, readers, sentence_transformer
    from . import training_args, util
    from ._hard_negatives import mine_hard_negatives
    from ._maana import __version__, set_threads
    from ._resolve_ids import resolve_ids
    from .cross_encoder import (
        CrossEncoder,
        CrossEncoderModelCardData,
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
    )
    from .datasets import ParallelSentencesDataset, SentencesDataset
    from .model import SentenceTransformer
    from .model_card import SentenceTransformerModelCardData
    from .quantization import quantize_embeddings
    from .readers import InputExample
    from .similarity import SimilarityFunction
    from .static import distill_static
    from .store import Hit, Store
    from .trainer import SentenceTransformerTrainer
    from .training_args import SentenceTransformerTrainingArguments

#: Modules of the names of this package, which are imported when a name is first used.
_MODULE_OF = {
    "CrossEncoder": "cross_encoder",
    "CrossEncoderModelCardData": "cross_encoder",
    "CrossEncoderTrainer": "cross_encoder",
    "CrossEncoderTrainingArguments": "cross_encoder",
    "Hit": "store",
    "InputExample": "readers",
    "DefaultBatchSampler": "base.sampler",
    "MultiDatasetDefaultBatchSampler": "base.sampler",
    "ParallelSentencesDataset": "datasets",
    "SentenceTransformer": "model",
    "SentenceTransformerModelCardData": "model_card",
    "SentenceTransformerTrainer": "trainer",
    "SentenceTransformerTrainingArguments": "training_args",
    "SentencesDataset": "datasets",
    "SimilarityFunction": "similarity",
    "Store": "store",
    "__version__": "_maana",
    "distill_static": "static",
    "mine_hard_negatives": "util",
    "resolve_ids": "util",
    "quantize_embeddings": "quantization",
    "set_threads": "_maana",
}

#: Names of the reference that are not supported, with the remedy.
_REFUSED = {
    "LoggingHandler": "use logging.basicConfig; warnings of this package go to the logger 'maana'",
    "MultiVectorEncoder": "use SentenceTransformer, or CrossEncoder to rerank",
    "SparseEncoder": "use SentenceTransformer, or the hybrid search of maana.Store",
    "export_dynamic_quantized_onnx_model": 'open the model with precision="int8"',
    "export_optimized_onnx_model": "open the model with this package instead of ONNX",
    "export_static_quantized_openvino_model": 'open the model with precision="int8"',
}

__all__ = [
    "CrossEncoder",
    "CrossEncoderModelCardData",
    "CrossEncoderTrainer",
    "CrossEncoderTrainingArguments",
    "Hit",
    "InputExample",
    "ParallelSentencesDataset",
    "SentenceTransformer",
    "SentenceTransformerModelCardData",
    "SentenceTransformerTrainer",
    "SentenceTransformerTrainingArguments",
    "SentencesDataset",
    "SimilarityFunction",
    "Store",
    "__version__",
    "callbacks",
    "datasets",
    "distill_static",
    "evaluation",
    "losses",
    "mine_hard_negatives",
    "models",
    "quantization",
    "quantize_embeddings",
    "readers",
    "resolve_ids",
    "sentence_transformer",
    "set_threads",
    "training_args",
    "util",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    elif name in __all__:
        value = import_module(f".{name}", __name__)
    elif name in _REFUSED:
        # `from maana import NAME` shows the message of no other exception.
        raise ImportError(f"{name} is not supported: {_REFUSED[name]}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
