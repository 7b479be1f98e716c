"""`SentenceTransformer`: a model that embeds texts, with the reference's names and defaults."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from . import _maana
from ._access import check_device, refuse
from ._arrays import as_texts, is_single, to_tensor
from ._fit import FitMixin
from ._module_access import ModuleAccess
from ._progress import progress_bar
from .arrow import as_arrow_texts
from .model_card import SentenceTransformerModelCardData
from .quantization import quantize_embeddings
from .similarity import SimilarityFunction

__all__ = ["SentenceTransformer"]

EmbeddingPrecision = Literal["float32", "int8", "uint8", "binary", "ubinary"]

#: Names of prompts for documents, in the order in which they are looked for.
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")


class SentenceTransformer(FitMixin, ModuleAccess):
    """A model that embeds texts.

    Args:
        model_name_or_path: A folder made by Sentence Transformers, or a name on the hub.
        modules: Modules of `maana.models` from which the model is built, instead of a name.
        device: ``"cpu"`` or ``None``.
        prompts: Texts in front of texts, by name. Default: those of the folder.
        default_prompt_name: Name of the prompt for texts without one.
        cache_folder: Cache of fetched models. Default: that of ``huggingface_hub``.
        revision: Branch, tag or commit on the hub.
        local_files_only: Do not use the network.
        token: Access token of the hub. ``use_auth_token`` is its older name.
        trust_remote_code: Accepted: code of a repository is never run.
        model_kwargs: ``{"dtype": "bfloat16"}`` for `precision`; ``attn_implementation`` and ``device_map``
            at values that change nothing.
        processor_kwargs: ``{"model_max_length": tokens}``. ``tokenizer_kwargs`` is its older name.
        model_card_data: Language, licence and name for the card of a run.
        backend: ``torch``, the default of the reference, for the engine of this package.
        similarity_fn_name: ``cosine``, ``dot``, ``euclidean`` or ``manhattan``.
        truncate_dim: Number of leading columns of embeddings to keep.
        precision: Precision of the computation: ``float32`` (the same bits on every machine),
            ``bfloat16``, ``int8`` or ``auto``.

    Raises:
        FileNotFoundError: If there is no such folder or model.
        ValueError: If the folder is malformed, or asks for something that is not supported.
        NotImplementedError: For arguments that have no meaning here.

    Example:
        >>> model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> embeddings = model.encode(["Habari", "Hello"])  # doctest: +SKIP
        >>> model.similarity(embeddings, embeddings).shape  # doctest: +SKIP
        (2, 2)
    """

    _native_class = _maana.Encoder
    _refused = {
        "add_adapter": "train with adapters by the recipe's table [lora]",
        "cuda": "Maana computes on the CPU",
        "float": "embeddings are float32 already",
        "forward": "use encode",
        "half": 'open the model with precision="bfloat16"',
        "load_adapter": "open the folder of the adapter",
        "named_parameters": "the model is not a module of PyTorch; save_pretrained writes its weights",
        "parameters": "the model is not a module of PyTorch; save_pretrained writes its weights",
        "state_dict": "the model is not a module of PyTorch; save_pretrained writes its weights",
    }

    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str] | None = None,
        *,
        modules: Any = None,
        device: str | None = None,
        prompts: dict[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        use_auth_token: bool | str | None = None,
        model_kwargs: dict[str, Any] | None = None,
        processor_kwargs: dict[str, Any] | None = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        model_card_data: Any = None,
        backend: str = "torch",
        similarity_fn_name: str | SimilarityFunction | None = None,
        truncate_dim: int | None = None,
        precision: str = "float32",
    ) -> None:
        refuse(config_kwargs=config_kwargs)
        length = (processor_kwargs or tokenizer_kwargs or {}).copy()
        limit = length.pop("model_max_length", None)
        if length:
            raise NotImplementedError(f"processor_kwargs are not supported: {sorted(length)}")
        self._summary: dict[str, Any] = self._open(
            model_name_or_path,
            modules=modules,
            device=device,
            revision=revision,
            cache_folder=cache_folder,
            token=token if token is not None else use_auth_token,
            local_files_only=local_files_only,
            precision=precision,
            model_kwargs=model_kwargs,
            backend=backend,
        )
        if limit is not None:
            self.max_seq_length = int(limit)
        self.trust_remote_code = trust_remote_code
        self.model_card_data = model_card_data or SentenceTransformerModelCardData()
        own = {**dict(self._summary["prompts"]), **(prompts or {})}
        self.has_own_prompts = bool(own)
        default = default_prompt_name or self._summary["default_prompt_name"]
        # The folder's come first: its fingerprint depends on their order.
        self._set_prompts({**own, **{name: "" for name in ("query", "document") if name not in own}}, default)
        self.similarity_fn_name = similarity_fn_name or self._summary["similarity"]
        self.truncate_dim: int | None = truncate_dim or self._summary["truncate_dim"]

    @classmethod
    def merge(cls, *arguments: Any, **keywords: Any) -> None:
        """Raise an error: the command ``maana blend`` merges models."""
        raise NotImplementedError("merge is not supported: use the command `maana blend`")

    # Embeddings

    def encode(
        self,
        inputs: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: Literal["sentence_embedding", "token_embeddings"] | None = "sentence_embedding",
        precision: EmbeddingPrecision = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | list[str] | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: Any = None,
        chunk_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Embed texts.

        Args:
            inputs: A text, or several: a list, an array, or a column of pandas, polars or Arrow.
            prompt_name: Name of the prompt in front of each text.
            prompt: The prompt itself, instead of a name.
            batch_size: Ignored: embeddings and speed do not depend on batches.
            show_progress_bar: Show progress by ``tqdm``. Default: if logging is at INFO or DEBUG.
            output_value: ``sentence_embedding``; ``token_embeddings`` for an array of each text;
                ``None`` for both in a dictionary of each text.
            precision: ``float32``, or fewer bits by ``quantize_embeddings``.
            convert_to_numpy: Return one array. Otherwise a list of arrays.
            convert_to_tensor: Return one tensor of PyTorch.
            device: ``"cpu"`` or ``None``; a list is accepted and changes nothing.
            normalize_embeddings: Divide embeddings by their lengths.
            truncate_dim: Number of leading columns to keep.
            pool: Ignored: all threads are used already.
            chunk_size: Ignored.

        Returns:
            ``(texts, dimension)`` of float32; ``(dimension)`` for one text.

        Raises:
            TypeError: If an input is not a string.
            ValueError: If there is no such prompt, or an argument is not supported.

        Example:
            >>> model.encode("Habari ya asubuhi").shape  # doctest: +SKIP
            (384,)
        """
        if inputs is None and "sentences" in kwargs:
            inputs = kwargs.pop("sentences")
        if "processing_kwargs" in kwargs:
            raise ValueError("processing_kwargs is not supported: texts are never padded; max_seq_length cuts them")
        task = kwargs.pop("task", None)
        if kwargs.get("modality") in (None, "text"):
            kwargs.pop("modality", None)
        if kwargs:
            raise ValueError(
                f"{type(self).__name__}.encode() has been called with additional keyword arguments that this "
                f"model does not use: {sorted(kwargs)}."
            )
        if batch_size <= 0:
            raise ValueError(f"batch_size must be a positive integer, got {batch_size}.")
        if not isinstance(device, (list, tuple)):
            check_device(device)
        if output_value not in ("sentence_embedding", "token_embeddings", None):
            raise ValueError(f"output_value is {output_value!r}; expected sentence_embedding, token_embeddings or None")
        single = is_single(inputs)
        texts = self._texts(inputs, output_value)
        front = self._resolve_prompt(prompt, prompt_name)
        dimension = truncate_dim if truncate_dim is not None else self.truncate_dim
        if dimension is not None and dimension < 1:
            raise ValueError(f"truncate_dim is {dimension}; expected at least 1")

        if output_value != "sentence_embedding":
            found = self._tokens_of(texts, front, output_value, normalize_embeddings, dimension, task)
            return found[0] if single else found

        if not len(texts):
            return to_tensor(np.array([], dtype=np.float32)) if convert_to_tensor else np.array([])
        with progress_bar(show_progress_bar, len(texts)) as progress:
            embeddings = self.native.encode(texts, front, dimension, normalize_embeddings, progress, task)
        if precision and precision != "float32":
            embeddings = quantize_embeddings(embeddings, precision)
        if convert_to_tensor:
            embeddings = to_tensor(embeddings)
        elif not convert_to_numpy:
            embeddings = list(embeddings)
        return embeddings[0] if single else embeddings

    def encode_query(
        self,
        inputs: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: Literal["sentence_embedding", "token_embeddings"] | None = "sentence_embedding",
        precision: EmbeddingPrecision = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | list[str] | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: Any = None,
        chunk_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Embed queries: as `encode`, with the prompt ``query`` unless another one is named."""
        if prompt_name is None and prompt is None and "query" in self.prompts:
            prompt_name = "query"
        return self.encode(
            inputs,
            prompt_name,
            prompt,
            batch_size,
            show_progress_bar,
            output_value,
            precision,
            convert_to_numpy,
            convert_to_tensor,
            device,
            normalize_embeddings,
            truncate_dim,
            pool,
            chunk_size,
            **{"task": "query", **kwargs},
        )

    def encode_document(
        self,
        inputs: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: Literal["sentence_embedding", "token_embeddings"] | None = "sentence_embedding",
        precision: EmbeddingPrecision = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | list[str] | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: Any = None,
        chunk_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Embed documents: as `encode`, with the prompt ``document``, ``passage`` or ``corpus``."""
        if prompt_name is None and prompt is None:
            prompt_name = next((name for name in _DOCUMENT_PROMPTS if name in self.prompts), None)
        return self.encode(
            inputs,
            prompt_name,
            prompt,
            batch_size,
            show_progress_bar,
            output_value,
            precision,
            convert_to_numpy,
            convert_to_tensor,
            device,
            normalize_embeddings,
            truncate_dim,
            pool,
            chunk_size,
            **{"task": "document", **kwargs},
        )

    def encode_multi_process(
        self,
        sentences: Any,
        pool: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        chunk_size: int | None = None,
        show_progress_bar: bool | None = None,
        precision: EmbeddingPrecision = "float32",
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
    ) -> np.ndarray:
        """Embed texts: as `encode`, which uses all threads already."""
        return self.encode(
            sentences,
            prompt_name,
            prompt,
            batch_size,
            show_progress_bar,
            precision=precision,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim,
        )

    @staticmethod
    def _texts(inputs: Any, output_value: str | None) -> Any:
        """Return texts of Arrow where they lie, others as strings."""
        arrow = None if output_value != "sentence_embedding" else as_arrow_texts(inputs, "inputs")
        return as_texts(inputs) if arrow is None else arrow

    def _tokens_of(
        self,
        texts: list[str],
        prompt: str,
        output_value: str | None,
        normalize: bool,
        dimension: int | None,
        task: str | None,
    ) -> list[Any]:
        found = self.native.encode_tokens(texts, prompt, task)
        if output_value == "token_embeddings":
            return [rows for rows, _ in found]
        embeddings = self.native.encode(texts, prompt, dimension, normalize, None, task) if texts else []
        return [
            {"sentence_embedding": embedding, "token_embeddings": rows, "input_ids": np.array(ids)}
            for embedding, (rows, ids) in zip(embeddings, found)
        ]

    # Similarity

    @property
    def similarity_fn_name(self) -> str:
        """Name of the function that compares embeddings."""
        return self._similarity

    @similarity_fn_name.setter
    def similarity_fn_name(self, value: str | SimilarityFunction | None) -> None:
        self._similarity = SimilarityFunction(value or "cosine").value

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compare all embeddings with all others: ``(rows, rows)``."""
        return SimilarityFunction.to_similarity_fn(self._similarity)(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compare embeddings pair by pair: ``(rows)``."""
        return SimilarityFunction.to_similarity_pairwise_fn(self._similarity)(embeddings1, embeddings2)

    @staticmethod
    def is_singular_input(inputs: Any) -> bool:
        """Return whether the input is one text and not several."""
        return is_single(inputs)

    # Prompts and tokens

    def prompt_of(self, role: Literal["query", "document"]) -> str:
        """Return the prompt that `encode_query` or `encode_document` puts in front."""
        names = ("query",) if role == "query" else _DOCUMENT_PROMPTS
        return next((self.prompts[name] for name in names if name in self.prompts), "")

    def preprocess(self, inputs: Any, prompt: str | None = None, **kwargs: Any) -> dict[str, np.ndarray]:
        """Return token ids, segments and masks of texts, padded to the longest: ``(texts, tokens)``."""
        found = self.native.tokenize(as_texts(inputs), prompt or "")
        longest = max((len(ids) for ids, _ in found), default=0)
        shape = (len(found), longest)
        tokens = {name: np.zeros(shape, np.int64) for name in ("input_ids", "token_type_ids", "attention_mask")}
        for row, (ids, types) in enumerate(found):
            tokens["input_ids"][row, : len(ids)] = ids
            tokens["token_type_ids"][row, : len(ids)] = types
            tokens["attention_mask"][row, : len(ids)] = 1
        return tokens

    def tokenize(self, texts: Any, **kwargs: Any) -> dict[str, np.ndarray]:
        """Return token ids, segments and masks: an older name of `preprocess`."""
        return self.preprocess(texts, **kwargs)

    # Properties

    @property
    def max_seq_length(self) -> int:
        """Number of tokens of a text that are read."""
        return self.native.max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, tokens: int) -> None:
        self.native.max_seq_length = tokens

    def get_max_seq_length(self) -> int:
        """Return the number of tokens of a text that are read."""
        return self.max_seq_length

    def get_embedding_dimension(self) -> int:
        """Return the number of columns of an embedding."""
        whole = self.native.dimension
        return whole if self.truncate_dim is None else min(whole, self.truncate_dim)

    get_sentence_embedding_dimension = get_embedding_dimension

    @contextmanager
    def truncate_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """Truncate embeddings within a ``with`` block."""
        before, self.truncate_dim = self.truncate_dim, truncate_dim
        try:
            yield
        finally:
            self.truncate_dim = before

    truncate_sentence_embeddings = truncate_embeddings

    def _save(self, path: str, card: dict[str, Any]) -> None:
        own = dict(self._summary["prompts"])
        prompts = [(name, text) for name, text in self.prompts.items() if text or name in own]
        self.native.save(path, prompts, self.default_prompt_name, self.similarity_fn_name, card)
