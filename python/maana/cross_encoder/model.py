"""`CrossEncoder`: a model that scores pairs of texts, with the reference's names and defaults."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _maana
from .._access import check_device, refuse
from .._arrays import as_texts, is_tensor, to_tensor
from .._base import BaseModel
from .._files import write_json
from .._fit import PairFitMixin
from .._progress import progress_bar
from ..model_card import CrossEncoderModelCardData

__all__ = ["CrossEncoder"]


class CrossEncoder(PairFitMixin, BaseModel):
    """A model that scores pairs of texts, such as a query and a document.

    Args:
        model_name_or_path: A folder made by Sentence Transformers, or a name on the hub.
        modules: Modules of `maana.models` from which the model is built, instead of a name: a
            `Transformer` with the head of its folder, or a `Transformer`, `Pooling` and others of which
            the last is a `Dense` with the output ``scores``.
        device: ``"cpu"`` or ``None``.
        prompts: Texts in front of the first text of a pair, by name. Default: those of the folder.
        default_prompt_name: Name of the prompt for pairs without one.
        cache_folder: Cache of fetched models. Default: that of ``huggingface_hub``.
        revision: Branch, tag or commit on the hub.
        local_files_only: Do not use the network.
        token: Access token of the hub.
        trust_remote_code: Accepted: code of a repository is never run.
        model_kwargs: ``{"dtype": "bfloat16"}`` for `precision`; ``attn_implementation`` and ``device_map``
            at values that change nothing.
        processor_kwargs: ``{"model_max_length": tokens}`` for `max_length`.
        model_card_data: Language, licence and name for the card of a run.
        backend: ``torch``, the default of the reference, for the engine of this package.
        keep_in_fp32_modules: Accepted: norms and the head are computed in float32 in any precision.
        num_labels: Number of labels. Default: that of the folder, else 1. A model without a head
            for pairs gets a new one with random weights, which has to be trained
            (`CrossEncoderTrainer`).
        max_length: Number of tokens of a pair that are read. Default: that of the folder.
        activation_fn: Function of the logits, a module of PyTorch or a function of an array.
            Default: that of the folder, else the sigmoid for one label.
        precision: Precision of the computation: ``float32`` (the same bits on every machine),
            ``bfloat16``, ``int8`` or ``auto``.

    Raises:
        FileNotFoundError: If there is no such folder or model.
        ValueError: If the folder is malformed, or has a head for another number of labels.
        NotImplementedError: For arguments that have no meaning here.

    Example:
        >>> model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2")  # doctest: +SKIP
        >>> model.rank("mji mkuu wa Kenya", documents, top_k=3)  # doctest: +SKIP
        [{'corpus_id': 4, 'score': 8.1}, …]
    """

    _native_class = _maana.PairEncoder
    _refused = {
        "add_adapter": "train with adapters by the recipe's table [lora]",
        "cuda": "Maana computes on the CPU",
        "half": 'open the model with precision="bfloat16"',
        "load_adapter": "open the folder of the adapter",
        "model": "the model is not a module of PyTorch; labels and max_length are attributes",
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
        model_kwargs: dict[str, Any] | None = None,
        processor_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        model_card_data: Any = None,
        backend: str = "torch",
        num_labels: int | None = None,
        max_length: int | None = None,
        activation_fn: Callable[[Any], Any] | None = None,
        keep_in_fp32_modules: list[str] | None = None,
        precision: str = "float32",
    ) -> None:
        limit = {**(processor_kwargs or {})}
        max_length = max_length if max_length is not None else limit.pop("model_max_length", None)
        refuse(processor_kwargs=limit, config_kwargs=config_kwargs)
        self._native_options = {"num_labels": num_labels}
        summary = self._open(
            model_name_or_path,
            modules=modules,
            device=device,
            revision=revision,
            cache_folder=cache_folder,
            token=token,
            local_files_only=local_files_only,
            precision=precision,
            model_kwargs=model_kwargs,
            backend=backend,
        )
        if num_labels is not None and num_labels != self.num_labels:
            raise ValueError(f"num_labels is {num_labels}, but the model has {self.num_labels}")
        if max_length is not None:
            self.max_length = max_length
        self.trust_remote_code = trust_remote_code
        self.model_card_data = model_card_data or CrossEncoderModelCardData()
        self.activation_fn = activation_fn
        default = default_prompt_name or summary["default_prompt_name"]
        self._set_prompts({**dict(summary["prompts"]), **(prompts or {})}, default)

    def predict(
        self,
        inputs: Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[[Any], Any] | None = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | list[str] | None = None,
        pool: Any = None,
        chunk_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Score pairs of texts.

        Args:
            inputs: A pair, or several: lists, tuples, or an array ``(pairs, 2)``.
            prompt_name: Name of the prompt in front of the first text of each pair.
            prompt: The prompt itself.
            batch_size: Ignored: scores and speed do not depend on batches.
            show_progress_bar: Show progress by ``tqdm``.
            activation_fn: Function of the logits, instead of that of the model.
            apply_softmax: Apply the softmax over the labels.
            convert_to_numpy: Return one array. Otherwise a list of numbers or arrays.
            convert_to_tensor: Return one tensor of PyTorch.
            device: ``"cpu"`` or ``None``; a list is accepted and changes nothing.
            pool: Ignored: all threads are used already.
            chunk_size: Ignored.
            **kwargs: ``task``, which is ignored, as in the reference.

        Returns:
            ``(pairs)`` of float32 for a model with one label, else ``(pairs, labels)``.

        Raises:
            TypeError: If an input is not a pair of strings.
        """
        kwargs.pop("task", None)
        if "processing_kwargs" in kwargs:
            raise ValueError("processing_kwargs is not supported: texts are never padded; max_length cuts them")
        if kwargs:
            raise ValueError(f"CrossEncoder.predict() has been called with arguments that it does not use: {sorted(kwargs)}")
        if batch_size <= 0:
            raise ValueError(f"batch_size must be a positive integer, got {batch_size}.")
        if not isinstance(device, (list, tuple)):
            check_device(device)
        single, pairs = _pairs(inputs)
        if not pairs:
            return to_tensor(np.array([], np.float32)) if convert_to_tensor else np.array([])
        function = activation_fn or self.activation_fn
        with progress_bar(show_progress_bar, len(pairs), "Pairs") as progress:
            scores = self.native.predict(pairs, self._resolve_prompt(prompt, prompt_name), function is None, progress)
        if function is not None:
            scores = _activated(scores, function)
        if self.num_labels == 1 and scores.ndim > 1:
            scores = scores[:, 0]
        if apply_softmax and scores.ndim > 1:
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores = powers / powers.sum(axis=1, keepdims=True)
        if convert_to_tensor:
            scores = to_tensor(np.ascontiguousarray(scores))
        elif not convert_to_numpy:
            scores = list(scores)
        return scores[0] if single else scores

    def rank(
        self,
        query: str,
        documents: Any,
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[[Any], Any] | None = None,
        device: str | list[str] | None = None,
        pool: Any = None,
        chunk_size: int | None = None,
    ) -> list[dict[str, Any]]:
        """Order documents by their scores for a query.

        Args:
            query: The query.
            documents: The documents.
            top_k: Number of documents to return. Default: all.
            return_documents: Return the texts too.

        The other arguments are those of `predict`.

        Returns:
            A list of ``{"corpus_id": index, "score": score}``, best first.

        Raises:
            ValueError: If the model has several labels.
        """
        if self.num_labels != 1:
            raise ValueError(
                "CrossEncoder.rank() only works for models with num_labels=1. "
                "Consider using CrossEncoder.predict() with input pairs instead."
            )
        query, texts = as_texts(query, "query")[0], as_texts(documents, "documents")
        if activation_fn is None and self.activation_fn is None:
            ranked = self.native.rank(query, texts, top_k, self._resolve_prompt(prompt, prompt_name))
        else:
            scores = self.predict([(query, text) for text in texts], prompt_name, prompt, activation_fn=activation_fn)
            order = np.argsort(-scores, kind="stable")[:top_k] if len(scores) else []
            ranked = [(int(index), float(scores[index])) for index in order]
        found: list[dict[str, Any]] = [{"corpus_id": index, "score": score} for index, score in ranked]
        if return_documents:
            for hit in found:
                hit["text"] = texts[hit["corpus_id"]]
        return found

    # Properties

    @property
    def num_labels(self) -> int:
        """Number of labels of a pair."""
        return len(self.native.labels)

    @property
    def labels(self) -> list[str]:
        """Names of the labels."""
        return self.native.labels

    @property
    def max_length(self) -> int:
        """Number of tokens of a pair that are read."""
        return self.native.max_length

    @max_length.setter
    def max_length(self, tokens: int) -> None:
        self.native.max_length = tokens

    max_seq_length = max_length

    def __repr__(self) -> str:
        return f"CrossEncoder({self.name!r}, labels={self.labels}, max_length={self.max_length})"

    def _build(self, modules: Any) -> None:
        super()._build(modules)
        write_json(os.path.join(self._built.name, "config_sentence_transformers.json"), {"model_type": "CrossEncoder"})

    def _redraw_head(self, seed: int) -> None:
        """Draw the weights of a new head by a seed."""
        if self.native.has_new_head:
            self._native_options = {**self._native_options, "seed": seed}
            self._open_folder(self.native.folder, self.max_length)

    @staticmethod
    def is_singular_input(inputs: Any) -> bool:
        """Return whether the input is one pair and not several.

        Raises:
            TypeError: If it is neither; the message names the position.
        """
        return _pairs(inputs)[0]

    def _save(self, path: str, card: dict[str, Any]) -> None:
        self.native.save(path, card)


