"""The modules of a model, one behind the other: `modules.json`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from .._files import read_json, write_json
from ._module import Module

#: Package of the classes that `modules.json` names.
_PACKAGE = "sentence_transformers.models"


def class_name(module: Module) -> str:
    """Return the class of a module as folders name it."""
    return f"{_PACKAGE}.{type(module).__name__}"


def read_module(kind: str, folder: str) -> Module:
    """Open a module of a class from its folder.

    Raises:
        ValueError: If there is no such class.
    """
    found = Module.kinds.get(kind.rsplit(".", 1)[-1])
    if found is None:
        raise ValueError(f"{folder}: the module {kind!r} is not supported; expected one of {sorted(Module.kinds)}")
    return found.load(folder)


def write_chain(modules: Sequence[Any], folder: str, place: Any) -> None:
    """Write modules as the folder of a model. ``place`` copies or links a large file.

    Raises:
        TypeError: If one is not a module of this package.
        ValueError: If there is none.
    """
    if isinstance(modules, Mapping):
        modules = list(modules.values())
    if not modules:
        raise ValueError("modules is empty; expected at least one module, such as a Transformer")
    entries = []
    for index, module in enumerate(modules):
        if not isinstance(module, Module):
            kind = f"{type(module).__module__}.{type(module).__name__}"
            raise TypeError(f"modules[{index}] is of type {kind}; expected a module of maana.models, not one in PyTorch")
        if type(module).__name__ not in Module.kinds:
            raise TypeError(
                f"modules[{index}] is of the class {type(module).__name__}, which computes in PyTorch; expected a module "
                f"of maana.models"
            )
        path = "" if index == 0 and module.save_in_root else f"{index}_{type(module).__name__}"
        module._write(os.path.join(folder, path), place)
        entries.append({"idx": index, "name": str(index), "path": path, "type": class_name(module)})
    write_json(os.path.join(folder, "modules.json"), entries)


def read_chain(folder: str, summary: Mapping[str, Any]) -> list[Module]:
    """Return the modules of a folder; of a plain encoder, those with which it was opened."""
    path = os.path.join(folder, "modules.json")
    if os.path.isfile(path):
        return [read_module(entry["type"], os.path.join(folder, entry["path"])) for entry in read_json(path)]
    modules: list[Module] = []
    for module in summary["modules"]:
        kind = Module.kinds[module["kind"]]
        if kind.save_in_root:
            modules.append(kind.load(folder))
        elif module["kind"] == "Pooling":
            modules.append(kind(summary["hidden_size"]))
        else:
            modules.append(kind())
    return modules
