"""The names of ``sentence_transformers.sentence_transformer.datasets``."""

from ..datasets import *
from ..datasets import __all__ as __all__
