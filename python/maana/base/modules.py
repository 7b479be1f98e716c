"""The names of ``sentence_transformers.base.modules``."""

from .. import models
from .._refusals import refused_names
from ..models import Dense, Module, Normalize, Router, Transformer

__getattr__ = refused_names(__name__, models._REFUSED)

__all__ = ["Dense", "Module", "Normalize", "Router", "Transformer"]
