"""Losses written in Python, for the native trainer."""

from __future__ import annotations

import inspect
import json
from typing import Any, Callable

import numpy as np

from ._arrays import is_tensor

#: Receives the embeddings of each column, the labels, and for cross-encoders the start of each row's
#: pairs; returns the loss and the gradients.
Native = Callable[..., tuple[float, list[np.ndarray]]]


def native(loss: Any) -> Native:
    """Return a loss as the function that the native trainer calls.

    Raises:
        TypeError: If the loss cannot be called.
        ValueError: If it has parameters of its own, which would not train.
    """
    call = _method(loss)
    parameters = getattr(loss, "parameters", None)
    if callable(parameters) and any(getattr(each, "requires_grad", False) for each in parameters()):
        raise ValueError(f"{type(loss).__name__} has parameters of its own, which do not train here; use a loss without")
    with_tensors = hasattr(loss, "compute_loss_from_embeddings") or _is_module(loss)

    def function(
        embeddings: list[np.ndarray], labels: np.ndarray | None, starts: list[int] | None = None
    ) -> tuple[float, list[np.ndarray]]:
        numbers = _squeezed(labels)
        if starts is not None:
            return _of_pairs(call, loss, with_tensors, embeddings[0], numbers, starts)
        if with_tensors:
            return _by_autograd(call, embeddings, numbers)
        return _checked(call(embeddings, numbers), loss)

    return function


def _squeezed(numbers: np.ndarray | None) -> np.ndarray | None:
    """Return a matrix with one column as a vector, others as they are."""
    return numbers[:, 0] if numbers is not None and numbers.shape[1] == 1 else numbers


def _of_pairs(
    call: Callable[..., Any],
    loss: Any,
    with_tensors: bool,
    logits: np.ndarray,
    labels: np.ndarray | None,
    starts: list[int],
) -> tuple[float, list[np.ndarray]]:
    """Call a loss of a cross-encoder with the logits of all pairs."""
    further = {"starts": starts} if "starts" in inspect.signature(call).parameters else {}

    def of_one(columns: list[Any], numbers: Any) -> Any:
        return call(columns[0], numbers, **further)

    scores = np.ascontiguousarray(_squeezed(logits))
    if with_tensors:
        value, gradients = _by_autograd(of_one, [scores], labels)
    else:
        result = of_one([scores], labels)
        if isinstance(result, tuple) and len(result) == 2 and not isinstance(result[1], (list, tuple)):
            result = (result[0], [result[1]])
        value, gradients = _checked(result, loss, "(value, gradient of the logits)")
    shapes = [gradient.shape for gradient in gradients]
    if shapes != [scores.shape]:
        name = getattr(loss, "__name__", type(loss).__name__)
        raise ValueError(f"the loss {name} returned gradients of the shapes {shapes} for logits of the shape {scores.shape}")
    return value, [gradients[0].reshape(logits.shape)]


def parameters_of(loss: Any) -> str:
    """Return the parameters of a loss for the model card, as JSON."""
    config = getattr(loss, "get_config_dict", None)
    return json.dumps(config() if callable(config) else {}, default=str)


def _method(loss: Any) -> Callable[..., Any]:
    """Return the function of embeddings and labels."""
    for name in ("compute_loss_from_embeddings", "forward"):
        if callable(method := getattr(loss, name, None)):
            return method
    if callable(loss):
        return loss
    raise TypeError(
        f"the loss is of type {type(loss).__name__}; expected one of maana.losses, a function of embeddings and labels, "
        "or an object with a method `forward`"
    )


def _is_module(loss: Any) -> bool:
    """Return whether a loss is a module of PyTorch, without importing it."""
    return any(f"{kind.__module__}.{kind.__name__}" == "torch.nn.modules.module.Module" for kind in type(loss).__mro__)


def _by_autograd(
    call: Callable[..., Any], embeddings: list[np.ndarray], labels: np.ndarray | None
) -> tuple[float, list[np.ndarray]]:
    """Call a loss with tensors, and return the gradients that PyTorch computes."""
    import torch

    tensors = [torch.from_numpy(column).requires_grad_() for column in embeddings]
    value = call(tensors, None if labels is None else torch.from_numpy(labels))
    if not is_tensor(value) or value.numel() != 1:
        raise ValueError(f"a loss of PyTorch returned {type(value).__name__}; expected a tensor with one number")
    if value.requires_grad:
        value.backward()
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in tensors]
    return value.item(), [np.ascontiguousarray(each.numpy(), np.float32) for each in gradients]


def _checked(
    result: Any, loss: Any, expected: str = "(value, gradients of the columns)"
) -> tuple[float, list[np.ndarray]]:
    """Return the result of a function, or raise an exception that says what is expected."""
    name = getattr(loss, "__name__", type(loss).__name__)
    if not isinstance(result, tuple) or len(result) != 2:
        raise ValueError(f"the loss {name} returned {type(result).__name__}; expected {expected}")
    value, gradients = result
    return float(value), [np.ascontiguousarray(gradient, dtype=np.float32) for gradient in gradients]
