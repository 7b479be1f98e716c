"""`Transformer`: the encoder of a model."""

from __future__ import annotations

import json
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .. import _maana
from .._access import open_access, precision_of, refuse
from .._files import place_files, read_json, write_json
from .._tokenizer import Tokenizer
from ._module import OF_MODEL, Module, refuse_others

if TYPE_CHECKING:
    from typing_extensions import Self


#: What the encoder computes for each task, and the name of the result.
_OUTPUTS = {
    "feature-extraction": ("last_hidden_state", "token_embeddings"),
    "sequence-classification": ("logits", "scores"),
}


class Config:
    """The fields of the encoder's `config.json` as attributes."""

    def __init__(self, fields: dict[str, Any], name: str) -> None:
        self._name_or_path = self.name_or_path = name
        self.__dict__.update(fields)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_name_or_path", "name_or_path")}

    def __repr__(self) -> str:
        return f"Config({self.to_dict()})"


class AutoModel:
    """The place of the encoder in PyTorch: its configuration, and nothing that computes.

    Attributes:
        config: The fields of `config.json`.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.name_or_path = config.name_or_path

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the encoder has no attribute {name!r}: it has a config and is not a module of PyTorch; "
            f"use SentenceTransformer.encode(output_value=None) for the embeddings of tokens"
        )


class Transformer(Module):
    """The encoder of a model: a BERT, MPNet, ModernBERT or another encoder that the engine has.

    Args:
        model_name_or_path: A folder, or a name on the hub.
        transformer_task: ``feature-extraction``, or ``sequence-classification`` for a cross-encoder that
            has the head of its folder.
        model_kwargs: ``dtype``, ``attn_implementation`` and ``device_map`` at values that change nothing.
        processor_kwargs: ``{"model_max_length": tokens}``.
        backend: ``torch``, the default of the reference, for the engine of this package.
        unpad_inputs: Accepted: texts are never padded.
        max_seq_length: Number of tokens of a text that are read.
        do_lower_case: Make texts lower case first.

    Other arguments are accepted at their defaults only.

    Raises:
        FileNotFoundError: If there is no such folder or model.
        NotImplementedError: For arguments that are not supported.
    """

    config_file_name = "sentence_bert_config.json"
    save_in_root = True

    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str],
        *,
        transformer_task: str = "feature-extraction",
        model_kwargs: dict[str, Any] | None = None,
        processor_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        processing_kwargs: dict[str, Any] | None = None,
        backend: str = "torch",
        modality_config: dict[str, Any] | None = None,
        module_output_name: str | None = None,
        unpad_inputs: bool | None = None,
        query_length: int | None = None,
        document_length: int | None = None,
        query_expansion: dict[str, Any] | None = None,
        max_seq_length: int | None = None,
        do_lower_case: bool = False,
        tokenizer_name_or_path: str | None = None,
    ) -> None:
        limit = {**(processor_kwargs or {})}
        max_seq_length = max_seq_length or limit.pop("model_max_length", None)
        if precision_of(model_kwargs, "float32") != "float32":
            raise NotImplementedError(f"model_kwargs={model_kwargs!r} is not supported here; pass it to the model")
        refuse(processor_kwargs=limit, config_kwargs=config_kwargs)
        others = {
            "processing_kwargs": None,
            "backend": "torch",
            "modality_config": None,
            "module_output_name": None,
            "query_length": None,
            "document_length": None,
            "query_expansion": None,
            "tokenizer_name_or_path": os.fspath(model_name_or_path),
        }
        refuse_others({name: value for name, value in locals().items() if name in others}, others)
        if transformer_task not in _OUTPUTS:
            raise NotImplementedError(
                f"transformer_task={transformer_task!r} is not supported; expected one of {', '.join(_OUTPUTS)}"
            )
        self.transformer_task = transformer_task
        self.name = os.fspath(model_name_or_path)
        self.folder = _encoder_folder(self.name) or _encoder_folder(self._encoder.folder)
        self._given: dict[str, Any] = {}
        if max_seq_length is not None:
            self._given["max_seq_length"] = int(max_seq_length)
        if do_lower_case:
            self._given["do_lower_case"] = True

    @classmethod
    def load(cls, model_name_or_path: str | os.PathLike[str], subfolder: str = "", **kwargs: Any) -> Self:
        return cls(os.path.join(os.fspath(model_name_or_path), subfolder))

    @cached_property
    def _encoder(self) -> Any:
        return _maana.Encoder(self.name, "float32", open_access(None, None, False))

    @cached_property
    def config(self) -> Config:
        """The fields of `config.json`."""
        return Config(read_json(os.path.join(str(self.folder), "config.json")), self.name)

    @cached_property
    def auto_model(self) -> AutoModel:
        """An object whose `config` programs read."""
        return AutoModel(self.config)

    @property
    def model(self) -> AutoModel:
        """The same, under its newer name."""
        return self.auto_model

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer."""
        return Tokenizer(self._encoder.tokenizer(), str(self.folder), self.max_seq_length)

    @property
    def processor(self) -> Tokenizer:
        """The same, under its newer name."""
        return self.tokenizer

    @property
    def max_seq_length(self) -> int:
        """Number of tokens of a text that are read."""
        return self._given.get("max_seq_length") or self._encoder.max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, tokens: int) -> None:
        self._given["max_seq_length"] = tokens

    @property
    def do_lower_case(self) -> bool:
        """Texts are made lower case first."""
        return self.get_config_dict().get("do_lower_case", False)

    def get_embedding_dimension(self) -> int:
        """Return the number of columns of the embeddings of tokens."""
        return self.config.hidden_size if hasattr(self.config, "hidden_size") else self.config.dim

    get_word_embedding_dimension = get_embedding_dimension

    def get_config_dict(self) -> dict[str, Any]:
        path = os.path.join(str(self.folder), self.config_file_name)
        config = read_json(path) if os.path.isfile(path) else {}
        if config.get("transformer_task", next(iter(_OUTPUTS))) != self.transformer_task:
            method, output = _OUTPUTS[self.transformer_task]
            config["transformer_task"], config["module_output_name"] = self.transformer_task, output
            config["modality_config"] = {"text": {"method": "forward", "method_output_name": method}}
        return {**config, **self._given}

    def _write(self, folder: str, place: Any) -> None:
        place_files(str(self.folder), folder, (self.config_file_name, *OF_MODEL), place)
        if config := self.get_config_dict():
            write_json(os.path.join(folder, self.config_file_name), config)

    def __repr__(self) -> str:
        architecture = getattr(self.config, "architectures", None) or ["?"]
        return f"Transformer({json.dumps(self.get_config_dict())}, architecture={architecture[0]})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_encoder", "tokenizer")}


def _encoder_folder(name: str) -> str | None:
    """Return the folder of the encoder below that of a model; ``None`` for a name on the hub."""
    if not os.path.isdir(name):
        return None
    path = os.path.join(name, "modules.json")
    if os.path.isfile(path):
        for entry in read_json(path):
            if entry["type"].endswith(".Transformer"):
                return os.path.join(name, entry["path"])
    return name
