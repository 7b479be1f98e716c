"""Examples of training data, with the names of ``sentence_transformers.readers``."""

from __future__ import annotations

from typing import Any, Iterable

from ._refusals import refused_class

__all__ = [
    "InputExample",
    "LabelSentenceReader",
    "NLIDataReader",
    "PairedFilesReader",
    "STSBenchmarkDataReader",
    "STSDataReader",
    "TripletReader",
]


class InputExample:
    """Texts with a label.

    Args:
        guid: Identifier, which training does not read.
        texts: The texts.
        label: The label.
    """

    def __init__(self, guid: str = "", texts: list[str] | None = None, label: Any = 0) -> None:
        self.guid, self.texts, self.label = guid, texts, label

    def __str__(self) -> str:
        return f"<InputExample> label: {self.label}, texts: {'; '.join(self.texts or [])}"


def is_example(value: Any) -> bool:
    """Return whether this is an example, also one of another package."""
    return hasattr(value, "texts") and hasattr(value, "label")


def columns_of_examples(examples: Iterable[Any], name: str) -> dict[str, list[Any]]:
    """Return examples as columns ``sentence_0``, ``sentence_1``, …, and ``label`` unless all are 0.

    Raises:
        ValueError: If examples have different numbers of texts.
    """
    rows = [(list(example.texts or []), example.label) for example in examples]
    counts = sorted({len(texts) for texts, _ in rows})
    if len(counts) != 1:
        raise ValueError(f"{name}: examples have different numbers of texts: {counts}")
    columns: dict[str, list[Any]] = {
        f"sentence_{number}": [texts[number] for texts, _ in rows] for number in range(counts[0])
    }
    labels = [label for _, label in rows]
    if any(isinstance(label, (list, tuple)) or hasattr(label, "__len__") or label != 0 for label in labels):
        columns["label"] = labels
    return columns


def texts_and_labels(examples: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Return the texts and the labels of examples."""
    rows = list(examples)
    return [row.texts for row in rows], [row.label for row in rows]


_ROWS = "pass the file to the trainer, or read its rows by datasets, pandas or csv"
LabelSentenceReader = refused_class("LabelSentenceReader", _ROWS)
NLIDataReader = refused_class("NLIDataReader", _ROWS)
PairedFilesReader = refused_class("PairedFilesReader", _ROWS)
STSBenchmarkDataReader = refused_class("STSBenchmarkDataReader", _ROWS)
STSDataReader = refused_class("STSDataReader", _ROWS)
TripletReader = refused_class("TripletReader", _ROWS)
