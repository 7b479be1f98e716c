"""The names of ``sentence_transformers.cross_encoder.modules``."""

from .. import models
from .._refusals import refused_names
from ..models import Asym, Dense, Module, Router, Transformer

__getattr__ = refused_names(__name__, models._REFUSED)

__all__ = ["Asym", "Dense", "Module", "Router", "Transformer"]
