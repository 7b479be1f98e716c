"""`StaticEmbedding`: the mean of an embedding of each token."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _maana
from .._arrays import as_floats
from .._access import check_device, open_access
from .._files import link_file, place_files, read_json
from .._tokenizer import Tokenizer
from ._module import OF_MODEL, Module, refuse_others
from .chain import write_chain

if TYPE_CHECKING:
    from typing_extensions import Self


class StaticEmbedding(Module):
    """A table with an embedding for each token.

    Args:
        tokenizer: A ``tokenizers.Tokenizer``, a fast tokenizer of ``transformers``, the tokenizer of a
            model of this package, or the path of a ``tokenizer.json``.
        embedding_weights: The table, ``(tokens, columns)``.
        embedding_dim: Columns of a table of random numbers, drawn by the state of ``numpy.random``.
        base_model: Name of the model from which the table comes.

    Raises:
        ValueError: If there is neither a table nor a number of columns, or the tokenizer is of another
            kind.

    Example:
        >>> static = StaticEmbedding(model.tokenizer, embedding_dim=256)  # doctest: +SKIP
        >>> SentenceTransformer(modules=[static]).encode("Habari").shape  # doctest: +SKIP
        (256,)
    """

    save_in_root = True

    def __init__(
        self, tokenizer: Any, embedding_weights: Any = None, embedding_dim: int | None = None, **kwargs: Any
    ) -> None:
        refuse_others(kwargs, {name: None for name in kwargs if name != "base_model"})
        self.base_model = kwargs.get("base_model")
        file = _tokenizer_file(tokenizer)
        if embedding_weights is not None:
            weights = as_floats(embedding_weights, "embedding_weights")
            if weights.ndim != 2:
                raise ValueError(f"embedding_weights has the shape {weights.shape}; expected (tokens, columns)")
        elif embedding_dim is not None:
            weights = np.random.standard_normal((_tokens_of(file), embedding_dim)).astype(np.float32)
        else:
            raise ValueError("Either `embedding_weights` or `embedding_dim` must be provided.")
        self._content = file, weights

    @cached_property
    def _content(self) -> tuple[bytes, np.ndarray]:
        """The `tokenizer.json` and the table of the module's folder."""
        with tempfile.TemporaryDirectory() as folder:
            write_chain([self], folder, link_file)
            encoder = _maana.Encoder(folder, "float32", open_access(None, None, True))
            return encoder.tokenizer().json(), _maana.static_table(folder)

    @property
    def weights(self) -> np.ndarray:
        """The table, ``(tokens, columns)``."""
        return self._content[1]

    @property
    def num_embeddings(self) -> int:
        """Number of tokens."""
        return self.weights.shape[0]

    @property
    def embedding_dim(self) -> int:
        """Number of columns."""
        return self.weights.shape[1]

    @property
    def max_seq_length(self) -> float:
        """Number of tokens of a text that are read: all of them."""
        return math.inf

    def get_embedding_dimension(self) -> int:
        """Return the number of columns."""
        return self.embedding_dim

    get_sentence_embedding_dimension = get_embedding_dimension

    def get_config_dict(self) -> dict[str, Any]:
        return {"num_embeddings": self.num_embeddings, "embedding_dim": self.embedding_dim}

    def _write(self, folder: str, place: Any) -> None:
        if self.folder is not None:
            place_files(self.folder, folder, OF_MODEL, place)
            return
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "tokenizer.json"), "wb") as file:
            file.write(self._content[0])
        _maana.write_tensors(os.path.join(folder, "model.safetensors"), [("embedding.weight", self.weights)])

    @classmethod
    def load(cls, model_name_or_path: str | os.PathLike[str], subfolder: str = "", **kwargs: Any) -> Self:
        module = cls.__new__(cls)
        module.folder, module.base_model = os.path.join(os.fspath(model_name_or_path), subfolder), None
        return module

    @classmethod
    def from_model2vec(cls, model_id_or_path: str | os.PathLike[str]) -> Self:
        """Return the table of a model of Model2Vec, or of another static model.

        Args:
            model_id_or_path: A folder, or a name on the hub.

        Raises:
            FileNotFoundError: If there is no such model.
            ValueError: If it is not a static model.
        """
        name = os.fspath(model_id_or_path)
        encoder = _maana.Encoder(name, "float32", open_access(None, None, False))
        return cls(encoder.tokenizer().json(), _maana.static_table(encoder.folder), base_model=name)

    @classmethod
    def from_distillation(
        cls,
        model_name: str,
        vocabulary: Sequence[str] | None = None,
        device: str | None = None,
        pca_dims: int | None = 256,
        apply_zipf: bool = True,
        sif_coefficient: float | None = 1e-4,
        token_remove_pattern: str | None = r"\[unused\d+\]",
        quantize_to: str = "float32",
        use_subword: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Return a table that imitates an encoder, as Model2Vec makes it (`maana.distill_static`).

        Args:
            model_name: A folder, or a name on the hub.
            vocabulary: Words that become tokens too.
            device: ``"cpu"`` or ``None``.
            pca_dims: Columns of the table; ``None`` for those of the encoder.
            apply_zipf: Weight tokens by their ranks.
            sif_coefficient: Factor a of the weights a / (a + p); ``None`` for equal weights.
            token_remove_pattern: The default: unused tokens do not occur in texts.
            quantize_to: ``float32``.
            use_subword: Keep the tokens of the encoder.

        Raises:
            NotImplementedError: For other values.
            FileNotFoundError: If there is no such model.
        """
        check_device(device)
        given = {"token_remove_pattern": token_remove_pattern, "quantize_to": quantize_to, "use_subword": use_subword}
        refuse_others(given | kwargs, {"token_remove_pattern": r"\[unused\d+\]", "quantize_to": "float32", "use_subword": True})
        refuse_others(kwargs, dict.fromkeys(kwargs))
        encoder = _maana.Encoder(os.fspath(model_name), "float32", open_access(None, None, False))
        settings = {
            "dimension": pca_dims or encoder.dimension,
            "vocabulary": "both" if vocabulary else "tokenizer",
            "words": len(vocabulary or ()),
            "sif": sif_coefficient if apply_zipf else None,
            "epochs": 0,
            "learning_rate": 0.01,
            "seed": 42,
        }
        with tempfile.TemporaryDirectory() as parent:
            folder = os.path.join(parent, "static")
            # A word becomes a token where it occurs several times.
            texts = [word for word in vocabulary or () for _ in range(3)]
            _maana.distill_static(encoder, os.fspath(model_name), texts, folder, settings)
            return cls.from_model2vec(folder)


def _tokenizer_file(tokenizer: Any) -> bytes:
    """Return the content of the `tokenizer.json` of a tokenizer.

    Raises:
        ValueError: If it is of another kind.
    """
    if isinstance(tokenizer, bytes):
        return tokenizer
    if isinstance(tokenizer, (str, os.PathLike)):
        return json.dumps(read_json(os.fspath(tokenizer)), ensure_ascii=False).encode()
    if isinstance(tokenizer, Tokenizer):
        return tokenizer.json()
    inner = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(inner, "to_str"):
        raise ValueError(
            "The tokenizer must be fast (i.e. Rust-backed) to use this class. "
            "Use Tokenizer.from_pretrained() from `tokenizers` to load a fast tokenizer."
        )
    return inner.to_str().encode()


def _tokens_of(file: bytes) -> int:
    """Return one more than the greatest token id of a `tokenizer.json`."""
    content = json.loads(file)
    vocabulary = content["model"]["vocab"]
    ids = range(len(vocabulary)) if isinstance(vocabulary, list) else vocabulary.values()
    return 1 + max([*ids, *(token["id"] for token in content.get("added_tokens", []))], default=-1)
