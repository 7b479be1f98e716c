"""The tokenizer of a model, with the calls of ``transformers`` that programs make."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from . import _maana
from ._arrays import as_texts, is_single, to_tensor

__all__ = ["Tokenizer"]

#: Names of special tokens in `tokenizer_config.json` and `special_tokens_map.json`, in the order of
#: ``all_special_tokens``.
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class Tokenizer:
    """Tokenizes texts as the model does.

    Attributes:
        model_max_length: Number of tokens to which ``truncation=True`` cuts a text.
        name_or_path: Folder of the model.

    Example:
        >>> model.tokenizer(["Habari", "Good morning"], padding=True)["input_ids"].shape  # doctest: +SKIP
        (2, 5)
    """

    is_fast = True
    padding_side = "right"
    truncation_side = "right"

    def __init__(self, native: _maana.Tokenizer, folder: str, max_length: int) -> None:
        self._native, self.name_or_path, self.model_max_length = native, folder, max_length

    def __call__(
        self,
        text: Any,
        text_pair: Any = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
        return_attention_mask: bool = True,
        return_token_type_ids: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
    ) -> dict[str, Any]:
        """Return ids and masks of texts by name.

        Args:
            text: A text, or several.
            text_pair: Not supported: score pairs with `CrossEncoder`.
            add_special_tokens: Add those of the model.
            padding: Pad to the longest text (``True``, ``"longest"``) or to ``max_length``.
            truncation: Cut texts to ``max_length``, by default to `model_max_length`.
            max_length: Number of tokens.
            return_tensors: ``"np"`` for arrays, ``"pt"`` for tensors of PyTorch. Default: lists.
            return_offsets_mapping: Return ``offset_mapping``, the span of each token in characters.

        Raises:
            NotImplementedError: For pairs.
            TypeError: If an input is not a string.
            ValueError: If texts of different lengths are to become one array.
        """
        if text_pair is not None:
            raise NotImplementedError("text_pair is not supported; CrossEncoder.predict tokenizes pairs")
        single = is_single(text)
        limit = (max_length or self.model_max_length) if truncation else None
        found = [self._tokens(each, add_special_tokens, limit) for each in as_texts(text, "text")]
        columns: dict[str, list[list[Any]]] = {"input_ids": [[token[0] for token in tokens] for tokens in found]}
        if return_token_type_ids:
            columns["token_type_ids"] = [[0] * len(tokens) for tokens in found]
        if return_attention_mask:
            columns["attention_mask"] = [[1] * len(tokens) for tokens in found]
        if return_special_tokens_mask:
            columns["special_tokens_mask"] = [[int(token[2] is None) for token in tokens] for tokens in found]
        if return_offsets_mapping:
            columns["offset_mapping"] = [[token[2] or (0, 0) for token in tokens] for tokens in found]
        if padding and padding != "do_not_pad":
            width = max_length if padding == "max_length" else max(map(len, found), default=0)
            fillers = {"input_ids": self.pad_token_id or 0, "special_tokens_mask": 1, "offset_mapping": (0, 0)}
            for name, rows in columns.items():
                for row in rows:
                    row += [fillers.get(name, 0)] * ((width or self.model_max_length) - len(row))
        if return_length:
            columns["length"] = [len(tokens) for tokens in found]
        if return_tensors is None:
            return {name: rows[0] for name, rows in columns.items()} if single else dict(columns)
        if return_tensors not in ("np", "pt"):
            raise ValueError(f"return_tensors is {return_tensors!r}; expected 'np' or 'pt'")
        if len({len(tokens) for tokens in columns["input_ids"]}) > 1:
            raise ValueError("texts have different numbers of tokens; use padding=True")
        arrays = {name: np.array(rows, dtype=np.int64) for name, rows in columns.items()}
        return arrays if return_tensors == "np" else {name: to_tensor(array) for name, array in arrays.items()}

    def encode(self, text: str, text_pair: Any = None, *, add_special_tokens: bool = True, **arguments: Any) -> Any:
        """Return the ids of a text; the arguments are those of a call."""
        return self(text, text_pair, add_special_tokens=add_special_tokens, **arguments)["input_ids"]

    def tokenize(self, text: str, add_special_tokens: bool = False, **ignored: Any) -> list[str]:
        """Return the tokens of a text."""
        return self.convert_ids_to_tokens(self.encode(text, add_special_tokens=add_special_tokens))

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, **ignored: Any) -> str:
        """Return the text of ids.

        Raises:
            ValueError: If there is no token with such an id.
        """
        ids = [token_ids] if isinstance(token_ids, int) else np.asarray(token_ids).astype(np.int64).ravel().tolist()
        return self._native.decode(ids, skip_special_tokens)

    def batch_decode(self, sequences: Iterable[Any], skip_special_tokens: bool = False, **ignored: Any) -> list[str]:
        """Return the text of each row of ids."""
        return [self.decode(ids, skip_special_tokens) for ids in sequences]

    def convert_ids_to_tokens(self, ids: int | Sequence[int], skip_special_tokens: bool = False) -> Any:
        """Return the token of an id, or those of several."""
        if isinstance(ids, int):
            return self._tokens_by_id.get(ids)
        special = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._tokens_by_id.get(int(number)) for number in ids if int(number) not in special]

    def convert_tokens_to_ids(self, tokens: str | Sequence[str]) -> Any:
        """Return the id of a token, or those of several; that of the unknown token if there is none."""
        if isinstance(tokens, str):
            return self._vocabulary.get(tokens, self.unk_token_id)
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def get_vocab(self) -> dict[str, int]:
        """Return the ids of all tokens."""
        return dict(self._vocabulary)

    vocab = property(get_vocab)

    @property
    def vocab_size(self) -> int:
        """Number of tokens without those that were added."""
        return len(self._file["model"]["vocab"])

    def __len__(self) -> int:
        return len(self._vocabulary)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Return the number of special tokens of a text."""
        return len(self.encode("", add_special_tokens=True))

    @cached_property
    def special_tokens_map(self) -> dict[str, str]:
        """Special tokens by name, such as ``cls_token``."""
        found: dict[str, str] = {}
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            path = os.path.join(self.name_or_path, name)
            if os.path.isfile(path):
                with open(path, encoding="utf-8") as file:
                    content = json.load(file)
                for key in _SPECIAL:
                    token = content.get(key)
                    token = token.get("content") if isinstance(token, dict) else token
                    if isinstance(token, str):
                        found[key] = token
        return found

    @property
    def all_special_tokens(self) -> list[str]:
        """All special tokens."""
        tokens = (self.special_tokens_map.get(name) for name in _SPECIAL)
        return list(dict.fromkeys(token for token in tokens if token is not None))

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of all special tokens."""
        return [self._vocabulary[token] for token in self.all_special_tokens if token in self._vocabulary]

    def json(self) -> bytes:
        """Return the content of `tokenizer.json`."""
        return self._native.json()

    def __getattr__(self, name: str) -> Any:
        """Return a special token, such as ``cls_token``, or its id, such as ``cls_token_id``."""
        token = name.removesuffix("_id")
        if token in _SPECIAL:
            text = self.special_tokens_map.get(token)
            return text if token == name else self._vocabulary.get(text)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"Tokenizer({self.name_or_path!r}, tokens={len(self)}, model_max_length={self.model_max_length})"

    def _tokens(self, text: str, special: bool, limit: int | None) -> list[tuple[int, str, tuple[int, int] | None]]:
        """Return the tokens of a text, of which those of the text itself are cut to leave room."""
        tokens = self._native.tokens(text, special)
        if limit is None or len(tokens) <= limit:
            return tokens
        before = next((place for place, token in enumerate(tokens) if token[2] is not None), 0)
        after = next((place for place, token in enumerate(reversed(tokens)) if token[2] is not None), 0)
        return tokens[: max(limit - after, before)] + tokens[len(tokens) - after :]

    @cached_property
    def _file(self) -> dict[str, Any]:
        return json.loads(self.json())

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        entries = self._file["model"]["vocab"]
        own = {piece: number for number, (piece, _) in enumerate(entries)} if isinstance(entries, list) else entries
        return own | {token["content"]: token["id"] for token in self._file.get("added_tokens", [])}

    @cached_property
    def _tokens_by_id(self) -> dict[int, str]:
        return {number: token for token, number in self._vocabulary.items()}
