"""Losses of the reference that are refused by name, each with its remedy."""

from __future__ import annotations

from ._refusals import refused_class

_SIMCSE = "train by SimCSE: MultipleNegativesRankingLoss with each text as anchor and positive (docs/recipe.md)"
ContrastiveTensionLoss = refused_class("ContrastiveTensionLoss", _SIMCSE)
ContrastiveTensionLossInBatchNegatives = refused_class("ContrastiveTensionLossInBatchNegatives", _SIMCSE)
ContrastiveTensionDataLoader = refused_class("ContrastiveTensionDataLoader", _SIMCSE)
DenoisingAutoEncoderLoss = refused_class("DenoisingAutoEncoderLoss", _SIMCSE)
EmbedDistillLoss = refused_class(
    "EmbedDistillLoss",
    "use MSELoss with the teacher's embeddings as labels, and projection_dim if they are of another width",
)
GlobalOrthogonalRegularizationLoss = refused_class(
    "GlobalOrthogonalRegularizationLoss", "add the term to a loss in Python (losses.PythonLoss)"
)
MegaBatchMarginLoss = refused_class(
    "MegaBatchMarginLoss",
    "use CachedMultipleNegativesRankingLoss, which compares all texts of a large batch in little memory, or TripletLoss with "
    "mined negatives (util.mine_hard_negatives)",
)
