"""Code that models of both tasks share: opening, prompts and pickling."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ._access import check_device, open_access, precision_of
from ._files import link_file, read_files, write_files
from ._saving import Saving
from ._tokenizer import Tokenizer
from .models.chain import write_chain

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger("maana")


class BaseModel(Saving):
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
    #: Cached properties that belong to the folder that is open.
    _derived: tuple[str, ...] = ("tokenizer",)
    #: Folder of a model that was built of modules, which exists as long as the model.
    _built: Any = None
    #: Attributes of the reference that are not supported, with the remedy.
    _refused: dict[str, str] = {}

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
        model_kwargs: dict[str, Any] | None,
        backend: str,
    ) -> dict[str, Any]:
        """Open the model by the arguments of its constructor, and return its summary.

        ``modules`` are those of a model without a name.
        """
        check_device(device)
        if backend != "torch":
            raise NotImplementedError(f"backend is {backend!r}; this engine stands in for 'torch': omit it")
        self._precision = precision_of(model_kwargs, precision)
        self._cache = cache_folder or os.environ.get("SENTENCE_TRANSFORMERS_HOME")
        self._built = None
        if name is None and modules is not None:
            self._build(modules)
            self.name = located = self._built.name
        elif name is None:
            raise ValueError("there is no model: give a folder, a name on the hub, or modules")
        else:
            if modules is not None:
                logger.warning("Both a model and `modules` are given; `modules` is ignored.")
            self.name = os.fspath(name)
            located = f"{self.name}@{revision}" if revision and not os.path.isdir(self.name) else self.name
        access = open_access(self._cache, token, local_files_only)
        self.native = self._native_class(located, self._precision, access, **self._native_options)
        for notice in self.native.notices:
            logger.warning(notice)
        return json.loads(self.native.summary())

    def _build(self, modules: Any) -> None:
        """Write modules to a temporary folder, which exists as long as the model."""
        built = tempfile.TemporaryDirectory(prefix="maana-model-")
        write_chain(modules, built.name, link_file)
        self._built = built

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

    def cpu(self) -> Self:
        """Return the model."""
        return self

    @property
    def device(self) -> Any:
        """Device of the computation: the CPU."""
        try:
            import torch
        except ImportError:
            return "cpu"
        return torch.device("cpu")

    def bfloat16(self) -> Self:
        """Compute in bfloat16 from now on, and return the model."""
        self._precision = "bfloat16"
        self._open_folder(self.native.folder, self.max_seq_length)
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the engine is compiled already."""

    def start_multi_process_pool(self, target_devices: list[str] | None = None) -> dict[str, Any]:
        """Return an empty pool for calls that pass one on."""
        return {"input": None, "output": None, "processes": []}

    @staticmethod
    def stop_multi_process_pool(pool: dict[str, Any]) -> None:
        """Do nothing: there are no processes."""

    def get_backend(self) -> str:
        """Return ``torch``, for which this engine stands in."""
        return "torch"

    @property
    def modalities(self) -> list[str]:
        """Kinds of inputs: texts."""
        return ["text"]

    def supports(self, modality: Any) -> bool:
        """Return whether inputs may be of this kind."""
        return modality == "text"

    @classmethod
    def load(cls, input_path: str | os.PathLike[str]) -> Self:
        """Open a model by its folder or its name."""
        return cls(input_path)

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
        access = open_access(self._cache, None, True)
        self.native = self._native_class(folder, self._precision, access, **self._native_options)
        self._forget()
        # The towers of a Router have lengths of their own, which stay if they were not changed.
        if self.max_seq_length != max_seq_length:
            self.max_seq_length = max_seq_length

    def _forget(self) -> None:
        """Forget what was derived from another folder."""
        for name in self._derived:
            self.__dict__.pop(name, None)

    def evaluate(self, evaluator: Any, output_path: str | None = None) -> Any:
        """Return the measures of an evaluator."""
        return evaluator(self, output_path)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the model."""
        return Tokenizer(self.native.tokenizer(), self._tokenizer_folder(), self.max_seq_length)

    def _tokenizer_folder(self) -> str:
        return self.native.folder

    def __getattr__(self, name: str) -> Any:
        kind = type(self).__name__
        if name in self._refused:
            raise AttributeError(f"{kind}.{name} is not supported: {self._refused[name]}")
        raise AttributeError(f"{kind!r} object has no attribute {name!r}")

    # Pickling: the model is opened again. One that was built of modules carries its files along.

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name not in ("native", *self._derived)}
        state["max_seq_length"], state["folder"] = self.max_seq_length, self.native.folder
        if self._built is not None:
            state["_built"] = read_files(self._built.name) if self._built.name == self.native.folder else None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        limit, folder, files = state.pop("max_seq_length"), state.pop("folder"), state.pop("_built")
        self.__dict__.update(state)
        self._built = None
        if files is not None:
            self._built = tempfile.TemporaryDirectory(prefix="maana-model-")
            write_files(self._built.name, files)
            folder = self._built.name
        self._open_folder(folder, limit)
