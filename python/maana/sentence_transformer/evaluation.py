"""The names of ``sentence_transformers.sentence_transformer.evaluation``."""

from ..evaluation import *
from ..evaluation import __all__ as __all__
