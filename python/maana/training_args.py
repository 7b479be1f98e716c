"""Arguments of training, with the names of ``SentenceTransformerTrainingArguments``."""

from __future__ import annotations

import json
import logging
import os
from enum import Enum
from typing import Any

from . import _maana
from ._learning_rates import read_mapping

__all__ = ["BatchSamplers", "MultiDatasetBatchSamplers", "SentenceTransformerTrainingArguments"]

logger = logging.getLogger(__name__)

#: Defaults that programs read from arguments.
_DEFAULTS: dict[str, Any] = {
    "num_train_epochs": 3.0,
    "max_steps": -1,
    "per_device_train_batch_size": 8,
    "per_device_eval_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "learning_rate": 5e-5,
    "weight_decay": 0.0,
    "warmup_steps": 0,
    "eval_strategy": "no",
    "eval_steps": None,
    "logging_steps": 500,
    "save_strategy": "steps",
    "save_steps": 500,
    "seed": 42,
    "bf16": False,
    "fp16": False,
    "load_best_model_at_end": False,
    "metric_for_best_model": None,
    "greater_is_better": None,
    "push_to_hub": False,
    "hub_model_id": None,
    "hub_token": None,
    "hub_private_repo": None,
    "hub_revision": None,
    "run_name": None,
    "report_to": "none",
    "disable_tqdm": None,
}


class BatchSamplers(str, Enum):
    """Samplers of the rows of a batch."""

    BATCH_SAMPLER = "batch_sampler"
    NO_DUPLICATES = "no_duplicates"
    NO_DUPLICATES_HASHED = "no_duplicates_hashed"
    GROUP_BY_LABEL = "group_by_label"


class MultiDatasetBatchSamplers(str, Enum):
    """Orders of the batches of several data sets."""

    ROUND_ROBIN = "round_robin"
    PROPORTIONAL = "proportional"


class SentenceTransformerTrainingArguments:
    """Arguments of training.

    Every argument of the reference is accepted. Those that are meaningless here (devices, workers)
    change nothing, nor does ``fp16``, as ``float32`` is at least as exact; another value that is not
    supported raises an error with its remedy. ``docs/hyperparameters.md`` lists all of them. Settings
    that only recipes have (``mini_batch_size``, ``ema_decay``, ``groups``, …) are given by ``recipe``.

    Args:
        output_dir: Folder of the run.
        recipe: Further settings of ``[training]`` in a recipe, by name.
        **arguments: Arguments by the reference's names.

    Raises:
        ValueError: If a value is not supported.

    Example:
        >>> SentenceTransformerTrainingArguments("runs/first", num_train_epochs=1, bf16=True)
        SentenceTransformerTrainingArguments(output_dir='runs/first', num_train_epochs=1, bf16=True)
    """

    def __init__(
        self, output_dir: str | os.PathLike[str] = "trainer_output", recipe: dict[str, Any] | None = None, **arguments: Any
    ) -> None:
        self.output_dir = os.fspath(output_dir)
        self.recipe = dict(recipe or {})
        self.arguments = arguments
        self.prompts, self.router_mapping = arguments.get("prompts"), arguments.get("router_mapping")
        #: Learning rates by regular expressions of names of parameters.
        self.learning_rate_mapping = read_mapping(arguments.get("learning_rate_mapping"))
        settings = json.loads(_maana.trainer_settings([(name, _text(value)) for name, value in self._passed()]))
        if settings["notes"]:
            raise ValueError("; ".join(settings["notes"]))
        #: Settings of ``[training]``.
        self.training: dict[str, Any] = {**settings["training"], **self.recipe}
        #: Order of the batches of several sets.
        self.sampler: str | None = settings["sampler"]

    def _passed(self) -> list[tuple[str, Any]]:
        """Return the arguments that become settings of the recipe. Prompts and routes of columns, and
        learning rates by names of parameters, need the data and the model."""
        passed = {name: value for name, value in self.arguments.items() if value is not None}
        for name in ("prompts", "router_mapping", "learning_rate_mapping"):
            passed.pop(name, None)
        if passed.get("fp16"):
            logger.warning("fp16=True has no effect: the run computes in float32; bf16=True takes less memory.")
            del passed["fp16"]
        trackers = passed.get("report_to") or []
        for name in [trackers] if isinstance(trackers, str) else trackers:
            if name not in ("none", "all", "tensorboard"):
                raise ValueError(f"report_to has {name!r}; expected tensorboard, or pass a callback that sends the log")
        if passed.get("push_to_hub") and not passed.get("hub_model_id"):
            raise ValueError("push_to_hub=True needs the name on the hub: hub_model_id='organisation/model'")
        for name in ("batch_sampler", "multi_dataset_batch_sampler"):
            if callable(passed.get(name)):
                raise ValueError(f"{name} is a class or a function; expected one of {_names(name)}")
        if passed.get("load_best_model_at_end"):
            if _text(passed.get("eval_strategy", "no")) == "no" and "evaluate" not in self.recipe:
                raise ValueError("load_best_model_at_end needs evaluations: set eval_strategy to 'epoch' or 'steps'")
            passed.setdefault("metric_for_best_model", "loss")
        if _text(passed.get("eval_strategy", "no")) == "steps":
            passed.setdefault("eval_steps", passed.get("logging_steps", _DEFAULTS["logging_steps"]))
        return list(passed.items())

    def __getattr__(self, name: str) -> Any:
        arguments = self.__dict__.get("arguments", {})
        if name in arguments:
            return arguments[name]
        if name in _DEFAULTS:
            return _DEFAULTS[name]
        raise AttributeError(f"{type(self).__name__} has no argument `{name}` that was given")

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments that were given, and the defaults of the most usual others."""
        return {**_DEFAULTS, "output_dir": self.output_dir, **self.arguments}

    def __repr__(self) -> str:
        parts = {"output_dir": self.output_dir, **self.arguments, **({"recipe": self.recipe} if self.recipe else {})}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in parts.items())})"


def _names(argument: str) -> str:
    """Return the values of the argument that names a sampler."""
    kind = BatchSamplers if argument == "batch_sampler" else MultiDatasetBatchSamplers
    return ", ".join(each.value for each in kind)


def _text(value: Any) -> str:
    """Return a value as a model card prints it."""
    if isinstance(value, Enum):
        return str(value.value)
    return value if isinstance(value, str) else repr(value)
