"""Embeds batches of tables: the class that Ray, Dask and Spark call in their workers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._maana import set_threads
from .arrow import fixed_size_lists
from .model import SentenceTransformer

__all__ = ["BatchEmbedder"]

#: Models of this process, so that a worker opens each once.
_OPEN: dict[tuple[Any, ...], SentenceTransformer] = {}


class BatchEmbedder:
    """Adds embeddings to batches: tables and record batches of Arrow, data frames of pandas, and
    dictionaries of arrays.

    The model is opened by the first call in a process, once for all embedders with the same
    settings. Objects pickle without it. An embedding has the same bits in any batch and process.

    Args:
        model: A folder or a name, which every worker must be able to open.
        column: Column with the texts.
        output: Column of the embeddings, which is replaced if it exists.
        prompt_name: Name of the prompt in front of each text.
        prompt: The prompt itself.
        task: ``query`` or ``document``, for models with a module for each (``Router``).
        truncate_dim: Number of leading columns of embeddings to keep.
        normalize_embeddings: Divide embeddings by their lengths.
        precision: Precision of the computation, as for `SentenceTransformer`.
        batch_tokens: Tokens that are computed together, which bounds the memory of a worker.
        threads: Threads of a process. Default: those of ``MAANA_THREADS``, else all.
        max_seq_length: Number of tokens of a text that are read.

    Raises:
        KeyError: If a batch has no such column.
        TypeError: If an element of the column is not a string.

    Example:
        >>> dataset.map_batches(BatchEmbedder(model), batch_format="pyarrow")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str,
        column: str = "text",
        output: str = "embedding",
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        task: str | None = None,
        truncate_dim: int | None = None,
        normalize_embeddings: bool = False,
        precision: str = "float32",
        batch_tokens: int | None = None,
        threads: int | None = None,
        max_seq_length: int | None = None,
    ) -> None:
        self.model, self.column, self.output = model, column, output
        self.prompt_name, self.prompt, self.task = prompt_name, prompt, task
        self.truncate_dim, self.normalize_embeddings, self.precision = truncate_dim, normalize_embeddings, precision
        self.batch_tokens, self.threads, self.max_seq_length = batch_tokens, threads, max_seq_length

    def opened(self) -> SentenceTransformer:
        """Return the model of this process."""
        key = (self.model, self.precision, self.batch_tokens, self.threads, self.max_seq_length)
        if key not in _OPEN:
            if self.threads is not None:
                set_threads(self.threads)
            model = SentenceTransformer(self.model, precision=self.precision)
            if self.batch_tokens is not None:
                model.native.set_batch_tokens(self.batch_tokens)
            if self.max_seq_length is not None:
                model.max_seq_length = self.max_seq_length
            _OPEN[key] = model
        return _OPEN[key]

    def dimension(self) -> int:
        """Return the number of columns of an embedding."""
        model = self.opened()
        if self.truncate_dim is None:
            return model.get_embedding_dimension()
        return min(model.native.dimension, self.truncate_dim)

    def embed(self, texts: Any) -> np.ndarray:
        """Return the embeddings of texts: ``(texts, dimension)``, also of none."""
        if len(texts) == 0:
            return np.zeros((0, self.dimension()), np.float32)
        return self.opened().encode(
            texts,
            self.prompt_name,
            self.prompt,
            truncate_dim=self.truncate_dim,
            normalize_embeddings=self.normalize_embeddings,
            show_progress_bar=False,
            task=self.task,
        )

    def __call__(self, batch: Any) -> Any:
        """Return the batch with a column of embeddings."""
        if hasattr(batch, "schema") and hasattr(batch, "column_names"):
            return self._arrow(batch)
        if self.column not in batch:
            raise KeyError(f"there is no column {self.column!r}; the columns are {list(batch)}")
        embeddings = self.embed(batch[self.column])
        if isinstance(batch, dict):
            return {**batch, self.output: embeddings}
        return batch.assign(**{self.output: list(embeddings)})

    def _arrow(self, batch: Any) -> Any:
        names = batch.column_names
        if self.column not in names:
            raise KeyError(f"there is no column {self.column!r}; the columns are {names}")
        embeddings = fixed_size_lists(self.embed(batch.column(self.column)))
        if self.output in names:
            return batch.set_column(names.index(self.output), self.output, embeddings)
        return batch.append_column(self.output, embeddings)
