"""Content of model cards, with the names of ``SentenceTransformerModelCardData``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["CrossEncoderModelCardData", "SentenceTransformerModelCardData"]


@dataclass
class ModelCardData:
    """Content of a model card that its data and its training do not show.

    Args:
        language: Language codes such as ``sw``.
        license: Identifier of a licence such as ``apache-2.0``.
        model_name: Title of the card.
        model_id: Name on the hub, ``organisation/model``.
        train_datasets: Accepted: the card of a run describes its data.
        eval_datasets: Accepted, likewise.
        task_name: Accepted: the card names the task of the model.
        tags: Accepted: the card has the tags of the model and of its losses.
        local_files_only: Accepted: a card is made without the network.
        generate_widget_examples: Accepted: the examples are rows of the data.
    """

    language: str | list[str] | None = None
    license: str | None = None
    model_name: str | None = None
    model_id: str | None = None
    train_datasets: list[dict[str, str]] = field(default_factory=list)
    eval_datasets: list[dict[str, str]] = field(default_factory=list)
    task_name: str | None = None
    tags: list[str] = field(default_factory=list)
    local_files_only: bool = False
    generate_widget_examples: bool = True
    #: Measures of evaluators, in the order of their calls.
    evaluations: list[tuple[Any, dict[str, Any]]] = field(default_factory=list, init=False, repr=False)

    def set_model_id(self, model_id: str) -> None:
        """Set the name on the hub."""
        self.model_id = model_id

    def set_evaluation_metrics(
        self, evaluator: Any, metrics: dict[str, Any], epoch: int = 0, step: int = 0
    ) -> None:
        """Keep the measures of an evaluator, which evaluators of other packages report by this call."""
        self.evaluations.append((evaluator, dict(metrics)))

    def table(self) -> dict[str, Any]:
        """Return the table `[card]` of a recipe."""
        languages = [self.language] if isinstance(self.language, str) else list(self.language or [])
        values = {"name": self.model_name, "hub_id": self.model_id, "license": self.license, "language": languages}
        return {key: value for key, value in values.items() if value}


@dataclass
class SentenceTransformerModelCardData(ModelCardData):
    """Content of the card of a `SentenceTransformer`: see `ModelCardData`."""


@dataclass
class CrossEncoderModelCardData(ModelCardData):
    """Content of the card of a `CrossEncoder`: see `ModelCardData`."""
