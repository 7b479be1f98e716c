"""Losses with the names and arguments of ``sentence_transformers.losses``."""

from __future__ import annotations

from enum import Enum
from typing import Any

from . import _own_losses
from ._refused_losses import (
    ContrastiveTensionDataLoader,
    ContrastiveTensionLoss,
    ContrastiveTensionLossInBatchNegatives,
    DenoisingAutoEncoderLoss,
    EmbedDistillLoss,
    GlobalOrthogonalRegularizationLoss,
    MegaBatchMarginLoss,
)

__all__ = [
    "AdaptiveLayerLoss",
    "AnglELoss",
    "BatchAllTripletLoss",
    "BatchHardSoftMarginTripletLoss",
    "BatchHardTripletLoss",
    "BatchHardTripletLossDistanceFunction",
    "BatchSemiHardTripletLoss",
    "CachedGISTEmbedLoss",
    "CachedMultipleNegativesRankingLoss",
    "CachedMultipleNegativesSymmetricRankingLoss",
    "CoSENTLoss",
    "ContrastiveLoss",
    "ContrastiveTensionDataLoader",
    "ContrastiveTensionLoss",
    "ContrastiveTensionLossInBatchNegatives",
    "CosineSimilarityLoss",
    "DenoisingAutoEncoderLoss",
    "DistillKLDivLoss",
    "EmbedDistillLoss",
    "GISTEmbedLoss",
    "GlobalOrthogonalRegularizationLoss",
    "MSELoss",
    "MarginMSELoss",
    "Matryoshka2dLoss",
    "MatryoshkaLoss",
    "MegaBatchMarginLoss",
    "MultipleNegativesRankingLoss",
    "MultipleNegativesSymmetricRankingLoss",
    "OnlineContrastiveLoss",
    "PythonLoss",
    "SiameseDistanceMetric",
    "SoftmaxLoss",
    "TripletDistanceMetric",
    "TripletLoss",
]


class SiameseDistanceMetric(str, Enum):
    """Distances of contrastive losses."""

    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"
    COSINE_DISTANCE = "cosine"


class TripletDistanceMetric(str, Enum):
    """Distances of triplet losses."""

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"


class Loss:
    """A loss: its table in a recipe, and the settings of training that belong to it."""

    #: Name of the loss in recipes.
    recipe_name = ""

    #: The loss in Python that this one is or modifies.
    own: PythonLoss | None = None

    def __init__(self, **table: Any) -> None:
        self.table = {"name": self.recipe_name, **{key: value for key, value in table.items() if value is not None}}
        self.training: dict[str, Any] = {}

    def __repr__(self) -> str:
        parameters = ", ".join(f"{key}={value!r}" for key, value in self.table.items() if key != "name")
        return f"{type(self).__name__}({parameters})"


def _similarity(function: Any) -> str | None:
    """Return the name of a similarity function, if it is not the cosine."""
    name = getattr(function, "__name__", str(function))
    if name in ("cos_sim", "pairwise_cos_sim", "pytorch_cos_sim", "pairwise_angle_sim", "None"):
        return None
    if name in ("dot_score", "pairwise_dot_score"):
        return "dot"
    raise ValueError(f"similarity_fct is {name}; expected cos_sim or dot_score")


def _distance(metric: Any) -> str | None:
    """Return the name of a distance."""
    if metric is None or isinstance(metric, str):
        return str(metric.value if isinstance(metric, Enum) else metric) if metric is not None else None
    name = getattr(metric, "__name__", str(metric)).lower()
    for known in ("cosine", "euclidean", "manhattan"):
        if known in name or (known == "euclidean" and "eucledian" in name):
            return known
    raise ValueError(f"distance_metric is {name}; expected cosine, euclidean or manhattan")


class MultipleNegativesRankingLoss(Loss):
    """Ranks the positive of each anchor before all other texts of the batch."""

    recipe_name = "multiple_negatives_ranking"

    def __init__(
        self,
        model: Any = None,
        scale: float = 20.0,
        similarity_fct: Any = None,
        gather_across_devices: bool = False,
        directions: tuple[str, ...] | list[str] | None = None,
        partition_mode: str | None = None,
        hardness_mode: str | None = None,
        hardness_strength: float | None = None,
    ) -> None:
        super().__init__(
            scale=scale,
            similarity=_similarity(similarity_fct),
            directions=list(directions) if directions is not None else None,
            partition_mode=partition_mode,
            hardness_mode=hardness_mode,
            hardness_strength=hardness_strength,
        )


