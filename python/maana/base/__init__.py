"""The names of ``sentence_transformers.base``, for imports from there."""
