"""The names of ``sentence_transformers.base.modules``."""

from ..models import Dense, Module, Normalize, Router, Transformer

__all__ = ["Dense", "Module", "Normalize", "Router", "Transformer"]
