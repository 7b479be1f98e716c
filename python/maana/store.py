"""A store of documents: embedded, kept on disk or in PostgreSQL, and searched."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping

from . import _maana
from ._arrays import as_texts, is_single
from .model import SentenceTransformer

__all__ = ["Hit", "Store"]


@dataclass(frozen=True)
class Hit:
    """A document that was found.

    Attributes:
        id: Id of the document.
        score: Similarity; greater is nearer. With ``hybrid`` a sum of reciprocal ranks.
        text: Text of the document.
        fields: Its other fields.
    """

    id: str
    score: float
    text: str
    fields: dict[str, str] = field(default_factory=dict)


class Store:
    """Documents with their vectors, in a folder or in a PostgreSQL database.

    A change is complete and durable when its call returns. Several processes may read while one
    writes.

    Args:
        path: A folder, or the address of a database (``postgres://…``).
        model: The model that embeds documents and queries.
        create: Create the store if there is none.
        half: Store values in two bytes. Applies when the store is created.

    Raises:
        FileNotFoundError: If there is no store and ``create`` is false.
        ValueError: If another model made the store.

    Example:
        >>> store = Store("notes", model)  # doctest: +SKIP
        >>> store.add(["Nairobi ni mji mkuu wa Kenya.", "Paka analala."])  # doctest: +SKIP
        (2, 0)
        >>> store.search("capital city of Kenya", top_k=1)[0].text  # doctest: +SKIP
        'Nairobi ni mji mkuu wa Kenya.'
    """

    def __init__(
        self, path: str | os.PathLike[str], model: SentenceTransformer, *, create: bool = True, half: bool = False
    ) -> None:
        self.path = os.fspath(path)
        self.model = model
        query = model.prompt_of("query") if model.has_own_prompts else None
        document = model.prompt_of("document") if model.has_own_prompts else None
        self._native = _maana.Store(self.path, model.native, model.truncate_dim, query, document)
        try:
            len(self)
        except FileNotFoundError:
            if not create:
                raise
            self._native.create(model.name, half)

    def __len__(self) -> int:
        """Return the number of documents."""
        return self._native.documents()

    def __repr__(self) -> str:
        return f"Store({self.path!r}, {len(self)} documents)"

    @property
    def ids(self) -> list[str]:
        """Ids of all documents."""
        return self._native.ids()

    def add(
        self,
        texts: Iterable[str] | str,
        ids: Iterable[str] | None = None,
        fields: Iterable[Mapping[str, Any]] | None = None,
    ) -> tuple[int, int]:
        """Embed documents and add them. A document with the id of another one replaces it.

        Args:
            texts: The texts.
            ids: An id for each text. Default: numbers after the greatest number among the ids.
            fields: Further values for each text, to show and to filter by.

        Returns:
            The numbers of new and of replaced documents.

        Raises:
            ValueError: If there are not as many ids or fields as texts.
            TypeError: If a text is not a string.
        """
        texts = as_texts(texts, "texts")
        ids = [None] * len(texts) if ids is None else [str(id) for id in ids]
        values = [{} for _ in texts] if fields is None else [dict(each) for each in fields]
        for name, given in (("ids", ids), ("fields", values)):
            if len(given) != len(texts):
                raise ValueError(f"{len(texts)} texts and {len(given)} {name}; expected as many")
        strings = [{str(key): str(value) for key, value in each.items()} for each in values]
        return self._native.add(list(zip(ids, texts, strings)))

    def delete(self, ids: Iterable[str] | str) -> list[str]:
        """Delete documents, and return the ids that no document had."""
        ids = [ids] if isinstance(ids, str) else [str(id) for id in ids]
        return self._native.delete(ids)[1]

    def search(
        self,
        queries: Iterable[str] | str,
        top_k: int = 10,
        *,
        filters: Mapping[str, Any] | None = None,
        hybrid: bool = False,
        recall: float | None = None,
        exact: bool = False,
        dim: int | None = None,
    ) -> list[Hit] | list[list[Hit]]:
        """Find the nearest documents.

        Args:
            queries: One query, or several.
            top_k: Number of documents per query.
            filters: Fields and the values that documents must have.
            hybrid: Fuse the ranking by vectors with BM25 over the texts.
            recall: Target recall from 0 to 1, for a faster search.
            exact: Compare every vector even if there is a graph.
            dim: Number of leading columns to compare.

        Returns:
            The documents, nearest first: one list for one query, else a list for each.

        Raises:
            KeyError: If no document has a field of the filters.
        """
        texts = as_texts(queries, "queries")
        conditions = [(str(key), str(value)) for key, value in (filters or {}).items()]
        found = self._native.search(texts, top_k, conditions, hybrid, recall, exact, dim)
        hits = [[Hit(*hit) for hit in of_query] for of_query in found]
        return hits[0] if is_single(queries) else hits

    def build_graph(self) -> bool:
        """Build a graph over the vectors, for fast searches of large stores."""
        return self._native.build_graph()

    def compact(self) -> None:
        """Free the space of deleted documents."""
        self._native.compact()

    def describe(self) -> dict[str, Any]:
        """Return numbers and settings of the store."""
        return json.loads(self._native.describe())
