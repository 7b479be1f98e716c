"""The names of ``sentence_transformers.cross_encoder.model_card``."""

from ..model_card import CrossEncoderModelCardData

__all__ = ["CrossEncoderModelCardData"]
