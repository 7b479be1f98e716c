"""The modules of a model that is open, as programs read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ._base import BaseModel
from ._tokenizer import Tokenizer
from .models import Module, Pooling, Router, Transformer
from .models.chain import read_chain
from .models.transformer import AutoModel

if TYPE_CHECKING:
    from typing_extensions import Self


class ModuleAccess(BaseModel):
    """A model with the modules of `maana.models`."""

    _summary: dict[str, Any]
    _derived = ("tokenizer", "_modules")

    @cached_property
    def _modules(self) -> list[Module]:
        return read_chain(self.native.folder, self._summary)

    def __len__(self) -> int:
        """Return the number of modules."""
        return len(self._summary["modules"])

    def __getitem__(self, index: int | slice) -> Any:
        """Return a module of `maana.models`, or a list of some."""
        return self._modules[index]

    def __iter__(self) -> Iterator[Module]:
        """Iterate over the modules."""
        return iter(self._modules)

    def children(self) -> Iterator[Module]:
        """Iterate over the modules."""
        return iter(self._modules)

    def append(self, module: Module) -> Self:
        """Put a module behind the others, and return the model."""
        self._rebuild([*self, module])
        self._summary["modules"] = json.loads(self.native.summary())["modules"]
        return self

    def add_module(self, name: str, module: Module) -> None:
        """Put a module behind the others. Modules are called by their numbers."""
        self.append(module)

    def _first_module(self) -> Module:
        return self._modules[0]

    def _last_module(self) -> Module:
        return self._modules[-1]

    @property
    def transformers_model(self) -> AutoModel | None:
        """The place of the encoder in PyTorch, whose `config` programs read; ``None`` without one."""
        encoder = self._encoder_module()
        return None if encoder is None else encoder.auto_model

    @property
    def config(self) -> Any:
        """The fields of the encoder's `config.json`; ``None`` without one."""
        encoder = self._encoder_module()
        return None if encoder is None else encoder.config

    @property
    def processor(self) -> Tokenizer:
        """The tokenizer of the model."""
        return self.tokenizer

    def _encoder_module(self) -> Transformer | None:
        routes = [chain for module in self if isinstance(module, Router) for chain in module.sub_modules.values()]
        everything = [module for chain in (self._modules, *routes) for module in chain]
        return next((module for module in everything if isinstance(module, Transformer)), None)

    def _tokenizer_folder(self) -> str:
        encoder = self._encoder_module()
        return self.native.folder if encoder is None else str(encoder.folder)

    def set_pooling_include_prompt(self, include_prompt: bool) -> None:
        """Pool the tokens of prompts too, or not."""
        modules = list(self)
        for module in modules:
            if isinstance(module, Pooling):
                module.include_prompt = include_prompt
        self._rebuild(modules)

    def _rebuild(self, modules: list[Module]) -> None:
        """Build the model of other modules; it stays as it is if they do not fit together."""
        before = self._built
        try:
            self._build(modules)
            self._open_folder(self._built.name, self.max_seq_length)
        except Exception:
            self._built = before
            raise

    def __repr__(self) -> str:
        modules = "".join(f"  ({number}): {module!r}\n" for number, module in enumerate(self))
        return f"SentenceTransformer(\n{modules})"
