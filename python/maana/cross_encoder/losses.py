"""Losses with the names and arguments of ``sentence_transformers.cross_encoder.losses``."""

from __future__ import annotations

from typing import Any

from ..losses import Loss

__all__ = [
    "ADRMSELoss",
    "BinaryCrossEntropyLoss",
    "CachedMultipleNegativesRankingLoss",
    "CrossEntropyLoss",
    "LambdaLoss",
    "LambdaRankScheme",
    "ListMLELoss",
    "ListNetLoss",
    "MSELoss",
    "MarginMSELoss",
    "MultipleNegativesRankingLoss",
    "NDCGLoss1Scheme",
    "NDCGLoss2PPScheme",
    "NDCGLoss2Scheme",
    "NoWeightingScheme",
    "PListMLELambdaWeight",
    "PListMLELoss",
    "RankNetLoss",
]

_ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu")


def _activation(function: Any) -> str | None:
    """Return the name of a function of the logits: a module of PyTorch, its class, or a name."""
    if function is None or isinstance(function, str):
        return function
    kind = function if isinstance(function, type) else type(function)
    name = kind.__name__.lower()
    if name not in _ACTIVATIONS:
        raise ValueError(f"activation_fn is {kind.__name__}; expected one of {', '.join(_ACTIVATIONS)}")
    return name


class _PairLoss(Loss):
    """A loss of the logits of pairs."""

    def __init__(self, activation_fn: Any = None, mini_batch_size: int | None = None, **table: Any) -> None:
        super().__init__(activation=_activation(activation_fn), **table)
        if mini_batch_size is not None and mini_batch_size > 0:
            self.training["mini_batch_size"] = mini_batch_size


class BinaryCrossEntropyLoss(_PairLoss):
    """Cross-entropy of the logit and a label from 0 to 1."""

    recipe_name = "binary_cross_entropy"

    def __init__(self, model: Any = None, activation_fn: Any = None, pos_weight: Any = None) -> None:
        super().__init__(activation_fn, pos_weight=None if pos_weight is None else float(pos_weight))


class CrossEntropyLoss(_PairLoss):
    """Cross-entropy of the logits and a class."""

    recipe_name = "cross_entropy"

    def __init__(self, model: Any = None, activation_fn: Any = None) -> None:
        super().__init__(activation_fn)


class MSELoss(_PairLoss):
    """Squared difference of the logit and a score, such as a teacher's."""

    recipe_name = "mse"

    def __init__(self, model: Any = None, activation_fn: Any = None) -> None:
        super().__init__(activation_fn)


class MarginMSELoss(_PairLoss):
    """Squared difference of the margins of the model and of a teacher."""

    recipe_name = "margin_mse"

    def __init__(self, model: Any = None, activation_fn: Any = None) -> None:
        super().__init__(activation_fn)


class MultipleNegativesRankingLoss(_PairLoss):
    """Ranks the document of each query before others of the batch.

    Args:
        model: The model.
        num_negatives: Documents of other rows to compare with; ``None`` for all.
        scale: Factor of the scores.
        activation_fn: Function of the logits.
    """

    recipe_name = "multiple_negatives_ranking"

    def __init__(
        self,
        model: Any = None,
        num_negatives: int | None = 4,
        scale: float = 10.0,
        activation_fn: Any = "sigmoid",
        mini_batch_size: int | None = None,
    ) -> None:
        drawn = "all" if num_negatives is None else num_negatives
        super().__init__(activation_fn or "identity", mini_batch_size, num_negatives=drawn, scale=scale)


class CachedMultipleNegativesRankingLoss(MultipleNegativesRankingLoss):
    """`MultipleNegativesRankingLoss` for large batches in little memory."""

    def __init__(
        self,
        model: Any = None,
        num_negatives: int | None = 4,
        scale: float = 10.0,
        activation_fn: Any = "sigmoid",
        mini_batch_size: int = 32,
        show_progress_bar: bool = False,
    ) -> None:
        super().__init__(model, num_negatives, scale, activation_fn, mini_batch_size)


class _Scheme:
    """Weights of the pairs of a list."""

    def __init__(self, mu: float | None = None) -> None:
        self.mu = mu