def _pairs(inputs: Any) -> tuple[bool, list[tuple[str, str]]]:
    """Return whether the input is a single pair, and the pairs.

    Raises:
        TypeError: If an element is not a pair of strings; the message names its position.
    """
    if inputs is None or isinstance(inputs, (str, bytes, dict, int, float)):
        raise TypeError(f"inputs is of type {type(inputs).__name__}; expected pairs of strings")
    rows = inputs.tolist() if isinstance(inputs, np.ndarray) else list(inputs)
    single = len(rows) == 2 and all(isinstance(text, str) for text in rows)
    pairs = []
    for position, pair in enumerate([rows] if single else rows):
        texts = pair if isinstance(pair, (list, tuple)) else ()
        if len(texts) != 2 or not all(isinstance(text, str) for text in texts):
            raise TypeError(f"inputs[{position}] is {pair!r:.60}; expected a pair of strings")
        pairs.append((texts[0], texts[1]))
    return single, pairs


def _activated(logits: np.ndarray, function: Callable[[Any], Any]) -> np.ndarray:
    """Return a function of logits: of a tensor for a function of PyTorch, else of the array."""
    of_torch = type(function).__module__.startswith("torch") or getattr(function, "__module__", "").startswith("torch")
    found = function(to_tensor(logits) if of_torch else logits)
    return found.detach().numpy() if is_tensor(found) else np.asarray(found, dtype=np.float32)
