"""Static models: a table with an embedding for each token, hundreds of times as fast as an encoder."""

from __future__ import annotations

import os
from typing import Any

from . import _maana
from ._arrays import as_texts
from .model import SentenceTransformer

__all__ = ["distill_static"]


def distill_static(
    model: SentenceTransformer | str,
    texts: Any,
    folder: str | os.PathLike[str],
    *,
    dimension: int = 256,
    vocabulary: str = "both",
    words: int = 20_000,
    sif: float | None = 1e-4,
    epochs: int = 0,
    learning_rate: float = 0.01,
    seed: int = 42,
) -> SentenceTransformer:
    """Make a static model that imitates an encoder, as Model2Vec does, and write its folder.

    Args:
        model: The encoder.
        texts: Texts in its languages, from which frequent words and frequencies come.
        folder: Folder of the result.
        dimension: Columns of the table; at most those of the encoder.
        vocabulary: ``tokenizer`` for the tokens of the encoder's tokenizer, ``texts`` for those that
            occur in the texts and frequent words of the texts, ``both`` for all of them.
        words: The most words of the texts that become tokens.
        sif: Factor a of the weights a / (a + p) of tokens with the probability p; ``None`` for equal
            weights.
        epochs: Passes over the texts to train the table.
        learning_rate: Learning rate of the training.
        seed: Seed of the order of the texts in training.

    Returns:
        The static model.

    Raises:
        TypeError: If a text is not a string.
        ValueError: If a setting is not valid.

    Example:
        >>> small = distill_static(model, texts, "static", epochs=10)  # doctest: +SKIP
    """
    encoder = model if isinstance(model, SentenceTransformer) else SentenceTransformer(model)
    settings = {
        "dimension": dimension,
        "vocabulary": vocabulary,
        "words": words,
        "sif": sif,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    name = None if os.path.isdir(encoder.name) else encoder.name
    _maana.distill_static(encoder.native, name, as_texts(texts, "texts"), os.fspath(folder), settings)
    return SentenceTransformer(folder)
