"""What the reference's trainer has and this one refuses by name, each with its remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_LOSS = "write a loss in Python instead (maana.losses.PythonLoss)"
_EVALUATOR = "pass an evaluator: any function of the model"
_TOKENIZER = "the model's folder has the tokenizer"
_OPTIMIZER = "set optim, learning_rate and lr_scheduler_type of the arguments, or recipe={'optimizer': …}"

#: Arguments of the trainer.
ARGUMENTS = {
    "data_collator": "batches are made by the engine; prompts and router_mapping of the arguments prepare their columns",
    "processing_class": _TOKENIZER,
    "tokenizer": _TOKENIZER,
    "compute_metrics": _EVALUATOR,
    "optimizers": _OPTIMIZER,
    "optimizer_cls_and_kwargs": _OPTIMIZER,
    "preprocess_logits_for_metrics": _EVALUATOR,
}

#: Methods of the trainer that a subclass may override in the reference.
METHODS = {
    "compute_loss": _LOSS,
    "compute_loss_context_manager": _LOSS,
    "prepare_loss": _LOSS,
    "get_default_loss": "pass loss",
    "training_step": _LOSS,
    "prediction_step": _EVALUATOR,
    "evaluation_loop": _EVALUATOR,
    "evaluate": _EVALUATOR,
    "log": "pass a callback",
    "collect_features": "prompts and router_mapping of the arguments prepare the columns",
    "get_train_dataloader": "pass the rows as train_dataset",
    "get_eval_dataloader": "pass the rows as eval_dataset",
    "get_batch_sampler": "set batch_sampler of the arguments",
    "get_multi_dataset_batch_sampler": "set multi_dataset_batch_sampler of the arguments",
    "preprocess_dataset": "change the rows before they are passed",
    "create_optimizer": _OPTIMIZER,
    "create_scheduler": _OPTIMIZER,
    "create_optimizer_and_scheduler": _OPTIMIZER,
    "get_optimizer_cls_and_kwargs": _OPTIMIZER,
    "_save": "use save_model after train",
    "_load_best_model": "set load_best_model_at_end of the arguments",
}


def refuse_arguments(others: dict[str, Any]) -> None:
    """Raise an error for arguments that the trainer does not have.

    Raises:
        NotImplementedError: If the reference has the argument; the message has the remedy.
        TypeError: If it has not.
    """
    for name, value in others.items():
        if name not in ARGUMENTS:
            raise TypeError(f"the trainer has no argument {name!r}")
        if value is not None and value != (None, None):
            raise NotImplementedError(f"{name} is not supported: {ARGUMENTS[name]}")


def refuse_overrides(kind: type, base: type) -> None:
    """Raise an error for a subclass of a trainer that overrides a method which is not called here.

    Raises:
        NotImplementedError: The message names the method and the remedy.
    """
    for each in kind.__mro__[: kind.__mro__.index(base)]:
        if each.__module__.startswith("maana."):
            continue
        for name, remedy in METHODS.items():
            if name in vars(each):
                raise NotImplementedError(f"{each.__name__} overrides {name}, which is not called here: {remedy}")


def refused_names(module: str, names: dict[str, str]) -> Callable[[str], Any]:
    """Return the function ``__getattr__`` of a module that refuses names, each with its remedy."""

    def refuse(name: str) -> Any:
        if name in names:
            # `from … import NAME` shows the message of no other exception.
            raise ImportError(f"{name} is not supported: {names[name]}")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return refuse


def refused_class(name: str, remedy: str) -> type:
    """Return a class with the name of one that is not supported; an object of it cannot be made."""

    def refuse(self: Any, *arguments: Any, **keywords: Any) -> None:
        raise NotImplementedError(f"{name} is not supported: {remedy}")

    return type(name, (), {"__init__": refuse, "__doc__": f"Not supported: {remedy}."})
