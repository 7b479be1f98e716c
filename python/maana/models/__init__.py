"""Modules from which a `SentenceTransformer` is built, with the reference's names and arguments.

>>> from maana import SentenceTransformer
>>> from maana.models import Normalize, Pooling, Transformer
>>> encoder = Transformer("FacebookAI/xlm-roberta-base", max_seq_length=256)  # doctest: +SKIP
>>> pooling = Pooling(encoder.get_embedding_dimension(), "mean")  # doctest: +SKIP
>>> model = SentenceTransformer(modules=[encoder, pooling, Normalize()])  # doctest: +SKIP
"""

from __future__ import annotations

from .._refusals import refused_names
from ._module import Module
from .behind_pooling import Dense, Dropout, LayerNorm, Normalize
from .pooling import Pooling
from .router import Asym, Router
from .static_embedding import StaticEmbedding
from .transformer import Transformer

__all__ = [
    "Asym",
    "Dense",
    "Dropout",
    "LayerNorm",
    "Module",
    "Normalize",
    "Pooling",
    "Router",
    "StaticEmbedding",
    "Transformer",
]

#: Modules of the reference that are not supported, with the remedy.
_REFUSED = {
    "BoW": "use StaticEmbedding, or train a Transformer",
    "CLIPModel": "it embeds images; this package embeds texts",
    "CNN": "train a Transformer, or use StaticEmbedding",
    "InputModule": "modules are not written in PyTorch; build a model from those of this package",
    "LogitScore": "generated words give no scores here; end the modules with Dense(…, 1, module_output_name='scores')",
    "LSTM": "train a Transformer, or use StaticEmbedding",
    "WeightedLayerPooling": "use Pooling, which reads the last layer",
    "WordEmbeddings": "use StaticEmbedding",
    "WordWeights": "use StaticEmbedding",
}


__getattr__ = refused_names(__name__, _REFUSED)
