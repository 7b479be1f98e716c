"""Arguments with which models are opened and saved."""

from __future__ import annotations

from typing import Any


def open_access(cache_folder: str | None, token: bool | str | None, local_files_only: bool) -> dict[str, Any]:
    """Return where and how a model is looked for, for the native module."""
    secret = token if isinstance(token, str) else None
    access = {"cache_folder": cache_folder, "token": secret, "local_files_only": local_files_only}
    return {**access, "anonymous": token is False}


def refuse(**arguments: dict[str, Any] | None) -> None:
    """Raise an error for arguments that have no meaning here."""
    for name, value in arguments.items():
        if value:
            raise NotImplementedError(f"{name} is not supported: {sorted(value)}; write it into the folder")


#: Types of numbers of ``model_kwargs``, and the precisions that they stand for.
_PRECISION_OF_DTYPE = {"auto": None, "float32": None, "bfloat16": "bfloat16"}


def precision_of(model_kwargs: dict[str, Any] | None, precision: str) -> str:
    """Return the precision that ``model_kwargs`` ask for, else `precision`.

    Raises:
        NotImplementedError: For other arguments of a model in PyTorch; the message names them.
    """
    given = dict(model_kwargs or {})
    dtypes = [str(given.pop(name)).removeprefix("torch.") for name in ("dtype", "torch_dtype") if name in given]
    for dtype in dtypes:
        if dtype not in _PRECISION_OF_DTYPE:
            raise NotImplementedError(f"model_kwargs: dtype {dtype} is not supported; expected float32 or bfloat16")
        precision = _PRECISION_OF_DTYPE[dtype] or precision
    if (attention := given.pop("attn_implementation", None)) not in (None, "eager", "sdpa"):
        raise NotImplementedError(f"model_kwargs: attn_implementation {attention} is not supported; expected sdpa or eager")
    if str(given.get("device_map", "cpu")) in ("None", "auto", "cpu"):
        given.pop("device_map", None)
    refuse(model_kwargs=given)
    return precision


def check_device(device: Any) -> None:
    """Raise an error for a device other than the CPU."""
    if device is not None and str(device).split(":")[0] not in ("cpu", ""):
        raise ValueError(f"device is {device!r}; Maana computes on the CPU: omit it, or use 'cpu'")


def check_safe(safe_serialization: bool) -> None:
    """Raise an error for weights in the format of PyTorch."""
    if not safe_serialization:
        raise NotImplementedError("safe_serialization=False is not supported: weights are written as safetensors; omit it")
