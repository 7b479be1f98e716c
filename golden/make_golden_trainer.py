"""Names of the reference that the trainer side of the Python package accepts or refuses by name.

    python golden/make_golden_trainer.py

Writes `trainer_names.json`: names of modules, fields and defaults of the arguments of training, and
parameters of the trainers.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from enum import Enum
from pathlib import Path

from sentence_transformers import cross_encoder
from sentence_transformers.cross_encoder import losses as cross_losses
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.sentence_transformer import datasets, losses, readers, training_args
from sentence_transformers.sentence_transformer.model import SentenceTransformer
from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer
from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments


def plain(value: object) -> object:
    """Return a default as JSON has it."""
    if isinstance(value, Enum):
        return value.value
    return value if isinstance(value, (str, int, float, bool, list, dict, type(None))) else str(value)


def fields(kind: type) -> dict[str, object]:
    """Return the defaults of a dataclass by field."""
    found = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            found[field.name] = plain(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = plain(field.default_factory())
        else:
            found[field.name] = None
    return found


def parameters(function: object) -> list[str]:
    """Return the names of the parameters of a function."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


def main() -> None:
    names = {
        "losses": sorted(losses.__all__),
        "cross_encoder.losses": sorted(cross_losses.__all__),
        "cross_encoder": sorted(cross_encoder.__all__),
        "datasets": sorted(datasets.__all__),
        "readers": sorted(readers.__all__),
        "training_args": sorted(training_args.__all__),
        "arguments": fields(SentenceTransformerTrainingArguments),
        "cross_encoder.arguments": fields(CrossEncoderTrainingArguments),
        "trainer": parameters(SentenceTransformerTrainer.__init__),
        "cross_encoder.trainer": parameters(CrossEncoderTrainer.__init__),
        "fit": parameters(SentenceTransformer.fit),
        "cross_encoder.fit": parameters(cross_encoder.CrossEncoder.fit),
        "batch_samplers": {each.name: each.value for each in training_args.BatchSamplers},
        "multi_dataset_batch_samplers": {each.name: each.value for each in training_args.MultiDatasetBatchSamplers},
    }
    path = Path(__file__).with_name("trainer_names.json")
    path.write_text(json.dumps(names, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
