"""Names of Python objects as paths, such as ``maana.losses.CoSENTLoss``."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def fullname(obj: Any) -> str:
    """Return the path of a class or a function, or of the class of another object."""
    named = obj if hasattr(obj, "__qualname__") else type(obj)
    return named.__qualname__ if named.__module__ == "builtins" else f"{named.__module__}.{named.__qualname__}"


def import_from_string(dotted_path: str) -> Any:
    """Return the object with a path.

    Raises:
        ImportError: If there is none.
    """
    module, _, name = dotted_path.rpartition(".")
    if not module:
        raise ImportError(f"{dotted_path!r} has no dot; expected the path of a module and a name in it")
    try:
        return getattr(import_module(module), name)
    except AttributeError as error:
        raise ImportError(f"the module {module!r} has no attribute {name!r}") from error
