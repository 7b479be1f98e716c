"""The names of ``sentence_transformers.sentence_transformer.modules``."""

from ..models import *
from ..models import __all__ as __all__
