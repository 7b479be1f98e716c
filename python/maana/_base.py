"""Code that models of both tasks share: opening, prompts and pickling."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger("maana")


class BaseModel:
    """A model of the native module.

    Attributes:
        native: The model itself, of the class `_native_class`.
        name: Name or path under which the model was opened.
        prompts: Texts in front of texts, by name.
        default_prompt_name: Name of the prompt for texts without one.
    """

    #: Class of the native module.
    _native_class: Any = None

    #: Further arguments of its constructor.
    _native_options: dict[str, Any] = {}

    native: Any
    name: str
    prompts: dict[str, str]
    default_prompt_name: str | None
    max_seq_length: int

    def _open(
        self,
        name: str | os.PathLike[str] | None,
        *,
        modules: Any,
        device: str | None,
        revision: str | None,
        cache_folder: str | None,
        token: bool | str | None,
        local_files_only: bool,
        precision: str,
    ) -> dict[str, Any]:
        """Open the model by the arguments of its constructor, and return its summary."""
        if name is None or modules is not None:
            raise NotImplementedError("a model is opened from a folder or a name; `modules` is not supported")
        check_device(device)
        self.name = os.fspath(name)
        located = f"{self.name}@{revision}" if revision and not os.path.isdir(self.name) else self.name
        self._precision, self._cache = precision, cache_folder
        access = _access(cache_folder, token, local_files_only)
        self.native = self._native_class(located, precision, access, **self._native_options)
        for notice in self.native.notices:
            logger.warning(notice)
        return json.loads(self.native.summary())

    def _set_prompts(self, prompts: dict[str, str], default_prompt_name: str | None) -> None:
        """Set the prompts, and the name of the prompt for texts without one."""
        self.prompts, self.default_prompt_name = prompts, default_prompt_name
        if default_prompt_name is not None and default_prompt_name not in prompts:
            raise ValueError(
                f"Default prompt name '{default_prompt_name}' not found in the configured prompts "
                f"dictionary with keys {list(prompts)!r}."
            )

    def _resolve_prompt(self, prompt: str | None, prompt_name: str | None) -> str:
        """Return the prompt that is given, named or the default; the empty text if there is none."""
        if prompt is not None:
            if prompt_name is not None:
                logger.warning("Both `prompt` and `prompt_name` are given; `prompt_name` is ignored.")
            return prompt
        if prompt_name is not None:
            if prompt_name not in self.prompts:
                raise ValueError(
                    f"Prompt name '{prompt_name}' not found in the configured prompts dictionary with keys "
                    f"{list(self.prompts)!r}."
                )
            return self.prompts[prompt_name]
        return self.prompts.get(self.default_prompt_name, "") if self.default_prompt_name is not None else ""

    def to(self, device: Any = None, *args: Any, **kwargs: Any) -> Self:
        """Return the model; devices other than the CPU are refused."""
        check_device(device)
        return self

    def eval(self) -> Self:
        """Return the model, which is always in this mode outside training."""
        return self

    def fingerprint(self) -> str:
        """Return digits that identify the model, equal on all machines."""
        return self.native.fingerprint()

    def _reopen(self, folder: str) -> None:
        """Take the weights of a folder, such as that of a finished run."""
        self._open_folder(folder, self.max_seq_length)

    def _open_folder(self, folder: str, max_seq_length: int) -> None:
        access = _access(self._cache, None, True)
        self.native = self._native_class(folder, self._precision, access, **self._native_options)
        # The towers of a Router have lengths of their own, which stay if they were not changed.
        if self.max_seq_length != max_seq_length:
            self.max_seq_length = max_seq_length

    # Pickling: the model is opened again.

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["max_seq_length"], state["folder"] = self.max_seq_length, self.native.folder
        del state["native"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        limit, folder = state.pop("max_seq_length"), state.pop("folder")
        self.__dict__.update(state)
        self._open_folder(folder, limit)


def _access(cache_folder: str | None, token: bool | str | None, local_files_only: bool) -> dict[str, Any]:
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
