"""The names of ``sentence_transformers.sentence_transformer.losses``."""

from ..losses import *
from ..losses import __all__ as __all__
