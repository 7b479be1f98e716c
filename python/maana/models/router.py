"""`Router`: different modules for queries and documents."""

from __future__ import annotations

import os
from ast import literal_eval
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._files import read_json, write_json
from ._module import Module
from .chain import class_name, read_module

if TYPE_CHECKING:
    from typing_extensions import Self


class Router(Module):
    """Modules that depend on the task of a text.

    Args:
        sub_modules: The modules of each route: ``query`` and ``document``.
        default_route: Route of texts without a task. Default: the first one.
        allow_empty_key: Texts without a task take the first route, if there is no default.
        route_mappings: Route of each task and modality, ``{("query", "text"): "query"}``, either of which
            may be ``None`` for any. The only modality is ``text``.

    Raises:
        ValueError: If there is no module, or no such route.

    Example:
        >>> Router.for_query_document([query_encoder], [encoder, pooling])  # doctest: +SKIP
    """

    config_file_name = "router_config.json"
    save_in_root = True

    def __init__(
        self,
        sub_modules: Mapping[str, Sequence[Module]],
        default_route: str | None = None,
        allow_empty_key: bool = True,
        route_mappings: Mapping[Any, str] | None = None,
    ) -> None:
        if not sub_modules:
            raise ValueError("The sub_modules dictionary cannot be empty.")
        if default_route is not None and default_route not in sub_modules:
            raise ValueError(f"Default route '{default_route}' not found in route keys: {list(sub_modules)}")
        self.route_mappings = dict(route_mappings or {})
        for key, route in self.route_mappings.items():
            if route not in sub_modules:
                raise ValueError(f"route_mappings[{key!r}] is {route!r}, which is not in sub_modules: {list(sub_modules)}")
        self.sub_modules = {name: list(modules) for name, modules in sub_modules.items()}
        self.default_route = next(iter(sub_modules)) if allow_empty_key and default_route is None else default_route
        self.allow_empty_key = allow_empty_key

    @classmethod
    def for_query_document(
        cls,
        query_modules: Sequence[Module],
        document_modules: Sequence[Module],
        default_route: str | None = "document",
        allow_empty_key: bool = True,
    ) -> Self:
        """Return a router with modules for queries and modules for documents."""
        return cls({"query": query_modules, "document": document_modules}, default_route, allow_empty_key)

    def get_config_dict(self) -> dict[str, Any]:
        mappings = {str(key): route for key, route in self.route_mappings.items()}
        return {"default_route": self.default_route, "allow_empty_key": self.allow_empty_key, "route_mappings": mappings}

    def _write(self, folder: str, place: Any) -> None:
        names: dict[int, str] = {}
        types, structure = {}, {}
        for route, modules in self.sub_modules.items():
            structure[route] = []
            for index, module in enumerate(modules):
                # A module of several routes is written once.
                if id(module) not in names:
                    name = names[id(module)] = f"{route}_{index}_{type(module).__name__}"
                    types[name] = class_name(module)
                    module._write(os.path.join(folder, name), place)
                structure[route].append(names[id(module)])
        config = {"types": types, "structure": structure, "parameters": self.get_config_dict()}
        write_json(os.path.join(folder, self.config_file_name), config)

    @classmethod
    def load(cls, model_name_or_path: str | os.PathLike[str], subfolder: str = "", **kwargs: Any) -> Self:
        folder = os.path.join(os.fspath(model_name_or_path), subfolder)
        path = os.path.join(folder, cls.config_file_name)
        config = read_json(path if os.path.isfile(path) else os.path.join(folder, "config.json"))
        modules = {name: read_module(kind, os.path.join(folder, name)) for name, kind in config["types"].items()}
        routes = {route: [modules[name] for name in names] for route, names in config["structure"].items()}
        parameters = config.get("parameters", {})
        mappings = {literal_eval(key): route for key, route in parameters.get("route_mappings", {}).items()}
        return cls(routes, parameters.get("default_route"), parameters.get("allow_empty_key", True), mappings)

    def __repr__(self) -> str:
        routes = "".join(f"  ({name}): {modules}\n" for name, modules in self.sub_modules.items())
        return f"{type(self).__name__}({self.get_config_dict()}\n{routes})"


class Asym(Router):
    """A router of older programs: `Router`."""