class NoWeightingScheme(_Scheme):
    """All pairs alike."""


class NDCGLoss1Scheme(_Scheme):
    """Weights by the gain and the discount of a document."""


class NDCGLoss2Scheme(_Scheme):
    """Weights by the difference of discounts."""


class LambdaRankScheme(_Scheme):
    """Weights by the change of nDCG."""


class NDCGLoss2PPScheme(_Scheme):
    """`NDCGLoss2Scheme` and `LambdaRankScheme` together."""

    def __init__(self, mu: float = 10.0) -> None:
        super().__init__(mu)


_SCHEMES = {
    NoWeightingScheme: "none",
    NDCGLoss1Scheme: "ndcg_loss1",
    NDCGLoss2Scheme: "ndcg_loss2",
    LambdaRankScheme: "lambda_rank",
    NDCGLoss2PPScheme: "ndcg_loss2pp",
}


class LambdaLoss(_PairLoss):
    """Orders the documents of a list as their labels, with weights of the pairs."""

    recipe_name = "lambda"

    def __init__(
        self,
        model: Any = None,
        weighting_scheme: _Scheme | None = None,
        k: int | None = None,
        sigma: float = 1.0,
        eps: float = 1e-10,
        reduction_log: str = "binary",
        activation_fn: Any = None,
        mini_batch_size: int | None = None,
    ) -> None:
        scheme = weighting_scheme or NDCGLoss2PPScheme()
        super().__init__(
            activation_fn,
            mini_batch_size,
            weighting_scheme=_SCHEMES[type(scheme)],
            mu=scheme.mu,
            k=k,
            sigma=sigma,
            eps=eps,
            reduction_log=reduction_log,
        )


class RankNetLoss(_PairLoss):
    """`LambdaLoss` with all pairs alike."""

    recipe_name = "rank_net"

    def __init__(
        self,
        model: Any = None,
        k: int | None = None,
        sigma: float = 1.0,
        eps: float = 1e-10,
        reduction_log: str = "binary",
        activation_fn: Any = None,
        mini_batch_size: int | None = None,
    ) -> None:
        super().__init__(activation_fn, mini_batch_size, k=k, sigma=sigma, eps=eps, reduction_log=reduction_log)


class ListNetLoss(_PairLoss):
    """Divergence of the distributions of scores and of labels over a list."""

    recipe_name = "list_net"

    def __init__(self, model: Any = None, activation_fn: Any = None, mini_batch_size: int | None = None) -> None:
        super().__init__(activation_fn, mini_batch_size)


class ListMLELoss(_PairLoss):
    """Likelihood of the order of a list."""

    recipe_name = "list_mle"

    def __init__(
        self,
        model: Any = None,
        activation_fn: Any = None,
        mini_batch_size: int | None = None,
        respect_input_order: bool = True,
    ) -> None:
        super().__init__(activation_fn, mini_batch_size, respect_input_order=respect_input_order)


class PListMLELambdaWeight:
    """Weights of the positions of `PListMLELoss`: those of the reference's default.

    Args:
        rank_discount_fn: A function of the positions, which is refused.
    """

    def __init__(self, rank_discount_fn: Any = None) -> None:
        self.rank_discount_fn = rank_discount_fn


class PListMLELoss(_PairLoss):
    """`ListMLELoss` with weights that fall with the position."""

    recipe_name = "plist_mle"

    def __init__(
        self,
        model: Any = None,
        lambda_weight: Any = None,
        activation_fn: Any = None,
        mini_batch_size: int | None = None,
        respect_input_order: bool = True,
    ) -> None:
        if lambda_weight is not None and getattr(lambda_weight, "rank_discount_fn", None) is not None:
            raise NotImplementedError("lambda_weight with a rank_discount_fn is not supported; omit it")
        super().__init__(activation_fn, mini_batch_size, respect_input_order=respect_input_order)


class ADRMSELoss(_PairLoss):
    """Squared difference of the ranks that scores imply and of those of the labels."""

    recipe_name = "adr_mse"

    def __init__(
        self, model: Any = None, alpha: float = 1.0, activation_fn: Any = None, mini_batch_size: int | None = None
    ) -> None:
        super().__init__(activation_fn, mini_batch_size, alpha=alpha)
