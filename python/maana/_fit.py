"""`fit`, the training call of Sentence Transformers before its trainer."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from .readers import columns_of_examples

logger = logging.getLogger("maana")

#: Names of the reference's schedules, and of those of the trainer.
_SCHEDULES = {
    "constantlr": "constant",
    "warmupconstant": "constant_with_warmup",
    "warmuplinear": "linear",
    "warmupcosine": "cosine",
    "warmupcosinewithhardrestarts": "cosine_with_restarts",
}

#: Names of parameters of AdamW in PyTorch, and in the arguments of the trainer.
_OPTIMIZER = {"lr": "learning_rate", "eps": "adam_epsilon", "weight_decay": "weight_decay"}


class FitMixin:
    """The call `fit` of a model that embeds texts."""

    def fit(
        self,
        train_objectives: Iterable[tuple[Any, Any]],
        evaluator: Any = None,
        epochs: int = 1,
        steps_per_epoch: int | None = None,
        scheduler: str = "WarmupLinear",
        warmup_steps: int = 10000,
        optimizer_class: Any = None,
        optimizer_params: dict[str, Any] | None = None,
        weight_decay: float = 0.01,
        evaluation_steps: int = 0,
        output_path: str | None = None,
        save_best_model: bool = True,
        max_grad_norm: float = 1,
        use_amp: bool = False,
        callback: Callable[[float, float, int], Any] | None = None,
        show_progress_bar: bool = True,
        checkpoint_path: str | None = None,
        checkpoint_save_steps: int = 500,
        checkpoint_save_total_limit: int = 0,
        resume_from_checkpoint: bool = False,
    ) -> None:
        """Train the model by pairs of data and loss: through `SentenceTransformerTrainer`, which has
        more settings and is the call to write today.

        Args:
            train_objectives: Pairs of examples and a loss. Examples are a list of ``InputExample``,
                or an object with such a list as ``dataset`` and a ``batch_size``, for instance a
                ``DataLoader``. Batches of several pairs take turns.
            evaluator: An evaluator, called at the end of each epoch.
            epochs: Number of epochs.
            steps_per_epoch: Number of updates, for one epoch.
            scheduler: Schedule of the learning rate.
            warmup_steps: Updates of the warmup.
            optimizer_class: AdamW.
            optimizer_params: Its parameters ``lr``, ``eps``, ``betas``.
            weight_decay: Weight decay.
            evaluation_steps: Updates between two further evaluations.
            output_path: Folder of the trained model.
            save_best_model: Take the weights that are best by the evaluator, not the last.
            max_grad_norm: Largest norm of the gradient.
            use_amp: Ignored: the run computes in float32.
            callback: Called with the score, the epoch and the update after each evaluation.
            show_progress_bar: Ignored.
            checkpoint_path: Folder of the run. Default: a new one in ``checkpoints``.
            checkpoint_save_steps: Ignored: each evaluation and epoch writes a checkpoint.
            checkpoint_save_total_limit: Number of checkpoints to keep; 0 for all.
            resume_from_checkpoint: Continue the run of ``checkpoint_path``.

        Raises:
            TypeError: If the examples are of an unknown type.
            ValueError: If the columns do not fit the loss, or a setting is not valid.
            NotImplementedError: For optimizers other than AdamW.
        """
        from .trainer import SentenceTransformerTrainer

        data, losses, settings = _objectives(train_objectives)
        settings |= {"num_train_epochs": epochs, "max_grad_norm": max_grad_norm, "warmup_steps": warmup_steps}
        settings |= {"weight_decay": weight_decay, **_schedule(scheduler), **_optimizer(optimizer_class, optimizer_params)}
        if steps_per_epoch and epochs == 1:
            settings["max_steps"] = steps_per_epoch
        elif steps_per_epoch:
            logger.warning("steps_per_epoch has an effect for one epoch only; all rows are read in each epoch.")
        if checkpoint_save_total_limit:
            settings["save_total_limit"] = checkpoint_save_total_limit
        measured = _Evaluation(evaluator, evaluation_steps, callback)
        settings |= measured.settings(self if save_best_model and output_path is not None else None)
        folder = checkpoint_path or _new_folder()
        trainer = _trainer(self, SentenceTransformerTrainer, folder, settings, data, losses, measured)
        trainer.train(resume_from_checkpoint=resume_from_checkpoint and checkpoint_path is not None)
        if output_path is not None:
            trainer.save_model(output_path)

    def old_fit(self, *arguments: Any, **keywords: Any) -> None:
        """Raise an error: this is the loop of the reference before its trainer."""
        raise NotImplementedError("old_fit is not supported: use fit, or SentenceTransformerTrainer")


class PairFitMixin:
    """The call `fit` of a model that scores pairs."""

    num_labels: int

    def fit(
        self,
        train_dataloader: Any,
        evaluator: Any = None,
        epochs: int = 1,
        loss_fct: Any = None,
        activation_fct: Any = None,
        scheduler: str = "WarmupLinear",
        warmup_steps: int = 10000,
        optimizer_class: Any = None,
        optimizer_params: dict[str, Any] | None = None,
        weight_decay: float = 0.01,
        evaluation_steps: int = 0,
        output_path: str | None = None,
        save_best_model: bool = True,
        max_grad_norm: float = 1,
        use_amp: bool = False,
        callback: Callable[[float, float, int], Any] | None = None,
        show_progress_bar: bool = True,
    ) -> None:
        """Train the model by pairs with labels: through `CrossEncoderTrainer`, which has more settings
        and is the call to write today.

        Args:
            train_dataloader: A list of ``InputExample``, or an object with such a list as ``dataset``
                and a ``batch_size``, for instance a ``DataLoader``.
            loss_fct: A loss of logits and labels. Default: cross-entropy, binary for one label.
            activation_fct: Function of the logits in front of the default loss.
            output_path: Folder of the best model by the evaluator, which the reference writes for an
                evaluator and ``save_best_model`` only.

        The other arguments are those of `FitMixin.fit`.

        Raises:
            TypeError: If the examples are of an unknown type.
            ValueError: If the columns do not fit the loss, or a setting is not valid.
            NotImplementedError: For optimizers other than AdamW, and ``activation_fct`` with
                ``loss_fct``.
        """
        from .cross_encoder.losses import BinaryCrossEntropyLoss, CrossEntropyLoss
        from .cross_encoder.trainer import CrossEncoderTrainer

        if loss_fct is None:
            kind = BinaryCrossEntropyLoss if self.num_labels == 1 else CrossEntropyLoss
            loss_fct = kind(self, activation_fn=activation_fct)
        elif activation_fct is not None:
            raise NotImplementedError("activation_fct has an effect on the default loss only; apply it in loss_fct")
        data, losses, settings = _objectives([(train_dataloader, loss_fct)])
        settings |= {"num_train_epochs": epochs, "max_grad_norm": max_grad_norm, "warmup_steps": warmup_steps}
        settings |= {"weight_decay": weight_decay, **_schedule(scheduler), **_optimizer(optimizer_class, optimizer_params)}
        saves = evaluator is not None and save_best_model and output_path is not None
        measured = _Evaluation(evaluator, evaluation_steps, callback)
        settings |= measured.settings(self if saves else None)
        trainer = _trainer(self, CrossEncoderTrainer, _new_folder(), settings, data, losses, measured)
        trainer.train()
        if saves:
            trainer.save_model(output_path)

    def old_fit(self, *arguments: Any, **keywords: Any) -> None:
        """Raise an error: this is the loop of the reference before its trainer."""
        raise NotImplementedError("old_fit is not supported: use fit, or CrossEncoderTrainer")


class _Evaluation:
    """The evaluator of `fit`, and the function that receives its scores."""

    def __init__(self, evaluator: Any, steps: int, callback: Callable[[float, float, int], Any] | None) -> None:
        self.evaluator, self.steps, self.callback = evaluator, steps, callback

    def settings(self, model: Any) -> dict[str, Any]:
        """Return the arguments of training: with a model those that keep the best weights."""
        if self.evaluator is None:
            return {}
        found: dict[str, Any] = {"eval_strategy": "epoch"}
        if self.steps and self.steps > 0:
            found["recipe"] = {"evaluate": ["epoch", self.steps]}
        if model is not None:
            found |= {"load_best_model_at_end": True, "metric_for_best_model": _primary(self.evaluator, model)}
            found["greater_is_better"] = getattr(self.evaluator, "greater_is_better", True)
        return found

    def report(self, event: str, row: dict[str, Any], state: Any) -> None:
        """Pass the score of an evaluation to the function of the caller."""
        if event == "evaluate" and self.callback is not None and self.evaluator is not None:
            score = row.get(f"eval_{getattr(self.evaluator, 'primary_metric', None) or 'evaluator'}")
            self.callback(score, state.epoch, state.global_step)


def _trainer(
    model: Any,
    kind: Any,
    folder: str,
    settings: dict[str, Any],
    data: dict[str, Any],
    losses: dict[str, Any],
    measured: _Evaluation,
) -> Any:
    """Return the trainer of a call of `fit`."""
    evaluator, callbacks = measured.evaluator, [measured.report]
    return kind(model, kind.args_class(folder, **settings), data, loss=losses, evaluator=evaluator, callbacks=callbacks)


def _objectives(objectives: Iterable[tuple[Any, Any]]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return data and losses by name, and the arguments of training for their batches."""
    data: dict[str, Any] = {}
    losses: dict[str, Any] = {}
    batch_size, sampler = 8, "batch_sampler"
    for number, (loader, loss) in enumerate(objectives, start=1):
        name = f"_dataset_{number}"
        data[name], losses[name] = columns_of_examples(_examples(loader, number), name), loss
        batch_size = getattr(loader, "batch_size", None) or batch_size
        if type(loader).__name__ == "NoDuplicatesDataLoader":
            sampler = "no_duplicates"
        elif type(getattr(loader, "dataset", loader)).__name__ == "SentenceLabelDataset":
            sampler = "group_by_label"
    if not data:
        raise ValueError("train_objectives is empty; expected pairs of examples and a loss")
    settings = {"per_device_train_batch_size": batch_size, "batch_sampler": sampler}
    return data, losses, {**settings, "multi_dataset_batch_sampler": "round_robin"}


