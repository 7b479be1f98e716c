"""`Pooling`: the embedding of a text from those of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._module import Module

#: Modes by the flags of older configurations, in the order of their columns.
_MODE_OF_FLAG = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


class Pooling(Module):
    """Pooling of the embeddings of tokens.

    Args:
        embedding_dimension: Columns of the embeddings of tokens. Older programs name it
            ``word_embedding_dimension``.
        pooling_mode: ``mean``, ``cls``, ``max``, ``mean_sqrt_len_tokens``, ``weightedmean`` or
            ``lasttoken``, or several of them.
        include_prompt: Tokens of a prompt are pooled too.
        flags: Flags of older programs instead of ``pooling_mode``, such as
            ``pooling_mode_cls_token=True``.

    Raises:
        ValueError: If there is no such mode.
    """

    POOLING_MODES = tuple(_MODE_OF_FLAG.values())
    config_keys = ("embedding_dimension", "pooling_mode", "include_prompt")

    def __init__(
        self,
        embedding_dimension: int | None = None,
        pooling_mode: str | Sequence[str] = "mean",
        include_prompt: bool = True,
        *,
        word_embedding_dimension: int | None = None,
        **flags: bool,
    ) -> None:
        dimension = embedding_dimension if embedding_dimension is not None else word_embedding_dimension
        if dimension is None:
            raise TypeError("Pooling() has no embedding_dimension; expected that of the module before it")
        if unknown := set(flags) - set(_MODE_OF_FLAG):
            raise TypeError(f"Pooling() has no argument {sorted(unknown)[0]!r}")
        if flags:
            pooling_mode = [mode for flag, mode in _MODE_OF_FLAG.items() if flags.get(flag)] or "mean"
        modes = (pooling_mode,) if isinstance(pooling_mode, str) else tuple(pooling_mode)
        for mode in modes or ("",):
            if mode not in self.POOLING_MODES:
                raise ValueError(f"Invalid pooling mode: {mode!r}. Valid pooling modes are: {self.POOLING_MODES}.")
        self.embedding_dimension = int(dimension)
        self.pooling_mode = modes[0] if len(modes) == 1 else modes
        self.include_prompt = include_prompt
        self.pooling_output_dimension = len(modes) * self.embedding_dimension

    @property
    def word_embedding_dimension(self) -> int:
        """Columns of the embeddings of tokens."""
        return self.embedding_dimension

    def get_embedding_dimension(self) -> int:
        """Return the number of columns of the embedding of a text."""
        return self.pooling_output_dimension

    get_sentence_embedding_dimension = get_embedding_dimension

    def get_pooling_mode_str(self) -> str:
        """Return the modes, joined by ``+``."""
        return self.pooling_mode if isinstance(self.pooling_mode, str) else "+".join(self.pooling_mode)

    def __getattr__(self, name: str) -> Any:
        if name in _MODE_OF_FLAG:
            return _MODE_OF_FLAG[name] in self.get_pooling_mode_str().split("+")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @classmethod
    def _arguments(cls, config: dict[str, Any]) -> dict[str, Any]:
        names = {"word_embedding_dimension", *cls.config_keys, *_MODE_OF_FLAG}
        return {name: value for name, value in config.items() if name in names}