class MultipleNegativesSymmetricRankingLoss(Loss):
    """Ranks the positive of each anchor, and the anchor of each positive."""

    recipe_name = "multiple_negatives_symmetric_ranking"

    def __init__(
        self, model: Any = None, scale: float = 20.0, similarity_fct: Any = None, gather_across_devices: bool = False
    ) -> None:
        super().__init__(scale=scale, similarity=_similarity(similarity_fct))


class _CachedRanking(Loss):
    """Arguments of a ranking loss in mini-batches.

    ``mini_batch_num_tokens`` bounds the tokens of a mini-batch instead of its rows. Neither changes
    the result.
    """

    def __init__(
        self,
        model: Any = None,
        scale: float = 20.0,
        similarity_fct: Any = None,
        mini_batch_size: int = 32,
        mini_batch_num_tokens: int | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("show_progress_bar", None)
        super().__init__(model, scale, similarity_fct, **kwargs)
        if mini_batch_num_tokens is None:
            self.training["mini_batch_size"] = mini_batch_size
        else:
            self.training["mini_batch_tokens"] = mini_batch_num_tokens


class CachedMultipleNegativesRankingLoss(_CachedRanking, MultipleNegativesRankingLoss):
    """`MultipleNegativesRankingLoss` for large batches in little memory (GradCache)."""


class CachedMultipleNegativesSymmetricRankingLoss(_CachedRanking, MultipleNegativesSymmetricRankingLoss):
    """`MultipleNegativesSymmetricRankingLoss` for large batches in little memory."""


class CoSENTLoss(Loss):
    """Orders the cosines of pairs as their scores."""

    recipe_name = "cosent"

    def __init__(self, model: Any = None, scale: float = 20.0, similarity_fct: Any = None) -> None:
        super().__init__(scale=scale, similarity=_similarity(similarity_fct))


class AnglELoss(Loss):
    """Orders the angles of pairs as their scores."""

    recipe_name = "angle"

    def __init__(self, model: Any = None, scale: float = 20.0) -> None:
        super().__init__(scale=scale)


class CosineSimilarityLoss(Loss):
    """Squared difference of the cosine and the score of a pair."""

    recipe_name = "cosine_similarity"

    def __init__(self, model: Any = None) -> None:
        super().__init__()


class ContrastiveLoss(Loss):
    """Pulls pairs with the label 1 together, and pushes others apart up to a margin."""

    recipe_name = "contrastive"

    def __init__(
        self, model: Any = None, distance_metric: Any = None, margin: float = 0.5, size_average: bool = True
    ) -> None:
        if not size_average:
            raise NotImplementedError("size_average=False is not supported; scale the learning rate instead")
        super().__init__(distance_metric=_distance(distance_metric), margin=margin)


class OnlineContrastiveLoss(Loss):
    """`ContrastiveLoss` over the hard pairs of a batch."""

    recipe_name = "online_contrastive"

    def __init__(self, model: Any = None, distance_metric: Any = None, margin: float = 0.5) -> None:
        super().__init__(distance_metric=_distance(distance_metric), margin=margin)


class TripletLoss(Loss):
    """Keeps the negative further from the anchor than the positive by a margin."""

    recipe_name = "triplet"

    def __init__(self, model: Any = None, distance_metric: Any = None, triplet_margin: float = 5) -> None:
        super().__init__(distance_metric=_distance(distance_metric), margin=triplet_margin)


class MSELoss(Loss):
    """Squared difference of embeddings and the label's embedding, such as a teacher's.

    Args:
        model: The model.
        projection_dim: Columns of the label's embedding, if they are not those of the model: a
            linear layer that projects the model's embeddings trains with it.
    """

    recipe_name = "mse"

    def __init__(self, model: Any = None, projection_dim: int | None = None) -> None:
        super().__init__(projection_dim=projection_dim)


class SoftmaxLoss(Loss):
    """Class of a pair, by a linear classifier that trains with the model and is not saved with it.

    Args:
        model: The model.
        embedding_dimension: Ignored; the classifier is as wide as the embeddings of the model.
        num_labels: Number of classes.
        concatenation_sent_rep: Show the classifier both embeddings.
        concatenation_sent_difference: Show it the absolute difference of the embeddings.
        concatenation_sent_multiplication: Show it the product of the embeddings.
        loss_fct: ``None`` or PyTorch's ``CrossEntropyLoss``.
    """

    recipe_name = "softmax"

    def __init__(
        self,
        model: Any = None,
        embedding_dimension: int | None = None,
        num_labels: int | None = None,
        concatenation_sent_rep: bool = True,
        concatenation_sent_difference: bool = True,
        concatenation_sent_multiplication: bool = False,
        loss_fct: Any = None,
    ) -> None:
        if num_labels is None:
            raise ValueError("num_labels is missing: the number of classes")
        if loss_fct is not None and type(loss_fct).__name__ != "CrossEntropyLoss":
            raise NotImplementedError(f"loss_fct is {loss_fct!r}; expected CrossEntropyLoss")
        super().__init__(
            num_labels=num_labels,
            concatenation_sent_rep=concatenation_sent_rep,
            concatenation_sent_difference=concatenation_sent_difference,
            concatenation_sent_multiplication=concatenation_sent_multiplication,
        )


class MarginMSELoss(Loss):
    """Squared difference of the margins of the model and of a teacher."""

    recipe_name = "margin_mse"

    def __init__(self, model: Any = None, similarity_fct: Any = None) -> None:
        super().__init__(similarity=None if similarity_fct is None else (_similarity(similarity_fct) or "cosine"))


class DistillKLDivLoss(Loss):
    """Divergence of the distributions over documents of the model and of a teacher."""

    recipe_name = "distill_kl_div"

    def __init__(self, model: Any = None, similarity_fct: Any = None, temperature: float | None = None) -> None:
        similarity = None if similarity_fct is None else (_similarity(similarity_fct) or "cosine")
        super().__init__(similarity=similarity, temperature=temperature)


class GISTEmbedLoss(Loss):
    """Ranking without the negatives that a guide finds more similar than the positive."""

    recipe_name = "gist_embed"

    def __init__(
        self,
        model: Any = None,
        guide: Any = None,
        temperature: float = 0.01,
        margin_strategy: str | None = None,
        margin: float | None = None,
        contrast_anchors: bool | None = None,
        contrast_positives: bool | None = None,
        gather_across_devices: bool = False,
    ) -> None:
        native = getattr(guide, "native", None)
        super().__init__(
            guide=native.folder if native is not None else guide,
            temperature=temperature,
            margin_strategy=margin_strategy,
            margin=margin,
            contrast_anchors=contrast_anchors,
            contrast_positives=contrast_positives,
        )


class CachedGISTEmbedLoss(GISTEmbedLoss):
    """`GISTEmbedLoss` for large batches in little memory."""

    def __init__(self, model: Any = None, guide: Any = None, mini_batch_size: int = 32, **kwargs: Any) -> None:
        kwargs.pop("show_progress_bar", None)
        super().__init__(model, guide, **kwargs)
        self.training["mini_batch_size"] = mini_batch_size


class _BatchTriplet(Loss):
    def __init__(self, model: Any = None, distance_metric: Any = None, margin: float = 5) -> None:
        super().__init__(distance_metric=_distance(distance_metric), margin=margin)


class BatchHardTripletLoss(_BatchTriplet):
    """Triplets of each row with its farthest positive and its nearest negative."""

    recipe_name = "batch_hard_triplet"


class BatchAllTripletLoss(_BatchTriplet):
    """All triplets of a batch."""

    recipe_name = "batch_all_triplet"


class BatchSemiHardTripletLoss(_BatchTriplet):
    """Triplets whose negative is farther than the positive, but not by the margin."""

    recipe_name = "batch_semi_hard_triplet"


class BatchHardSoftMarginTripletLoss(Loss):
    """`BatchHardTripletLoss` with a soft margin."""

    recipe_name = "batch_hard_soft_margin_triplet"

    def __init__(self, model: Any = None, distance_metric: Any = None) -> None:
        super().__init__(distance_metric=_distance(distance_metric))


class PythonLoss(Loss):
    """A loss written in Python. The trainer makes one of every loss that is not in this module.

    Args:
        function: A function of the embeddings of each column, a list of arrays ``(rows, columns)``,
            and of the labels, ``(rows)``, ``(rows, numbers)`` or ``None``. It returns the loss and
            a list with the gradient of each array. An object is called by its method ``forward``. A
            module of PyTorch receives tensors and returns a tensor; PyTorch computes the gradients.
            For a cross-encoder the function receives the logits of all pairs instead of the
            embeddings, an array ``(pairs)``, or ``(pairs, labels)`` if the model has several
            labels, and returns their gradient. A row of several documents gives several pairs, one
            after the other: a parameter ``starts`` receives the index of each row's first pair,
            followed by the number of pairs. Labels of lists are ``(pairs)``.
        name: Name in the model card and in messages. Default: that of the function or class.

    Example:
        >>> def loss(embeddings, labels):
        ...     difference = embeddings[0] - embeddings[1]
        ...     return (difference**2).sum(), [2 * difference, -2 * difference]
        >>> PythonLoss(loss)
        PythonLoss(class='loss')
    """

    recipe_name = "own"

    def __init__(self, function: Any, name: str | None = None) -> None:
        self.name = name or getattr(function, "__name__", type(function).__name__)
        super().__init__(**{"class": self.name})
        self.function, self.parameters = _own_losses.native(function), _own_losses.parameters_of(function)
        self.own = self


def as_loss(loss: Any, model: Any = None) -> Loss:
    """Return a loss of this module for what a trainer accepts: a loss, a function of the model that
    returns one, or a loss written in Python.

    Raises:
        TypeError: If it is none of them.
    """
    if isinstance(loss, type):
        loss = loss(model)
    return loss if isinstance(loss, Loss) else PythonLoss(loss)


class MatryoshkaLoss(Loss):
    """Another loss at several dimensions of the embeddings.

    Args:
        model: The model.
        loss: The other loss.
        matryoshka_dims: Dimensions, in any order.
        matryoshka_weights: Weight of each dimension.
        n_dims_per_step: Number of dimensions drawn for each batch; -1 for all.
    """

    def __init__(
        self,
        model: Any,
        loss: Any,
        matryoshka_dims: list[int],
        matryoshka_weights: list[float] | None = None,
        n_dims_per_step: int = -1,
    ) -> None:
        weights = matryoshka_weights or [1] * len(matryoshka_dims)
        if len(weights) != len(matryoshka_dims):
            raise ValueError(f"{len(matryoshka_dims)} matryoshka_dims and {len(weights)} matryoshka_weights")
        loss = as_loss(loss, model)
        if "adaptive_layers" in loss.table:
            raise ValueError(
                "MatryoshkaLoss of an AdaptiveLayerLoss; expected Matryoshka2dLoss, or AdaptiveLayerLoss of a MatryoshkaLoss"
            )
        pairs = sorted(zip(matryoshka_dims, weights), reverse=True)
        self.table = {
            **loss.table,
            "matryoshka_dims": [dim for dim, _ in pairs],
            "matryoshka_weights": [weight for _, weight in pairs],
        }
        if n_dims_per_step > 0:
            self.table["n_dims_per_step"] = n_dims_per_step
        self.training, self.own = dict(loss.training), loss.own


class BatchHardTripletLossDistanceFunction:
    """Names of the distances of batch losses of triplets, for ``distance_metric``."""

    cosine_distance = "cosine"
    eucledian_distance = "euclidean"


class AdaptiveLayerLoss(Loss):
    """Another loss at the last layer and at lower ones, which also learn to be similar to the last,
    so that the model may be cut behind any layer.

    Args:
        model: The model.
        loss: The other loss.
        n_layers_per_step: Number of lower layers drawn for each batch; -1 for all.
        last_layer_weight: Factor of the loss of the last layer.
        prior_layers_weight: Factor of the losses of lower layers.
        kl_div_weight: Factor of the divergence of lower layers from the last.
        kl_temperature: Temperature of the divergence; 0 for none.
        layer_weighting: ``"uniform"``, ``"log"`` or ``"linear"``.
    """

    def __init__(
        self,
        model: Any,
        loss: Any,
        n_layers_per_step: int = 1,
        last_layer_weight: float = 1.0,
        prior_layers_weight: float = 1.0,
        kl_div_weight: float = 1.0,
        kl_temperature: float = 0.3,
        layer_weighting: str = "uniform",
    ) -> None:
        if layer_weighting not in ("uniform", "log", "linear"):
            raise ValueError(f"layer_weighting is {layer_weighting!r}; expected uniform, log or linear")
        loss = as_loss(loss, model)
        settings = {
            "n_layers_per_step": n_layers_per_step if n_layers_per_step > 0 else "all",
            "last_layer_weight": last_layer_weight,
            "prior_layers_weight": prior_layers_weight,
            "kl_div_weight": kl_div_weight,
            "kl_temperature": kl_temperature,
            "layer_weighting": layer_weighting,
        }
        self.table = {**loss.table, "adaptive_layers": settings}
        self.training, self.own = dict(loss.training), loss.own


class Matryoshka2dLoss(AdaptiveLayerLoss):
    """`AdaptiveLayerLoss` of a `MatryoshkaLoss`, with their arguments."""

    def __init__(
        self,
        model: Any,
        loss: Any,
        matryoshka_dims: list[int],
        matryoshka_weights: list[float] | None = None,
        n_layers_per_step: int = 1,
        n_dims_per_step: int = 1,
        **settings: Any,
    ) -> None:
        nested = MatryoshkaLoss(model, loss, matryoshka_dims, matryoshka_weights, n_dims_per_step)
        super().__init__(model, nested, n_layers_per_step, **settings)
