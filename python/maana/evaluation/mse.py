"""`MSEEvaluator`: the distance of a student's embeddings from those of its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..model import SentenceTransformer
from .evaluator import SentenceEvaluator, append_row


class MSEEvaluator(SentenceEvaluator):
    """Mean squared error, times 100, between a teacher's embeddings of the sources and a student's of
    the targets; the measure ``negative_mse`` is its negative.

    Args:
        source_sentences: Texts that the teacher embeds, once.
        target_sentences: Texts that the model embeds, such as translations.
        teacher_model: The teacher.
        show_progress_bar: Show progress by ``tqdm``.
        batch_size: Ignored.
        name: Beginning of the name of the measure.
        write_csv: Append the measure to a CSV file, if the evaluator is called with a folder.
        truncate_dim: Number of leading columns of embeddings to measure with.

    Raises:
        ValueError: If there are not as many targets as sources, or no teacher.
    """

    def __init__(
        self,
        source_sentences: Sequence[str],
        target_sentences: Sequence[str],
        teacher_model: Any = None,
        show_progress_bar: bool = False,
        batch_size: int = 32,
        name: str = "",
        write_csv: bool = True,
        truncate_dim: int | None = None,
    ) -> None:
        super().__init__(name, truncate_dim)
        if len(source_sentences) != len(target_sentences):
            raise ValueError(
                f"source_sentences ({len(source_sentences)}) and target_sentences ({len(target_sentences)}) "
                "must have the same length."
            )
        if teacher_model is None:
            raise ValueError("teacher_model is None; expected the model that embeds the source sentences")
        self.show_progress_bar, self.batch_size, self.write_csv = show_progress_bar, batch_size, write_csv
        self.csv_file, self.csv_headers = f"mse_evaluation_{name}_results.csv", ["epoch", "steps", "MSE"]
        self.primary_metric = "negative_mse"
        self.target_sentences = target_sentences
        self.source_embeddings = self._embed(teacher_model, source_sentences)

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        difference = self.source_embeddings - self._embed(model, self.target_sentences)
        error = float((difference**2).mean() * 100)
        if output_path is not None and self.write_csv:
            append_row(output_path, self.csv_file, self.csv_headers, [epoch, steps, error])
        self.primary_metric = f"{self.name}_negative_mse" if self.name else "negative_mse"
        return {self.primary_metric: -error}

    def _embed(self, model: Any, texts: Sequence[str]) -> Any:
        return model.encode(texts, show_progress_bar=self.show_progress_bar, truncate_dim=self.truncate_dim)