def _examples(loader: Any, number: int) -> list[Any]:
    for attribute in ("dataset", "train_examples"):
        loader = getattr(loader, attribute, loader)
    try:
        return [loader[index] for index in range(len(loader))]
    except TypeError:
        raise TypeError(
            f"the examples of objective {number} are of type {type(loader).__name__}; expected a list of InputExample, or an "
            "object with such a list as `dataset`; streams are not supported"
        ) from None


def _schedule(name: str) -> dict[str, Any]:
    """Return the argument of training for a schedule of the reference."""
    if name.lower() not in _SCHEDULES:
        raise ValueError(f"scheduler is {name!r}; expected one of {', '.join(_SCHEDULES)}")
    return {"lr_scheduler_type": _SCHEDULES[name.lower()]}


def _optimizer(kind: Any, parameters: dict[str, Any] | None) -> dict[str, Any]:
    """Return the arguments of the trainer for an optimizer of PyTorch."""
    name = "AdamW" if kind is None else getattr(kind, "__name__", str(kind))
    if name != "AdamW":
        raise NotImplementedError(f"optimizer_class is {name}; use AdamW, or optim of SentenceTransformerTrainingArguments")
    given = {"lr": 2e-5, **(parameters or {})}
    beta1, beta2 = given.pop("betas", (0.9, 0.999))
    if unknown := sorted(set(given) - set(_OPTIMIZER)):
        raise NotImplementedError(f"optimizer_params has {unknown[0]!r}; expected lr, eps, betas or weight_decay")
    return {"adam_beta1": beta1, "adam_beta2": beta2, **{_OPTIMIZER[key]: value for key, value in given.items()}}


def _primary(evaluator: Any, model: Any) -> str:
    """Return the name of the primary measure of an evaluator, which may have to be called for it."""
    if getattr(evaluator, "primary_metric", None) is None and not isinstance(evaluator(model, None, 0, 0), dict):
        return "evaluator"
    name = getattr(evaluator, "primary_metric", None)
    if name is None:
        raise ValueError(f"{type(evaluator).__name__} has no primary_metric; set it, or save_best_model=False")
    return str(name)


def _new_folder() -> str:
    """Return a folder of `checkpoints` that does not exist."""
    number = 0
    while os.path.exists(path := os.path.join("checkpoints", f"model_{number}" if number else "model")):
        number += 1
    return path
