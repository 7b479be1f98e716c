"""Callbacks of a run: functions, and objects with the methods of ``transformers.TrainerCallback``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

__all__ = ["EarlyStoppingCallback", "TrainerControl"]

#: Methods of callbacks that a run calls.
METHODS = ("on_init_end", "on_train_begin", "on_epoch_end", "on_step_end", "on_log", "on_evaluate", "on_train_end")


class EarlyStoppingCallback:
    """Ends a run whose evaluations no longer improve ``metric_for_best_model``.

    Args:
        early_stopping_patience: Number of evaluations in a row without an improvement.
        early_stopping_threshold: Smallest improvement that counts.
    """

    def __init__(self, early_stopping_patience: int = 1, early_stopping_threshold: float | None = 0.0) -> None:
        self.early_stopping_patience, self.early_stopping_threshold = early_stopping_patience, early_stopping_threshold


@dataclass
class TrainerControl:
    """Wishes of a callback. A run looks at ``should_training_stop`` only.

    Attributes:
        should_training_stop: End the run with the weights of this moment.
    """

    should_training_stop: bool = False
    should_epoch_stop: bool = False
    should_save: bool = False
    should_evaluate: bool = False
    should_log: bool = False


class CallbackMethods:
    """Calls the methods of a callback for the events of a run.

    Raises:
        NotImplementedError: If the callback has a method that a run does not call.
    """

    def __init__(self, callback: Any, trainer: Any) -> None:
        self.callback, self.trainer, self.control = callback, trainer, TrainerControl()
        self.step, self.epoch = 0, 0
        others = sorted(name for name in _methods(type(callback)) if name not in METHODS)
        if others:
            raise NotImplementedError(
                f"{type(callback).__name__} has the method {others[0]}, which a run does not call; "
                f"use one of {', '.join(METHODS)}"
            )
        self.call("on_init_end")

    def call(self, method: str, **values: Any) -> None:
        """Call a method of the callback, if it has it."""
        function = getattr(self.callback, method, None)
        if callable(function):
            trainer = self.trainer
            changed = function(trainer.args, trainer.state, self.control, model=trainer.model, **values)
            self.control = changed or self.control

    def __call__(self, event: str, row: dict[str, Any], state: Any) -> bool:
        """Pass an event on; return true to end the run."""
        if event == "step" and state.global_step > self.step:
            self.step = state.global_step
            self.call("on_step_end")
        elif event == "log":
            self.call("on_log", logs=dict(row))
        elif event == "evaluate":
            self.call("on_log", logs=dict(row))
            self.call("on_evaluate", metrics=dict(row))
        if int(state.epoch) > self.epoch:
            self.epoch = int(state.epoch)
            self.call("on_epoch_end")
        return self.ends

    @property
    def ends(self) -> bool:
        """Whether the callback ends the run."""
        return self.control.should_training_stop


def of_callbacks(callbacks: list[Any], trainer: Any) -> tuple[list[Callable[..., Any]], dict[str, Any]]:
    """Return callbacks as functions, and the settings of ``[training]`` of those for early stopping.

    Raises:
        TypeError: If a callback is neither a function nor an object with methods.
    """
    functions: list[Callable[..., Any]] = []
    training: dict[str, Any] = {}
    for callback in callbacks:
        callback = callback() if isinstance(callback, type) else callback
        if hasattr(callback, "early_stopping_patience"):
            training["early_stopping_patience"] = callback.early_stopping_patience
            training["early_stopping_threshold"] = callback.early_stopping_threshold or 0.0
        elif _methods(type(callback)):
            functions.append(CallbackMethods(callback, trainer))
        elif callable(callback):
            functions.append(callback)
        else:
            raise TypeError(
                f"a callback is of type {type(callback).__name__}; expected a function of event, values and state, or an "
                "object with methods of TrainerCallback"
            )
    return functions, training


def _methods(kind: type) -> set[str]:
    """Return the names of the methods ``on_…`` that a class defines, without those of the base class
    of transformers."""
    classes = (each for each in kind.__mro__ if each.__name__ != "TrainerCallback")
    return {name for each in classes for name in vars(each) if name.startswith("on_")}
