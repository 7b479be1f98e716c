"""Code that models of both tasks share: opening, prompts and pickling."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from functools import cached_property
from typing import TYPE_CHECKING, Any

from . import _maana
from ._access import check_device, open_access, precision_of
from ._files import link_file, read_files, write_files
from ._tokenizer import Tokenizer
from .models._module import check_safe
from .models.chain import write_chain

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
    #: Cached properties that belong to the folder that is open.
    _derived: tuple[str, ...] = ("tokenizer",)
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

    # Folders

    def save_pretrained(
        self,
        path: str | os.PathLike[str],
        model_name: str | None = None,
        create_model_card: bool = True,
        train_datasets: list[str] | None = None,
        safe_serialization: bool = True,
    ) -> None:
        """Write the model as a folder of Sentence Transformers, with its prompts and settings.

        The folder appears whole or not at all; an older model in its place is replaced.

        Args:
            path: The folder.
            model_name: Name on the hub, for the examples of the card.
            create_model_card: Write `README.md`: the card of the folder from which the model was
                opened, or a new one.
            train_datasets: Ignored, as in the reference: the card of a run names its data.
            safe_serialization: Weights are always safetensors; ``False`` is refused.

        Raises:
            ValueError: If the folder holds anything but a model.
            NotImplementedError: If ``safe_serialization`` is false.
        """
        check_safe(safe_serialization)
        self._save(os.fspath(path), {"create": create_model_card, "id": model_name})

    save = save_pretrained

    def _save(self, path: str, card: dict[str, Any]) -> None:
        raise NotImplementedError

    def push_to_hub(
        self,
        repo_id: str,
        token: str | None = None,
        private: bool | None = None,
        safe_serialization: bool = True,
        commit_message: str | None = None,
        local_model_path: str | os.PathLike[str] | None = None,
        exist_ok: bool = False,
        replace_model_card: bool = False,
        train_datasets: list[str] | None = None,
        revision: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Push the model to the hub in one commit.

        Args:
            repo_id: Name on the hub, ``organisation/model``.
            token: Access token. Default: that of the environment or of ``hf auth login``.
            private: Create a private repository, and refuse a public one.
            safe_serialization: Weights are always safetensors; ``False`` is refused.
            commit_message: Summary of the commit.
            local_model_path: Folder to push instead of this model, such as that of a run.
            exist_ok: Push to a repository that exists.
            replace_model_card: Replace the card of the repository. By default, as in the reference,
                a card that is there is kept, unless ``local_model_path`` is given.
            train_datasets: Ignored, as in the reference: the card of a run names its data.
            revision: Branch to push to, created if necessary.
            create_pr: Open a pull request instead of changing the branch.

        Returns:
            The page of the commit or of the pull request.

        Raises:
            FileExistsError: If the repository exists, without ``exist_ok`` and ``create_pr``.
            ValueError: If the name is not valid, or there is no token.
            NotImplementedError: If ``safe_serialization`` is false.
            OSError: If the hub cannot be reached or refuses the push.
        """
        check_safe(safe_serialization)
        with tempfile.TemporaryDirectory() as parent:
            folder = local_model_path or os.path.join(parent, "model")
            if local_model_path is None:
                self.save_pretrained(folder, repo_id)
            settings = {
                "token": token,
                "private": bool(private),
                "revision": revision,
                "message": commit_message or f"Add new {type(self).__name__} model",
                "pull_request": create_pr,
                "only_new": not exist_ok and not create_pr,
                "keep_card": not replace_model_card and local_model_path is None,
            }
            return _maana.push(folder, repo_id, settings)

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
