"""The base class of modules, and the folders in which they are kept."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, ClassVar

from .._access import check_safe
from .._files import place_files, read_json, write_json

if TYPE_CHECKING:
    from typing_extensions import Self

#: Files of a model that are not those of its first module, which may lie in the same folder.
OF_MODEL = ("README.md", "config_sentence_transformers.json", "modules.json", "router_config.json")


class Module:
    """A module of a model: its configuration, and the files of its weights.

    Attributes:
        folder: Folder of the files, if the module was opened from one.
    """

    #: File of the configuration.
    config_file_name: ClassVar[str] = "config.json"
    #: Names of the arguments that the configuration has.
    config_keys: ClassVar[tuple[str, ...]] = ()
    #: The module lies in the folder of the model itself if it is the first one.
    save_in_root: ClassVar[bool] = False

    #: Classes of modules by name.
    kinds: ClassVar[dict[str, type[Module]]] = {}

    folder: str | None = None

    def __init_subclass__(cls) -> None:
        # Classes of programs are written under their names, and refused by them when they are opened.
        if cls.__module__.startswith(f"{__package__}."):
            Module.kinds[cls.__name__] = cls

    def get_config_dict(self) -> dict[str, Any]:
        """Return the configuration."""
        return {key: getattr(self, key) for key in self.config_keys}

    def save(self, output_path: str | os.PathLike[str], *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write configuration and weights into a folder.

        Raises:
            NotImplementedError: If ``safe_serialization`` is false.
        """
        check_safe(safe_serialization)
        self._write(os.fspath(output_path), shutil.copyfile)

    def _write(self, folder: str, place: Any) -> None:
        """Write the module into a folder. ``place`` copies or links a large file."""
        write_json(os.path.join(folder, self.config_file_name), self.get_config_dict())
        if self.folder is not None:
            place_files(self.folder, folder, (self.config_file_name,), place)

    @classmethod
    def load(cls, model_name_or_path: str | os.PathLike[str], subfolder: str = "", **kwargs: Any) -> Self:
        """Open a module from its folder."""
        folder = os.path.join(os.fspath(model_name_or_path), subfolder)
        path = os.path.join(folder, cls.config_file_name)
        module = cls(**cls._arguments(read_json(path) if os.path.isfile(path) else {}))
        module.folder = folder
        return module

    @classmethod
    def _arguments(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of the constructor for a configuration."""
        return {key: config[key] for key in cls.config_keys if key in config}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.get_config_dict()})"


def refuse_others(values: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Raise an error for arguments that differ from the only supported value.

    Raises:
        NotImplementedError: If there is one; the message names it.
    """
    for name, default in defaults.items():
        if values[name] is not None and values[name] != default:
            remedy = "omit it" if default is None else f"expected {default!r}"
            raise NotImplementedError(f"{name}={values[name]!r:.60} is not supported; {remedy}")
