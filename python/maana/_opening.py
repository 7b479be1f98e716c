"""What the constructors of models share."""

from __future__ import annotations

import os
from typing import Any


def located_name(name: str | os.PathLike[str], revision: str | None) -> tuple[str, str]:
    """Return the name of a model, and the name with its revision."""
    name = os.fspath(name)
    return name, f"{name}@{revision}" if revision and not os.path.isdir(name) else name


def access(cache_folder: str | None, token: bool | str | None, local_files_only: bool) -> dict[str, Any]:
    """Return where and how a model is looked for, for the native module."""
    secret = token if isinstance(token, str) else None
    return {"cache_folder": cache_folder, "token": secret, "local_files_only": local_files_only}


def refuse(**arguments: dict[str, Any] | None) -> None:
    """Raise an error for arguments that have no meaning here."""
    for name, value in arguments.items():
        if value:
            raise NotImplementedError(f"{name} is not supported: {sorted(value)}; write it into the folder")


def check_device(device: Any) -> None:
    """Raise an error for a device other than the CPU."""
    if device is not None and str(device).split(":")[0] not in ("cpu", ""):
        raise ValueError(f"device is {device!r}; Maana computes on the CPU: omit it, or use 'cpu'")
