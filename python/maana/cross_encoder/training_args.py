"""Arguments of training, with the names of ``CrossEncoderTrainingArguments``."""

from __future__ import annotations

from ..training_args import BatchSamplers, MultiDatasetBatchSamplers, SentenceTransformerTrainingArguments

__all__ = ["BatchSamplers", "CrossEncoderTrainingArguments", "MultiDatasetBatchSamplers"]


class CrossEncoderTrainingArguments(SentenceTransformerTrainingArguments):
    """Arguments of training: those of `SentenceTransformerTrainingArguments`."""
