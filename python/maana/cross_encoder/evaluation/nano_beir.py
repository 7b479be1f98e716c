"""`CrossEncoderNanoBEIREvaluator`, which is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import numpy as np

from ...evaluation import SentenceEvaluator


class CrossEncoderNanoBEIREvaluator(SentenceEvaluator):
    """Refused: its data sets are on the hub. Make `CrossEncoderRerankingEvaluator` of their files.

    Raises:
        NotImplementedError: Always.
    """

    def __init__(
        self,
        dataset_names: Sequence[str] | None = None,
        dataset_id: str = "sentence-transformers/NanoBEIR-en",
        rerank_k: int = 100,
        at_k: int = 10,
        always_rerank_positives: bool = True,
        prompt_name: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool = False,
        write_csv: bool = True,
        aggregate_fn: Callable[[list[float]], float] = np.mean,
        aggregate_key: str = "mean",
    ) -> None:
        raise NotImplementedError(
            "CrossEncoderNanoBEIREvaluator is not supported: its data sets are on the hub; give "
            "CrossEncoderRerankingEvaluator the query, the positives and the documents of each of their rows"
        )
