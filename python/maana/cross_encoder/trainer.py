"""`CrossEncoderTrainer`: training of cross-encoders with the reference's names and arguments."""

from __future__ import annotations

import os
from typing import Any

from .._files import read_json
from ..losses import Loss
from ..trainer import SentenceTransformerTrainer
from .losses import BinaryCrossEntropyLoss, CrossEntropyLoss
from .model import CrossEncoder
from .training_args import CrossEncoderTrainingArguments

__all__ = ["CrossEncoderTrainer"]


class CrossEncoderTrainer(SentenceTransformerTrainer):
    """Trains a cross-encoder by the same recipe as ``maana train`` with ``kind = "cross_encoder"``.

    The arguments are those of `SentenceTransformerTrainer`. The default of ``loss`` is
    `losses.BinaryCrossEntropyLoss` for a model with one label, else `losses.CrossEntropyLoss`.

    Example:
        >>> trainer = CrossEncoderTrainer(model, args, pairs, loss=loss)  # doctest: +SKIP
        >>> trainer.train().global_step  # doctest: +SKIP
        100
    """

    args_class = CrossEncoderTrainingArguments
    model: CrossEncoder

    def _default_loss(self, has_labels: bool) -> Loss:
        return BinaryCrossEntropyLoss() if self.model.num_labels == 1 else CrossEntropyLoss()

    def _model_type(self) -> str | None:
        return str(read_json(os.path.join(self.model.native.folder, "config.json"))["model_type"])

    def _model_table(self) -> dict[str, Any]:
        return {
            "base": self.model.native.folder,
            "kind": "cross_encoder",
            "labels": self.model.labels,
            "max_seq_length": self.model.max_length,
        }

    def _recipe(self, folder: str) -> tuple[dict[str, Any], list[tuple[str, str, Any]]]:
        # A new head is drawn by the seed of the run.
        self.model._redraw_head(self.args.seed)
        return super()._recipe(folder)
