"""The names of ``sentence_transformers.sentence_transformer.modules``."""

from .. import models
from .._refusals import refused_names
from ..models import *
from ..models import __all__ as __all__

__getattr__ = refused_names(__name__, models._REFUSED)
