"""Training data of `fit`, with the names of ``sentence_transformers.datasets``. `SentenceTransformerTrainer`
needs none of them: its arguments have ``batch_sampler``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._refusals import refused_class

__all__ = [
    "DenoisingAutoEncoderDataset",
    "NoDuplicatesDataLoader",
    "ParallelSentencesDataset",
    "SentenceLabelDataset",
    "SentencesDataset",
]


class NoDuplicatesDataLoader:
    """Examples whose batches have no text twice.

    Args:
        train_examples: A list of ``InputExample``.
        batch_size: Examples of a batch.
    """

    def __init__(self, train_examples: Sequence[Any], batch_size: int) -> None:
        self.train_examples, self.batch_size = train_examples, batch_size

    def __len__(self) -> int:
        """Return the number of whole batches."""
        return len(self.train_examples) // self.batch_size


class SentencesDataset:
    """Examples as they are.

    Args:
        examples: A list of ``InputExample``.
        model: Ignored.
    """

    def __init__(self, examples: Sequence[Any], model: Any = None) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Any:
        return self.examples[index]


class SentenceLabelDataset(SentencesDataset):
    """Examples with a class as their label, of which a batch has at least two of each class.

    Args:
        examples: A list of ``InputExample``.
        samples_per_label: Examples of a class in a batch: 2.
        with_replacement: Draw an example several times, which is refused.

    Raises:
        NotImplementedError: For other values.
    """

    def __init__(self, examples: Sequence[Any], samples_per_label: int = 2, with_replacement: bool = False) -> None:
        if samples_per_label != 2 or with_replacement:
            raise NotImplementedError("samples_per_label other than 2 and with_replacement are not supported; omit them")
        super().__init__(examples)


_TEACHER = "use losses.MSELoss with the teacher's embeddings as labels (docs/distillation.md)"
ParallelSentencesDataset = refused_class("ParallelSentencesDataset", _TEACHER)
DenoisingAutoEncoderDataset = refused_class(
    "DenoisingAutoEncoderDataset",
    "train by SimCSE: MultipleNegativesRankingLoss with each text as anchor and positive (docs/recipe.md)",
)
