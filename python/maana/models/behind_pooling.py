"""Modules behind pooling: `Dense`, `LayerNorm`, `Dropout` and `Normalize`."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .. import _maana
from .._arrays import as_floats
from ._module import Module, refuse_others

#: Default of ``activation_function``, which is a module of PyTorch in the reference.
_TANH = "torch.nn.modules.activation.Tanh"

#: The only input, and the usual output.
_EMBEDDING = "sentence_embedding"


class _Weighted(Module):
    """A module with weights, which are arrays until they have a folder."""

    def _tensors(self) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def _write(self, folder: str, place: Any) -> None:
        super()._write(folder, place)
        if self.folder is None:
            _maana.write_tensors(os.path.join(folder, "model.safetensors"), list(self._tensors().items()))


class Dense(_Weighted):
    """A linear transformation with an activation.

    Args:
        in_features: Columns of its input.
        out_features: Columns of its output.
        bias: It has a bias.
        activation_function: A module of PyTorch, such as ``torch.nn.Tanh()``, or the name of its class
            (``"Tanh"``); ``None`` for the identity. Default: the hyperbolic tangent.
        init_weight: Weights, ``(out_features, in_features)``. Default: random, as PyTorch draws them,
            by the state of ``numpy.random``.
        init_bias: Bias, ``(out_features)``. Default: random.
        module_input_name: ``sentence_embedding``.
        module_output_name: ``sentence_embedding``, or ``scores`` for the last module of a cross-encoder.
        use_residual: Add the input to the output, through a matrix if the columns differ.

    Raises:
        ValueError: If the weights have another shape.
        NotImplementedError: For other inputs and outputs.
    """

    config_keys = (
        "in_features",
        "out_features",
        "bias",
        "activation_function",
        "module_input_name",
        "module_output_name",
        "use_residual",
    )

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        activation_function: Any = _TANH,
        init_weight: Any = None,
        init_bias: Any = None,
        module_input_name: str = "sentence_embedding",
        module_output_name: str | None = None,
        use_residual: bool = False,
    ) -> None:
        refuse_others({"module_input_name": module_input_name}, {"module_input_name": _EMBEDDING})
        if module_output_name != "scores":
            refuse_others({"module_output_name": module_output_name}, {"module_output_name": _EMBEDDING})
        self.module_input_name, self.module_output_name = module_input_name, module_output_name or _EMBEDDING
        self.in_features, self.out_features, self.bias = int(in_features), int(out_features), bool(bias)
        self.activation_function = _class_of(activation_function)
        self.use_residual = use_residual
        self._weight = _given("init_weight", init_weight, (self.out_features, self.in_features))
        self._bias = _given("init_bias", init_bias, (self.out_features,)) if self.bias else None

    def get_embedding_dimension(self) -> int:
        """Return the number of columns of the output."""
        return self.out_features

    get_sentence_embedding_dimension = get_embedding_dimension

    def get_config_dict(self) -> dict[str, Any]:
        config = super().get_config_dict()
        # Older versions of the reference refuse fields that they do not know.
        if not self.use_residual:
            del config["use_residual"]
        if self.module_output_name == _EMBEDDING:
            del config["module_input_name"], config["module_output_name"]
        return config

    def _tensors(self) -> dict[str, np.ndarray]:
        bound, shape = 1 / np.sqrt(self.in_features), (self.out_features, self.in_features)
        # Drawn once: each folder of the module has the same weights.
        if self._weight is None:
            self._weight = np.random.uniform(-bound, bound, shape).astype(np.float32)
        tensors = {"linear.weight": self._weight}
        if self.bias:
            if self._bias is None:
                self._bias = np.random.uniform(-bound, bound, shape[:1]).astype(np.float32)
            tensors["linear.bias"] = self._bias
        if self.use_residual and self.in_features != self.out_features:
            if not hasattr(self, "_residual"):
                self._residual = np.random.uniform(-bound, bound, shape).astype(np.float32)
            tensors["residual.weight"] = self._residual
        return tensors


class LayerNorm(_Weighted):
    """Layer normalisation of embeddings.

    Args:
        dimension: Columns of the embeddings.
    """

    config_keys = ("dimension",)

    def __init__(self, dimension: int) -> None:
        self.dimension = int(dimension)

    def get_embedding_dimension(self) -> int:
        """Return the number of columns."""
        return self.dimension

    get_sentence_embedding_dimension = get_embedding_dimension

    def _tensors(self) -> dict[str, np.ndarray]:
        ones, zeros = np.ones(self.dimension, np.float32), np.zeros(self.dimension, np.float32)
        return {"norm.weight": ones, "norm.bias": zeros}


class Dropout(Module):
    """Dropout of embeddings in training.

    Args:
        dropout: Probability that an element is left out.
    """

    config_keys = ("dropout",)

    def __init__(self, dropout: float = 0.2) -> None:
        self.dropout = dropout


class Normalize(Module):
    """Division of embeddings by their lengths.

    Args:
        module_input_name: ``sentence_embedding``.
        module_output_name: ``sentence_embedding``.

    Raises:
        NotImplementedError: For other inputs and outputs.
    """

    def __init__(self, module_input_name: str = "sentence_embedding", module_output_name: str | None = None) -> None:
        for name, columns in (("module_input_name", module_input_name), ("module_output_name", module_output_name)):
            refuse_others({name: columns}, {name: "sentence_embedding"})


def _class_of(function: Any) -> str:
    """Return the class of PyTorch of an activation, as configurations name it."""
    if function is None:
        return "torch.nn.modules.linear.Identity"
    if isinstance(function, str):
        return function if "." in function else f"torch.nn.modules.activation.{function}"
    kind = function if isinstance(function, type) else type(function)
    if not kind.__module__.startswith("torch."):
        raise ValueError(f"activation_function is {function!r:.60}; expected a module of PyTorch or the name of its class")
    return f"{kind.__module__}.{kind.__qualname__}"


def _given(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return weights as an array, if they are given.

    Raises:
        ValueError: If they have another shape.
    """
    if values is None:
        return None
    array = as_floats(values, name)
    if array.shape != shape:
        raise ValueError(f"{name} has the shape {array.shape}; expected {shape}")
    return array
