"""The tokenizer of a model, with the calls of ``transformers`` that programs make."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from . import _maana
from ._arrays import as_texts, is_single, to_tensor
from ._files import read_json

__all__ = ["Tokenizer"]

#: Names of special tokens in `tokenizer_config.json` and `special_tokens_map.json`, in the order of
#: ``all_special_tokens``.
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class _Token(NamedTuple):
    """A token; one that the tokenizer added has no span of characters."""

    id: int
    span: tuple[int, int] | None
    segment: int = 0


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
        return_token_type_ids: bool | None = None,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
    ) -> dict[str, Any]:
        """Return ids and masks of texts by name.

        Args:
            text: A text, or several; or several pairs of texts.
            text_pair: The second text of each pair.
            add_special_tokens: Add those of the model.
            padding: Pad to the longest text (``True``, ``"longest"``) or to ``max_length``.
            truncation: Cut texts to ``max_length``, by default to `model_max_length`. Of a pair the
                longer text is cut first, or always the one of ``"only_first"`` and ``"only_second"``.
            max_length: Number of tokens.
            return_token_type_ids: Return the segment of each token. Default: for models that read it.
            return_tensors: ``"np"`` for arrays, ``"pt"`` for tensors of PyTorch. Default: lists.
            return_offsets_mapping: Return ``offset_mapping``, the span of each token in characters.

        Raises:
            TypeError: If an input is not a string.
            ValueError: If texts of different lengths are to become one array, or there are not as many
                second texts as first ones.
        """
        single = is_single(text)
        limit = (max_length or self.model_max_length) if truncation and truncation != "do_not_truncate" else None
        pairs = _pairs(text, text_pair)
        if pairs is None:
            found = [self._tokens(each, add_special_tokens, limit) for each in as_texts(text, "text")]
        else:
            found = [self._pair(each, add_special_tokens, limit, truncation) for each in pairs]
        columns: dict[str, list[list[Any]]] = {"input_ids": [[token.id for token in tokens] for tokens in found]}
        if self._native.returns_segments if return_token_type_ids is None else return_token_type_ids:
            columns["token_type_ids"] = [[token.segment for token in tokens] for tokens in found]
        if return_attention_mask:
            columns["attention_mask"] = [[1] * len(tokens) for tokens in found]
        if return_special_tokens_mask:
            columns["special_tokens_mask"] = [[int(token.span is None) for token in tokens] for tokens in found]
        if return_offsets_mapping:
            columns["offset_mapping"] = [[token.span or (0, 0) for token in tokens] for tokens in found]
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
        """Return the number of special tokens of a text, or of a pair."""
        return len(self.encode("", "" if pair else None, add_special_tokens=True))

    @cached_property
    def special_tokens_map(self) -> dict[str, str]:
        """Special tokens by name, such as ``cls_token``: those of the folder, else of the class."""
        named = {key: _content(self._settings.get(key)) for key in _SPECIAL}
        found = dict(self._native.class_tokens) | {key: token for key, token in named.items() if token is not None}
        return {key: found[key] for key in _SPECIAL if key in found}

    @property
    def all_special_tokens(self) -> list[str]:
        """All special tokens, also those that the folder names besides."""
        further = (self._settings.get(name) for name in ("extra_special_tokens", "additional_special_tokens"))
        listed = next((tokens for tokens in further if isinstance(tokens, list)), [])
        tokens = (*self.special_tokens_map.values(), *map(_content, listed))
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

    def _tokens(self, text: str, special: bool, limit: int | None) -> list[_Token]:
        """Return the tokens of a text, of which those of the text itself are cut to leave room."""
        tokens = [_Token(number, span) for number, _, span in self._native.tokens(text, special)]
        if limit is None or len(tokens) <= limit:
            return tokens
        before = next((place for place, token in enumerate(tokens) if token.span is not None), 0)
        after = next((place for place, token in enumerate(reversed(tokens)) if token.span is not None), 0)
        return tokens[: max(limit - after, before)] + tokens[len(tokens) - after :]

    def _pair(self, texts: tuple[str, str], special: bool, limit: int | None, truncation: bool | str) -> list[_Token]:
        """Return the tokens of a pair, of which those of the texts are cut to leave room."""
        before, between, after, segments = self._native.pair_template()
        frame = [[_Token(number, None, segment) for number, segment in part] for part in (before, between, after)]
        frame = frame if special else [[], [], []]
        parts = [
            [_Token(number, span, segment) for number, _, span in self._native.tokens(text, False)]
            for text, segment in zip(texts, segments)
        ]
        if limit is not None:
            kept = _kept((len(parts[0]), len(parts[1])), limit - sum(map(len, frame)), truncation)
            parts = [part[:length] for part, length in zip(parts, kept)]
        return [*frame[0], *parts[0], *frame[1], *parts[1], *frame[2]]

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """The fields of `tokenizer_config.json`, and those of the older file."""
        paths = (os.path.join(self.name_or_path, name) for name in ("special_tokens_map.json", "tokenizer_config.json"))
        return {key: value for path in paths if os.path.isfile(path) for key, value in read_json(path).items()}

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


def _content(token: Any) -> str | None:
    """Return the text of a token, which may be given with its flags."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None


def _pairs(text: Any, text_pair: Any) -> list[tuple[str, str]] | None:
    """Return the pairs of a call; ``None`` if its texts are single ones.

    Raises:
        ValueError: If there are not as many second texts as first ones.
    """
    if text_pair is None:
        rows = text if isinstance(text, (list, tuple)) else ()
        if not rows or not all(isinstance(row, (list, tuple)) and len(row) == 2 for row in rows):
            return None
        first, second = zip(*rows)
        return _pairs(list(first), list(second))
    if is_single(text) != is_single(text_pair):
        raise ValueError("text and text_pair have to be two texts, or two lists of texts")
    first, second = as_texts(text, "text"), as_texts(text_pair, "text_pair")
    if len(first) != len(second):
        raise ValueError(f"text has {len(first)} texts, but text_pair has {len(second)}")
    return list(zip(first, second))


def _kept(lengths: tuple[int, int], limit: int, truncation: bool | str) -> tuple[int, int]:
    """Return the number of tokens of each text of a pair that a limit of both leaves.

    Raises:
        ValueError: If the text that is to be cut is too short for it.
    """
    first, second = lengths
    excess = first + second - limit
    if excess <= 0:
        return lengths
    if truncation in ("only_first", "only_second"):
        kept = (first - excess, second) if truncation == "only_first" else (first, second - excess)
        if min(kept) < 0:
            raise ValueError(f"truncation={truncation!r} cannot cut a pair to its max_length: the other text is longer")
        return kept
    shorter, longer = min(lengths), max(lengths)
    if shorter <= limit:
        longer = max(shorter, limit - shorter)
    if shorter + longer > limit:
        shorter, longer = limit // 2, limit // 2 + limit % 2
    return (longer, shorter) if first > second else (shorter, longer)
